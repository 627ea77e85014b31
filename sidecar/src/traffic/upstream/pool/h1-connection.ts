import { H1ClientConnection, type H1ClientOptions, type RequestEncoder, type ResponseDecoder } from "@heddle/http";
import type { Connection } from "@heddle/net";
import type { Pool } from "./pool.ts";
import type { ConnectionPast } from "./pool-sharing.ts";
import { PooledConnection } from "./pooled-connection.ts";

/** A pooled HTTP/1 connection: one exchange at a time, and other workers may have it while it is idle. */
export class H1PooledConnection extends PooledConnection {
  readonly httpVersion = "1.1";
  protected readonly client: H1ClientConnection;
  /** Undefined: it was made here. */
  readonly #past: ConnectionPast | undefined;
  #bytesBefore = 0;
  #readBefore = 0;

  /** `maxDurationMs`: 0 is without end. `past`: of a connection that was another worker's. */
  constructor(
    connection: Connection,
    pool: Pool,
    counted: boolean,
    maxDurationMs: number,
    codecOptions: H1ClientOptions,
    past?: ConnectionPast,
  ) {
    super(connection, pool, counted, maxDurationMs, past?.ageMs ?? 0);
    this.#past = past;
    this.client = new H1ClientConnection(connection, this, codecOptions);
    connection.start(this);
  }

  override get room(): number {
    return this.gone || this.connection.closed ? 0 : this.client.capacity;
  }

  override get started(): number {
    return this.client.started + (this.#past?.requests ?? 0);
  }

  override get idleLimitMs(): number {
    return this.pool.http1IdleLimitMs(this.announcedIdleMs);
  }

  /** What the upstream announced (`Keep-Alive: timeout=N`), in ms. */
  get announcedIdleMs(): number | undefined {
    return this.client.keepAliveTimeoutMs ?? this.#past?.announcedIdleMs;
  }

  // What the transport counts belongs to the one exchange, so which one is asked for does not matter.

  override handedToKernel(): boolean {
    return this.connection.bytesWritten > this.#bytesBefore;
  }

  override wireBytesSent(): number {
    return this.connection.bytesWritten + this.connection.bytesQueued - this.#bytesBefore;
  }

  override wireBytesReceived(): number {
    return this.connection.bytesRead - this.#readBefore;
  }

  override startExchange(decoder: ResponseDecoder): RequestEncoder {
    this.reused = this.started > 0;
    this.leaveIdle();
    this.countBytes();
    this.#bytesBefore = this.connection.bytesWritten;
    this.#readBefore = this.connection.bytesRead;
    return this.client.startExchange(decoder);
  }

  /**
   * Lets go of an idle connection for another worker. `release` answers its descriptor, or -1: then it stays. Undefined if it
   * stays, or is no use to anybody; it is gone otherwise, and the pool is not told.
   */
  handOver(
    release: (connection: Connection) => number,
  ): { readonly descriptor: number; readonly past: ConnectionPast } | undefined {
    if (this.room === 0) return undefined;
    const past = {
      requests: this.started,
      ageMs: this.pool.env.clock.now() - this.startedMs,
      idleLeftMs: this.idleLeftMs,
      announcedIdleMs: this.announcedIdleMs,
      counted: this.counted,
    };
    const descriptor = past.idleLeftMs > 0 ? release(this.connection) : -1;
    if (descriptor < 0) return undefined;
    this.gone = true;
    this.cancelTimers();
    return { descriptor, past };
  }

  override onCapacityChange(): void {
    if (this.room > 0 && !this.pool.retireIfUsedUp(this)) this.pool.freed(this);
  }
}
