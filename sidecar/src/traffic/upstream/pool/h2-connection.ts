import { failure } from "@heddle/base";
import { H2ClientConnection, type H2ClientOptions, type RequestEncoder, type ResponseDecoder } from "@heddle/http";
import type { Connection } from "@heddle/net";
import type { Http2Keepalive } from "@heddle/traffic";
import { KeepalivePings } from "../../http2/keepalive-pings.ts";
import type { Pool } from "./pool.ts";
import { PooledConnection } from "./pooled-connection.ts";

/** A pooled HTTP/2 connection: many exchanges at a time, as far as the peer and the configuration let it. */
export class H2PooledConnection extends PooledConnection {
  readonly httpVersion = "2";
  protected readonly client: H2ClientConnection;
  readonly #pings: KeepalivePings | undefined;
  #saidGoAway = false;

  /** `maxDurationMs`: 0 is without end. `keepalive`: undefined: no PING is sent. */
  constructor(
    connection: Connection,
    pool: Pool,
    counted: boolean,
    maxDurationMs: number,
    codecOptions: H2ClientOptions,
    keepalive: Http2Keepalive | undefined,
  ) {
    super(connection, pool, counted, maxDurationMs, 0);
    this.client = new H2ClientConnection(connection, this, codecOptions);
    const owner = { sendPing: () => this.client.ping(), onKeepaliveTimeout: () => this.#silent() };
    this.#pings = keepalive && new KeepalivePings(keepalive, pool.env, owner);
    connection.start(this);
  }

  override get room(): number {
    if (this.gone || this.connection.closed) return 0;
    const { capacity, settled, active } = this.client;
    // Before it has told its limit it is expected to have that of the last one: what is above would be refused.
    return settled ? capacity : Math.max(0, Math.min(capacity, this.pool.perConnection - active));
  }

  override get idleLimitMs(): number {
    return this.pool.http2IdleLimitMs;
  }

  /** Its bytes stand among those of others, so when they leave cannot be told; they may have at once. */
  override handedToKernel(exchange: RequestEncoder): boolean {
    return exchange.bytesHandedOver;
  }

  override wireBytesSent(exchange: RequestEncoder): number {
    return exchange.wireBytesSent ?? 0;
  }

  override wireBytesReceived(exchange: RequestEncoder): number {
    return exchange.wireBytesReceived ?? 0;
  }

  override startExchange(decoder: ResponseDecoder): RequestEncoder {
    this.reused = this.started > 0;
    this.leaveIdle();
    this.countBytes();
    this.#pings?.exchangeBegins();
    const exchange = this.client.startExchange(decoder);
    this.pool.retireIfUsedUp(this);
    return exchange;
  }

  override onData(bytes: Uint8Array): void {
    if (this.#pings !== undefined) this.#pings.heard();
    super.onData(bytes);
  }

  override onCapacityChange(): void {
    if (this.gone) return;
    this.pool.learn(this.client.maxConcurrentStreams);
    this.pool.freed(this);
  }

  onPong(): void {
    this.#pings?.pong();
  }

  onGoAway(): void {
    if (this.#saidGoAway) return; // the second names the last stream
    this.#saidGoAway = true;
    this.leaving = true;
    this.pool.stats.cxCloseNotify.add();
  }

  protected override cancelTimers(): void {
    super.cancelTimers();
    this.#pings?.stop();
  }

  #silent(): void {
    this.pool.stats.http2.keepaliveTimeout.add();
    this.abandon(SILENT);
  }
}

const SILENT = failure(
  "connection-closed",
  "upstream",
  "the upstream did not answer a PING in time",
  "if-connection-was-reused",
);
