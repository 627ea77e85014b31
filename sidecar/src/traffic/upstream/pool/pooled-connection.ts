import { callbackTimer, type Failure, failure, type WheelTimer } from "@heddle/base";
import type { ClientConnection, ClientConnectionEvents, RequestEncoder, ResponseDecoder } from "@heddle/http";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { Pool } from "./pool.ts";

/**
 * A connection of a pool: joins the transport, the codec and the pool's bookkeeping. It is in one of three states: in use
 * (it carries exchanges), idle (it carries none, until a moment that the idle timer watches), gone. What HTTP/1 and HTTP/2
 * have in common is here.
 */
export abstract class PooledConnection implements ConnectionHandler, ClientConnectionEvents {
  readonly connection: Connection;
  /** What it speaks. */
  abstract readonly httpVersion: "1.1" | "2";
  /** Whether the circuit breaker's count of connections has it. */
  readonly counted: boolean;
  /** The exchange that was started last was not its first. */
  reused = false;
  /** The pool has it among those that have room. */
  listed = false;
  /** It takes no more exchanges, and ends behind those that it carries. */
  leaving = false;
  protected abstract readonly client: ClientConnection;
  protected readonly pool: Pool;
  protected readonly startedMs: number;
  /** Nothing is asked of it any more. */
  protected gone = false;
  readonly #idleTimer: WheelTimer;
  readonly #durationTimer: WheelTimer | undefined;
  /** Until when it may stand idle; Infinity while it is in use, or without end. */
  #idleUntilMs = Infinity;
  /** When the idle timer fires at the latest, if it runs. */
  #timerAtMs = 0;
  /** Of what the transport counts, what the cluster has been told. */
  #bytesToldRead = 0;
  #bytesToldWritten = 0;
  /** The upstream has sent FIN. */
  #peerEnded = false;
  /** The connection broke while it carried an exchange. */
  #wasActive = false;

  /** `maxDurationMs`: 0 is without end. `ageMs`: of a connection that was another worker's. The subclass starts it. */
  constructor(connection: Connection, pool: Pool, counted: boolean, maxDurationMs: number, ageMs: number) {
    this.connection = connection;
    this.pool = pool;
    this.counted = counted;
    this.startedMs = pool.env.clock.now() - ageMs;
    this.#idleTimer = callbackTimer(() => this.#checkIdle());
    this.#durationTimer = maxDurationMs > 0 ? callbackTimer(() => this.#tooOld()) : undefined;
    if (this.#durationTimer !== undefined) {
      pool.env.wheel.start(this.#durationTimer, Math.max(0, maxDurationMs - ageMs));
    }
  }

  /** How many more exchanges may be started now. */
  abstract get room(): number;

  /** Exchanges that it has carried and carries. */
  get started(): number {
    return this.client.started;
  }

  get active(): number {
    return this.client.active;
  }

  /** How long it may stand idle from now on; 0 is without end. */
  abstract get idleLimitMs(): number;

  /** Whether the kernel may have taken a byte of that exchange's request. */
  abstract handedToKernel(exchange: RequestEncoder): boolean;

  /** Of that exchange, with heads and framing. */
  abstract wireBytesSent(exchange: RequestEncoder): number;
  abstract wireBytesReceived(exchange: RequestEncoder): number;

  /** Only while there is room. */
  abstract startExchange(decoder: ResponseDecoder): RequestEncoder;

  /** Starts waiting for the next exchange. `limitMs`: 0 is without end. */
  becomeIdle(limitMs: number): void {
    if (limitMs === 0) return;
    const { clock, wheel } = this.pool.env;
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

  /** Takes no further exchange; ends when the open ones have ended, at once if there is none. */
  retire(): void {
    this.leaving = true;
    this.client.drain();
  }

  // === the codec tells

  abstract onCapacityChange(): void;

  // === the transport tells

  onData(bytes: Uint8Array): void {
    this.client.receive(bytes);
  }

  onEnd(): void {
    this.#peerEnded = true;
    this.#wasActive = this.active > 0;
    this.client.receiveEnd();
  }

  onDrain(): void {
    this.client.transportDrained();
  }

  /** The codec is done with the connection, or the transport is gone; for the codec the latter includes the former. */
  onClose(cause: Failure | undefined): void {
    if (this.gone) return;
    const isProtocol = cause?.kind === "upstream-protocol-error";
    if (isProtocol) this.pool.stats.cxProtocolError.add();
    this.#end(connectionLost(cause), this.#peerEnded || (cause?.side === "upstream" && !isProtocol));
  }

  /** Ends it at once, for a reason of ours. */
  protected abandon(reason: Failure): void {
    this.#end(reason, false);
  }

  protected get idleLeftMs(): number {
    return this.#idleUntilMs - this.pool.env.clock.now();
  }

  /** Tells the cluster of the bytes that have not been counted yet. */
  protected countBytes(): void {
    const { stats } = this.pool;
    const { bytesRead, bytesWritten } = this.connection;
    stats.cxRxBytes.add(bytesRead - this.#bytesToldRead);
    stats.cxTxBytes.add(bytesWritten - this.#bytesToldWritten);
    this.#bytesToldRead = bytesRead;
    this.#bytesToldWritten = bytesWritten;
  }

  protected cancelTimers(): void {
    const { wheel } = this.pool.env;
    wheel.cancel(this.#idleTimer);
    if (this.#durationTimer !== undefined) wheel.cancel(this.#durationTimer);
  }

  #end(reason: Failure, isRemote: boolean): void {
    if (this.gone) return;
    this.#wasActive ||= this.active > 0;
    this.gone = true;
    this.client.transportClosed(reason);
    const { stats, env } = this.pool;
    this.countBytes();
    stats.countEnd(isRemote, this.#wasActive, env.clock.now() - this.startedMs);
    this.cancelTimers();
    this.connection.destroy();
    this.pool.lost(this);
  }

  #checkIdle(): void {
    if (this.#idleUntilMs === Infinity) return; // `becomeIdle` will start it again
    const { clock, wheel } = this.pool.env;
    const leftMs = this.#idleUntilMs - clock.now();
    if (leftMs > 0) {
      this.#timerAtMs = this.#idleUntilMs;
      wheel.start(this.#idleTimer, leftMs);
      return;
    }
    this.pool.stats.cxIdleTimeout.add();
    this.retire();
  }

  #tooOld(): void {
    this.pool.stats.cxMaxDuration.add();
    this.retire();
  }
}

/**
 * A connection that breaks and one that is closed are the same to a request (Envoy's UC). "reset-by-upstream" is kept for
 * a peer that resets one of many streams.
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
