import { type Failure, failure } from "@heddle/base";
import type { H2ServerConnection } from "@heddle/http";
import { type KeepaliveOwner, KeepalivePings } from "../http2/keepalive-pings.ts";
import type { HttpConnectionManager } from "./http-connection-manager.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { MIN_STREAM_LIFETIME_MS, PrematureResets } from "./premature-resets.ts";

/** What the connection is asked and told. */
export interface Http2WatchOwner {
  /** Exchanges that are open now. */
  readonly openExchanges: number;
  /** Has `Http2Watch.check` called by then at the latest. */
  checkBy(atMs: number, now: number): void;
  /** The client is silent: ends everything at once. */
  cutOff(reason: Failure): void;
  /** It takes back too many requests: ends everything, with a word to it. */
  giveUp(): void;
}

/**
 * What a client's connection of HTTP/2 is watched for besides the time of its exchanges: whether it answers PINGs, how often it
 * takes requests back, whether a frame that has begun ends, and whether complete answers are taken. Nobody else would see the
 * latter two, since a request begins with a whole frame and its exchange ends when its answer has been handed over.
 */
export class Http2Watch implements KeepaliveOwner {
  readonly #manager: HttpConnectionManager;
  readonly #codec: H2ServerConnection;
  readonly #owner: Http2WatchOwner;
  readonly #pings: KeepalivePings | undefined;
  readonly #resets = new PrematureResets();
  /** The exchange of the stream whose reset is told next has been counted. */
  #resetCounted = false;
  /** The frame of which a part has come, by `H2ServerConnection.partialFrame`, and until when its end is waited for. */
  #partialFrame = -1;
  #frameByMs = Infinity;
  /** When answers are looked at that are complete and not taken. */
  #flushAtMs = Infinity;

  constructor(manager: HttpConnectionManager, codec: H2ServerConnection, owner: Http2WatchOwner) {
    this.#manager = manager;
    this.#codec = codec;
    this.#owner = owner;
    const { keepalive } = manager.config.http2;
    this.#pings = keepalive && new KeepalivePings(keepalive, manager.env, this);
  }

  stop(): void {
    this.#pings?.stop();
  }

  /** A read has been dealt with. */
  wasRead(): void {
    if (this.#pings !== undefined) this.#pings.heard();
    const { partialFrame } = this.#codec;
    if (partialFrame === this.#partialFrame) return;
    this.#partialFrame = partialFrame;
    this.#frameByMs = Infinity;
    const { config, env } = this.#manager;
    if (partialFrame === -1 || config.requestHeadersTimeoutMs === 0) return;
    const now = env.clock.now();
    this.#frameByMs = now + config.requestHeadersTimeoutMs;
    this.#owner.checkBy(this.#frameByMs, now);
  }

  /** A request that the client takes back before its answer, early, is what floods are made of. */
  exchangeEnded({ cutByClient, responseBegun, startMs, endMs }: HttpExchange): void {
    this.#resetCounted = cutByClient;
    const premature = cutByClient && !responseBegun && endMs - startMs <= MIN_STREAM_LIFETIME_MS;
    if (this.#resets.isTooMuch(premature)) this.#owner.giveUp();
    if (this.#codec.active > this.#owner.openExchanges) this.#awaitFlush();
  }

  /** Behind the end of its exchange, if there was one. */
  streamReset(): void {
    if (!this.#resetCounted && this.#resets.isTooMuch(true)) this.#owner.giveUp();
    this.#resetCounted = false;
  }

  pong(): void {
    this.#pings?.pong();
  }

  sendPing(): void {
    this.#codec.ping();
  }

  onKeepaliveTimeout(): void {
    this.#manager.http2Stats.keepaliveTimeout.add();
    this.#owner.cutOff(PING_TIMEOUT);
  }

  nextDeadline(): number {
    return Math.min(this.#frameByMs, this.#flushAtMs);
  }

  /** False: the connection is to end behind what is open. */
  check(now: number): boolean {
    if (this.#flushAtMs <= now) {
      this.#flushAtMs = Infinity;
      this.#manager.http2Stats.txFlushTimeout.add(this.#codec.resetStalled());
      if (this.#codec.active > this.#owner.openExchanges) this.#awaitFlush();
    }
    if (this.#frameByMs > now) return true;
    this.#frameByMs = Infinity;
    return false;
  }

  /** An answer is complete that the client has not taken whole: it has as long as an exchange may stand still. */
  #awaitFlush(): void {
    const { config, env } = this.#manager;
    if (this.#flushAtMs !== Infinity || config.streamIdleTimeoutMs === 0) return;
    const now = env.clock.now();
    this.#flushAtMs = now + config.streamIdleTimeoutMs;
    this.#owner.checkBy(this.#flushAtMs, now);
  }
}

const PING_TIMEOUT: Failure = {
  ...failure("downstream-reset", "downstream", "the client did not answer a PING in time"),
  code: "downstream_local_disconnect(http2_ping_timeout)",
};
