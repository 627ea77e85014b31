import { type Failure, failure, type Timer } from "@heddle/base";
import type { DownstreamInfo, TerminalFilter } from "@heddle/filter";
import { HeaderMap, ResponseHead } from "@heddle/http";
import type { Connection, ConnectionHandler, TlsInfo } from "@heddle/net";
import type { HttpExchange } from "./http-exchange.ts";

/**
 * In the router's place for a CONNECT that ends here: the tunnel's inside is a connection to the same connection manager. So
 * a client that tunnels plain HTTP through its proxy (as Node's `fetch` does) meets the same routes and filters as one that
 * sends absolute targets.
 *
 * Towards the outer exchange this is what gives the response, towards the inner connection manager it is the transport.
 * There is no tunnel within a tunnel.
 */
export class InsideTunnel implements TerminalFilter, Connection {
  readonly id: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  bytesRead = 0;
  bytesWritten = 0;
  /** What waits to be written waits in the outer connection. */
  readonly bytesQueued = 0;
  closed = false;
  /** Whatever the tunnel itself goes through, nothing was agreed on for its inside. */
  readonly alpnProtocol = "";
  readonly tls: TlsInfo | undefined;
  readonly #exchange: HttpExchange;
  readonly #info: DownstreamInfo;
  #handler: ConnectionHandler | undefined = undefined;
  #paused = false;
  /** The outer connection takes no more for now. */
  #full = false;
  #refused = false;
  #ended = false;
  #closing: Timer | undefined = undefined;

  constructor(exchange: HttpExchange) {
    const { downstream } = exchange;
    // What the CONNECT says of its client's address is said of itself alone.
    const info = downstream.connection ?? downstream;
    const { connectionId, remoteAddress, remotePort, localAddress, localPort } = info;
    this.#exchange = exchange;
    this.#info = info;
    this.id = connectionId;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.localAddress = localAddress;
    this.localPort = localPort;
    this.tls = info.tls;
  }

  // === TerminalFilter: the outer exchange

  onRequestHead(endStream: boolean): void {
    const exchange = this.#exchange;
    const { manager, request } = exchange;
    const info = this.#info;
    if (request.method !== "CONNECT" || request.upgrade !== undefined) {
      exchange.fail(NO_TUNNEL);
      return;
    }
    if (info.inTunnel === true) {
      exchange.reply({ status: 403, details: "tunnel_in_tunnel", body: "a tunnel cannot lead into another one" });
      return;
    }
    exchange.tunnel = true;
    exchange.responseCodeDetails = "tunnel_served";
    exchange.respondHead(new ResponseHead(200, new HeaderMap()), false);
    if (this.closed) return;
    exchange.inside = manager.serve(this, { ...info, inTunnel: true }, () => {
      exchange.inside = undefined;
    });
    if (endStream) this.#handler?.onEnd();
  }

  onRequestData(chunk: Uint8Array, endStream: boolean): boolean {
    if (this.closed) return true;
    if (chunk.length > 0) {
      this.bytesRead += chunk.length;
      this.#handler?.onData(chunk);
    }
    if (endStream && !this.closed) this.#handler?.onEnd();
    return !this.#paused;
  }

  onRequestTrailers(): void {
    if (!this.closed) this.#handler?.onEnd();
  }

  pauseResponse(): void {
    this.#full = true;
  }

  resumeResponse(): void {
    this.#full = false;
    if (!this.#refused || this.closed) return;
    this.#refused = false;
    this.#handler?.onDrain();
  }

  /** The outer exchange has ended. Whoever ended it may be a call of the inner one, which must return first. */
  cancel(reason: Failure): void {
    if (this.#closing !== undefined) return;
    const cut = this.closed || this.#ended ? undefined : reason;
    this.closed = true;
    if (this.#handler === undefined) return; // nothing has been served
    this.#closing = this.#exchange.manager.env.clock.after(0, () => this.#handler?.onClose(cut));
  }

  // === Connection: the inner connection manager

  start(handler: ConnectionHandler): void {
    this.#handler = handler;
  }

  release(): void {
    throw new Error("nobody looks at the first bytes of a tunnel");
  }

  writeLatin1(text: string): void {
    this.writeBytes(Buffer.from(text, "latin1"));
  }

  writeBytes(bytes: Uint8Array): boolean {
    if (this.closed || this.#ended) return true;
    this.bytesWritten += bytes.length;
    this.#exchange.respondData(bytes, false);
    this.#refused ||= this.#full;
    return !this.#full;
  }

  end(): void {
    if (this.closed || this.#ended) return;
    this.#ended = true;
    this.#exchange.respondData(NOTHING, true);
  }

  destroy(): void {
    if (this.closed) return;
    this.closed = true;
    this.#exchange.abort(CUT);
  }

  reset(): void {
    this.destroy();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#exchange.terminalDrained();
  }
}

const NOTHING = new Uint8Array(0);
const NO_TUNNEL = failure("no-route", "local", "the request asks for no tunnel, and nothing else is served here");
const CUT = failure("internal", "local", "what was served in the tunnel has ended");
