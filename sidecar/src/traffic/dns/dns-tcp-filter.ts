import { callbackTimer, type TimerWheel } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { DnsTcpConfig } from "@heddle/traffic";
import type { NetworkFilter, ServedConnection } from "../network/network-filter.ts";
import { encodeFailure, RCODE } from "./dns-message.ts";
import type { DnsResponder, PendingAnswer } from "./dns-responder.ts";
import { FrameReader, framed } from "./frame-reader.ts";

/** Questions of one connection that wait for their answers; until one has come no more is read. */
const MOST_PENDING = 32;

/**
 * `heddle.filters.network.dns`: questions by TCP (RFC 7766), answered as its UDP listener would, each as soon as its answer is
 * there.
 */
export class DnsTcpFilter implements NetworkFilter {
  readonly #config: DnsTcpConfig;
  readonly #responderOf: (udpListener: string) => DnsResponder | undefined;
  readonly #wheel: TimerWheel;

  /** `responderOf` is asked for each question: the UDP listener's table may have been replaced. */
  constructor(
    config: DnsTcpConfig,
    responderOf: (udpListener: string) => DnsResponder | undefined,
    env: { readonly wheel: TimerWheel },
  ) {
    this.#config = config;
    this.#responderOf = responderOf;
    this.#wheel = env.wheel;
  }

  serve(connection: Connection, _info: DownstreamInfo, onClosed: () => void): ServedConnection {
    const responder = (): DnsResponder | undefined => this.#responderOf(this.#config.udpListener);
    const served = new DnsConnection(connection, responder, this.#wheel, this.#config.idleTimeoutMs, onClosed);
    connection.start(served);
    return served;
  }
}

class DnsConnection implements ConnectionHandler, ServedConnection {
  readonly #connection: Connection;
  readonly #responder: () => DnsResponder | undefined;
  readonly #wheel: TimerWheel;
  readonly #idleTimeoutMs: number;
  readonly #onClosed: () => void;
  readonly #reader = new FrameReader();
  readonly #pending = new Set<PendingAnswer>();
  readonly #idle = callbackTimer(() => this.#connection.destroy());
  /** Nothing more is read: the client has sent its end, or we drain. */
  #ending = false;
  /** It does not read what it has asked for. */
  #blocked = false;

  constructor(
    connection: Connection,
    responder: () => DnsResponder | undefined,
    wheel: TimerWheel,
    idleTimeoutMs: number,
    onClosed: () => void,
  ) {
    this.#connection = connection;
    this.#responder = responder;
    this.#wheel = wheel;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#onClosed = onClosed;
    wheel.start(this.#idle, idleTimeoutMs);
  }

  onData(bytes: Uint8Array): void {
    if (this.#ending) return;
    this.#reader.push(bytes);
    this.#serve();
  }

  onEnd(): void {
    this.#ending = true;
    this.#serve();
    this.#endIfDone();
  }

  onDrain(): void {
    this.#blocked = false;
    this.#serve();
  }

  onClose(): void {
    this.#wheel.cancel(this.#idle);
    for (const pending of this.#pending) pending.cancel();
    this.#pending.clear();
    this.#onClosed();
  }

  drain(): void {
    this.#ending = true;
    this.#endIfDone();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  /** Answers what has come, as far as there is room; what is left is read on when there is. */
  #serve(): void {
    while (!this.#blocked && this.#pending.size < MOST_PENDING && !this.#connection.closed) {
      const message = this.#reader.next();
      if (message === undefined) {
        if (!this.#ending) this.#connection.resume();
        return;
      }
      this.#answer(message);
    }
    if (!this.#ending) this.#connection.pause();
  }

  #answer(message: Uint8Array): void {
    this.#wheel.start(this.#idle, this.#idleTimeoutMs);
    const responder = this.#responder();
    if (responder === undefined) {
      if (message.length >= 12) this.#write(encodeFailure(message, RCODE.SERVFAIL));
      return;
    }
    let pending: PendingAnswer | undefined;
    pending = responder.answer(message, "tcp", (answer) => {
      if (pending === undefined) {
        this.#write(answer);
        return;
      }
      this.#pending.delete(pending);
      if (this.#connection.closed) return;
      this.#write(answer);
      this.#serve();
      this.#endIfDone();
    });
    if (pending !== undefined) this.#pending.add(pending);
  }

  #write(answer: Uint8Array): void {
    if (!this.#connection.writeBytes(framed(answer))) this.#blocked = true;
  }

  #endIfDone(): void {
    if (this.#ending && this.#pending.size === 0 && !this.#connection.closed) this.#connection.end();
  }
}
