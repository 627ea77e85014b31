import { callbackTimer, type Failure, failure, type WheelTimer } from "@heddle/base";
import {
  type ClientConnectionEvents,
  H1ClientConnection,
  type H1ClientOptions,
  type RequestEncoder,
  type ResponseDecoder,
} from "@heddle/http";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { Pool } from "./pool.ts";
import type { ConnectionPast } from "./pool-sharing.ts";

/**
 * A pooled HTTP/1 connection: joins the transport, the codec and the pool's bookkeeping. It is in one of three states:
 * in use (one exchange), idle (the pool has it in its list, until a moment that the idle timer watches), gone.
 */
export class H1PooledConnection implements ConnectionHandler, ClientConnectionEvents {
  readonly connection: Connection;
  readonly #client: H1ClientConnection;
  readonly #pool: Pool;
  readonly #idleTimer: WheelTimer;
  readonly #durationTimer: WheelTimer | undefined;
  /** Undefined: it was made here. */
  readonly #past: ConnectionPast | undefined;
  readonly #startedMs: number;
  /** Until when it may stand idle; Infinity while it is in use, or without end. */
  #idleUntilMs = Infinity;
  /** When the idle timer fires at the latest, if it runs. */
  #timerAtMs = 0;
  #bytesBefore = 0;
  #readBefore = 0;
  #gone = false;
  /** The upstream has sent FIN. */
  #peerEnded = false;
  /** The connection broke while it carried an exchange. */
  #wasActive = false;
  /** Whether the circuit breaker's count of connections has it. */
  readonly counted: boolean;
  /** The exchange that it carries, or carried last, was not its first. */
  reused = false;

  /** `maxDurationMs`: 0 is without end. `past`: of a connection that was another worker's. */
  constructor(
    connection: Connection,
    pool: Pool,
    counted: boolean,
    maxDurationMs: number,
    codecOptions: H1ClientOptions,
    past?: ConnectionPast,
  ) {
    this.connection = connection;
    this.#past = past;
    this.#startedMs = pool.env.clock.now() - (past?.ageMs ?? 0);
    this.#pool = pool;
    this.counted = counted;
    this.#client = new H1ClientConnection(connection, this, codecOptions);
    this.#idleTimer = callbackTimer(() => this.#checkIdle());
    if (maxDurationMs > 0) {
      this.#durationTimer = callbackTimer(() => this.#tooOld());
      pool.env.wheel.start(this.#durationTimer, Math.max(0, maxDurationMs - (past?.ageMs ?? 0)));
    }
    connection.start(this);
  }

  get usable(): boolean {
    return !this.#gone && this.#client.capacity > 0 && !this.connection.closed;
  }

  get active(): boolean {
    return this.#client.active > 0;
  }

  get started(): number {
    return this.#client.started + (this.#past?.requests ?? 0);
  }

  /** What the upstream announced (`Keep-Alive: timeout=N`), in ms. */
  get announcedIdleMs(): number | undefined {
    return this.#client.keepAliveTimeoutMs ?? this.#past?.announcedIdleMs;
  }

  /** Whether the kernel has taken any byte of the current exchange's request. */
  get handedToKernel(): boolean {
    return this.connection.bytesWritten > this.#bytesBefore;
  }

  /** Of the current exchange, with head and framing. */
  get wireBytesSent(): number {
    return this.connection.bytesWritten + this.connection.bytesQueued - this.#bytesBefore;
  }

  get wireBytesReceived(): number {
    return this.connection.bytesRead - this.#readBefore;
  }

  startExchange(decoder: ResponseDecoder): RequestEncoder {
    this.reused = this.started > 0;
    this.#countBytes();
    this.#bytesBefore = this.connection.bytesWritten;
    this.#readBefore = this.connection.bytesRead;
    return this.#client.startExchange(decoder);
  }

  /** Starts waiting for the next exchange. `limitMs`: 0 is without end. */
  becomeIdle(limitMs: number): void {
    if (limitMs === 0) return;
    const { clock, wheel } = this.#pool.env;
    const now = clock.now();
    this.#idleUntilMs = now + limitMs;
    if (this.#idleTimer.running && this.#timerAtMs <= this.#idleUntilMs) return;
    this.#timerAtMs = this.#idleUntilMs;
    wheel.start(this.#idleTimer, limitMs);
  }

  /** The timer goes on: most connections are idle again before it fires, and then it need not have been touched. */
  leaveIdle(): void {
    this.#idleUntilMs = Infinity;
  }

  /**
   * Lets go of an idle connection for another worker. `release` answers its descriptor, or -1: then it stays. Undefined if it
   * stays, or is no use to anybody; it is gone otherwise, and the pool is not told.
   */
  handOver(
    release: (connection: Connection) => number,
  ): { readonly descriptor: number; readonly past: ConnectionPast } | undefined {
    if (!this.usable) return undefined;
    const nowMs = this.#pool.env.clock.now();
    const past = {
      requests: this.started,
      ageMs: nowMs - this.#startedMs,
      idleLeftMs: this.#idleUntilMs - nowMs,
      announcedIdleMs: this.announcedIdleMs,
      counted: this.counted,
    };
    const descriptor = past.idleLeftMs > 0 ? release(this.connection) : -1;
    if (descriptor < 0) return undefined;
    this.#gone = true;
    this.#cancelTimers();
    return { descriptor, past };
  }

  /** Takes no further exchange; ends when the current one has ended, at once if there is none. */
  retire(): void {
    this.#client.drain();
  }

  // === the codec tells

  onCapacityChange(): void {
    if (!this.#gone && this.#client.capacity > 0) this.#pool.freed(this);
  }

  // === the transport tells

  onData(bytes: Uint8Array): void {
    this.#client.receive(bytes);
  }

  onEnd(): void {
    this.#peerEnded = true;
    this.#wasActive = this.active;
    this.#client.receiveEnd();
  }

  onDrain(): void {
    this.#client.transportDrained();
  }

  /** The codec is done with the connection, or the transport is gone; for the codec the latter includes the former. */
  onClose(cause: Failure | undefined): void {
    this.#wasActive ||= this.active;
    this.#client.transportClosed(connectionLost(cause));
    this.#end(cause);
  }

  #end(cause: Failure | undefined): void {
    if (this.#gone) return;
    this.#gone = true;
    const { stats, env } = this.#pool;
    const isProtocol = cause?.kind === "upstream-protocol-error";
    if (isProtocol) stats.cxProtocolError.add();
    const isRemote = this.#peerEnded || (cause?.side === "upstream" && !isProtocol);
    this.#countBytes();
    stats.countEnd(isRemote, this.#wasActive, env.clock.now() - this.#startedMs);
    this.#cancelTimers();
    this.connection.destroy();
    this.#pool.lost(this);
  }

  /** Of the exchange that it carried last. */
  #countBytes(): void {
    const { stats } = this.#pool;
    stats.cxRxBytes.add(this.connection.bytesRead - this.#readBefore);
    stats.cxTxBytes.add(this.connection.bytesWritten - this.#bytesBefore);
  }

  #cancelTimers(): void {
    const { wheel } = this.#pool.env;
    wheel.cancel(this.#idleTimer);
    if (this.#durationTimer !== undefined) wheel.cancel(this.#durationTimer);
  }

  #checkIdle(): void {
    if (this.#idleUntilMs === Infinity) return; // `becomeIdle` will start it again
    const { clock, wheel } = this.#pool.env;
    const leftMs = this.#idleUntilMs - clock.now();
    if (leftMs > 0) {
      this.#timerAtMs = this.#idleUntilMs;
      wheel.start(this.#idleTimer, leftMs);
      return;
    }
    this.#pool.stats.cxIdleTimeout.add();
    this.retire();
  }

  #tooOld(): void {
    this.#pool.stats.cxMaxDuration.add();
    this.retire();
  }
}

/**
 * On HTTP/1 a connection that breaks and one that is closed are the same to a request (Envoy's UC). "reset-by-upstream" is
 * kept for a peer that resets one of many streams.
 */
function connectionLost(cause: Failure | undefined): Failure {
  if (cause === undefined) return CLOSED;
  if (cause.kind !== "reset-by-upstream") return cause;
  return failure("connection-closed", "upstream", cause.detail, cause.retry, cause.cause);
}

const CLOSED = failure(
  "connection-closed",
  "upstream",
  "the upstream closed the connection",
  "if-connection-was-reused",
);
