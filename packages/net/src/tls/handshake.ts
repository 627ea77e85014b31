import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock, Timer } from "@heddle/base";
import type { Connection } from "../connection.ts";
import { type ConnectionSide, codeOf } from "../node-errors.ts";
import { hookOf } from "../rewrap.ts";
import { SocketConnection } from "../socket-connection.ts";
import type { PeerFault, PeerVerdict } from "./peer-rules.ts";
import { type ShownPeer, shownPeer } from "./shown-peer.ts";
import { SocketTlsInfo } from "./socket-tls-info.ts";
import { EndWatch } from "./tls-inside.ts";

export interface HandshakeOptions {
  readonly clock: Clock;
  /** For the whole handshake. */
  readonly timeoutMs: number;
  /** Above this many queued bytes `writeBytes` of the connection answers false. */
  readonly highWatermarkBytes: number;
  /** Called when a callback or a handler of the connection throws; the connection is reset. */
  readonly onThrow?: (error: unknown) => void;
}

/** Hears how a handshake has ended. Exactly one is called, once, unless it is cancelled; never from within the call that began it. */
export interface HandshakeCallbacks {
  /** The peer is who it has to be. The callee calls `start` before it returns, or ends the connection. */
  onSecured(connection: Connection): void;
  /** The connection is closed, and the peer may not know why. */
  onFailed(failure: HandshakeFailure): void;
}

export interface HandshakeFailure {
  /**
   * timeout: it took too long. gone: the peer went away. protocol: what the peer has sent is no TLS, or the two have
   * nothing in common, or it does not like us. peer: it is not who it has to be.
   */
  readonly kind: "timeout" | "gone" | "protocol" | "peer";
  /** Of kind peer. */
  readonly fault: PeerFault | undefined;
  /** OpenSSL's words, or ours: "SSLV3_ALERT_HANDSHAKE_FAILURE", "CERT_HAS_EXPIRED". */
  readonly reason: string;
}

export interface Handshaking {
  /** Closes the connection; nothing is told any more. */
  cancel(): void;
}

/** What one end of the connection decides for itself. */
export interface HandshakeRules {
  readonly side: ConnectionSide;
  /** "secure" of a server's socket, "secureConnect" of a client's. */
  readonly event: "secure" | "secureConnect";
  /** The handshake is over; whether the peer is who it has to be. */
  judge(socket: TLSSocket, peer: ShownPeer | undefined, nowMs: number): PeerVerdict;
  serverName(socket: TLSSocket): string;
  /** The peer has been accepted, and nobody has the socket yet. */
  accepted?(socket: TLSSocket): void;
}

/** One handshake on its way: the socket is here, and nowhere else, until it is over. */
export class Handshake implements Handshaking {
  readonly #socket: TLSSocket;
  readonly #beneath: Socket;
  readonly #id: number;
  readonly #rules: HandshakeRules;
  readonly #options: HandshakeOptions;
  readonly #callbacks: HandshakeCallbacks;
  readonly #watch: EndWatch;
  readonly #timer: Timer;
  #over = false;

  constructor(
    socket: TLSSocket,
    beneath: Socket,
    id: number,
    rules: HandshakeRules,
    options: HandshakeOptions,
    callbacks: HandshakeCallbacks,
  ) {
    this.#socket = socket;
    this.#beneath = beneath;
    this.#id = id;
    this.#rules = rules;
    this.#options = options;
    this.#callbacks = callbacks;
    this.#watch = new EndWatch(socket, beneath);
    this.#timer = options.clock.after(options.timeoutMs, () => this.#fail("timeout", undefined, "HANDSHAKE_TIMEOUT"));
    socket.on(rules.event, this.#onSecure);
    socket.on("error", this.#onError);
    socket.on("end", this.#onGone);
    socket.on("close", this.#onGone);
  }

  cancel(): void {
    this.#end();
    this.#socket.destroy();
  }

  readonly #onSecure = (): void => {
    if (!this.#over) this.#guarded(() => this.#settle());
  };

  #settle(): void {
    let peer: ShownPeer | undefined;
    let verdict: PeerVerdict;
    try {
      peer = shownPeer(this.#socket);
      verdict = this.#rules.judge(this.#socket, peer, this.#options.clock.wallNow());
    } catch (error) {
      // Our mistake, which lets nobody in; and the owner has to hear of the end as of any other.
      this.#fail("peer", "chain", "NOT_JUDGED");
      throw error;
    }
    if (verdict.type === "refused") {
      this.#fail("peer", verdict.fault, verdict.detail);
      return;
    }
    this.#rules.accepted?.(this.#socket);
    const info = new SocketTlsInfo(this.#socket, this.#rules.serverName(this.#socket), peer, verdict.verified);
    this.#end();
    const { highWatermarkBytes, onThrow } = this.#options;
    const alpn = this.#socket.alpnProtocol;
    const secured = {
      id: this.#id,
      alpnProtocol: typeof alpn === "string" ? alpn : "",
      info,
      beneath: this.#beneath,
      wasCut: () => this.#watch.cut,
    };
    const connectionOptions = { side: this.#rules.side, highWatermarkBytes, ...(onThrow && { onThrow }), secured };
    const connection = new SocketConnection(this.#socket, connectionOptions, hookOf(this.#socket));
    this.#callbacks.onSecured(connection);
  }

  readonly #onError = (error: Error): void => {
    const isOfNetwork = NETWORK.has(codeOf(error));
    this.#fail(isOfNetwork ? "gone" : "protocol", undefined, isOfNetwork ? codeOf(error) : reasonOf(error));
  };

  readonly #onGone = (): void => this.#fail("gone", undefined, "CONNECTION_CLOSED");

  #fail(kind: HandshakeFailure["kind"], fault: PeerFault | undefined, reason: string): void {
    if (this.#over) return;
    this.#end();
    this.#socket.destroy();
    this.#guarded(() => this.#callbacks.onFailed({ kind, fault, reason }));
  }

  #end(): void {
    this.#over = true;
    this.#timer.cancel();
    const socket = this.#socket;
    socket.off(this.#rules.event, this.#onSecure).off("error", this.#onError);
    socket.off("end", this.#onGone).off("close", this.#onGone);
    socket.on("error", ignore); // it may still tell one that was on its way
  }

  #guarded(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#end();
      this.#socket.destroy();
      const { onThrow } = this.#options;
      if (onThrow === undefined) throw error;
      onThrow(error);
    }
  }
}

const NETWORK: ReadonlySet<string> = new Set([
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ECONNABORTED",
]);

function ignore(): void {}

/** The reason in an error of a TLS socket: "WRONG_VERSION_NUMBER". (Its message is a line of OpenSSL's with its file names.) */
export function reasonOf(error: Error): string {
  const { reason, code } = error as Error & { readonly reason?: string; readonly code?: string };
  return (reason ?? code ?? error.message).toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_");
}
