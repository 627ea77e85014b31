import { type Failure, failure, type Json } from "@heddle/base";
import type { H2ClientOptions, HeaderNameFormat, HttpLimits } from "@heddle/http";
import type { Connection, Dialling } from "@heddle/net";
import type { CircuitBreaker, Endpoint, Http2Options } from "@heddle/traffic";
import type { ClusterStats } from "../cluster-stats.ts";
import type { UpstreamDialOptions, UpstreamEnv } from "../upstream-env.ts";
import { H1PooledConnection } from "./h1-connection.ts";
import { H2PooledConnection } from "./h2-connection.ts";
import { http2IdleLimitMs, idleLimitMs } from "./idle-limit.ts";
import { type ConnectionIdentity, poolKey } from "./pool-key.ts";
import type {
  ConnectionGiver,
  ConnectionPast,
  ConnectionTaker,
  GivenConnection,
  OfferedConnection,
  PoolShare,
} from "./pool-sharing.ts";
import type { PooledConnection } from "./pooled-connection.ts";
import { type PoolWaiter, WaitingLine } from "./waiting-line.ts";

export interface PoolOptions extends UpstreamDialOptions {
  /** Undefined: the pool's own rule; 0: without end. */
  readonly idleTimeoutMs: number | undefined;
  readonly maxConnectionDurationMs: number;
  /** Of the duration; each connection gets up to that much more. */
  readonly maxConnectionDurationJitterPercent: number;
  readonly maxRequestsPerConnection: number;
  /** Of responses. */
  readonly limits: HttpLimits;
  readonly headerNames?: HeaderNameFormat;
  readonly http2: Http2Options;
  /** The cluster's name where workers share its HTTP/1 connections to endpoints. */
  readonly sharedAs?: string;
}

/**
 * The connections of one cluster to one endpoint, in one protocol or in the one that TLS agrees on. Of those that have room
 * the one that had it last is taken first, so that a quiet pool shrinks, and many exchanges share few HTTP/2 connections.
 * Waiters cause as many dials as it takes to carry them; whichever connection has room first serves the waiter that came
 * first.
 *
 * The circuit breaker's limits are asked before a connection is made and before an exchange waits. As in Envoy a pool
 * that has no connection at all may always make one, or its waiters could wait for ever behind those of other pools.
 *
 * Where workers share their pools, another worker that has an idle HTTP/1 connection is asked before one is made. An HTTP/2
 * connection has its state (HPACK tables, windows, open streams) in its worker, and stays there.
 */
export class Pool implements ConnectionGiver, ConnectionTaker {
  readonly env: UpstreamEnv;
  readonly stats: ClusterStats;
  readonly endpoint: Endpoint;
  /** What its connections have in common; see `ConnectionIdentity`. */
  readonly key: string;
  readonly #identity: ConnectionIdentity;
  readonly #options: PoolOptions;
  readonly #breaker: CircuitBreaker;
  readonly #onEmpty: ((pool: Pool) => void) | undefined;
  /** Those that have room, and perhaps some whose room is gone since. */
  readonly #ready: PooledConnection[] = [];
  readonly #connections = new Set<PooledConnection>();
  readonly #waiters: WaitingLine;
  readonly #dials = new Set<Dial>();
  readonly #share: PoolShare | undefined;
  /** Questions to other workers whose answer is awaited. Each stands for a dial. */
  #asking = 0;
  /** How many exchanges the next connection is expected to carry at a time; at least 1. */
  #perConnection: number;
  #http2Codec: H2ClientOptions | undefined = undefined;
  #draining = false;

  /** `onEmpty` is called whenever nothing is left that the pool would have to close. */
  constructor(
    endpoint: Endpoint,
    identity: ConnectionIdentity,
    options: PoolOptions,
    breaker: CircuitBreaker,
    stats: ClusterStats,
    env: UpstreamEnv,
    onEmpty?: (pool: Pool) => void,
  ) {
    this.endpoint = endpoint;
    this.#identity = identity;
    this.key = poolKey(identity);
    this.#options = options;
    this.#breaker = breaker;
    this.#waiters = new WaitingLine(breaker, stats);
    this.stats = stats;
    this.env = env;
    this.#onEmpty = onEmpty;
    this.#perConnection = expectedConcurrency(identity.protocol, options);
    // TLS has its state in the thread that made it.
    const isShared = options.sharedAs !== undefined && identity.tls === undefined && identity.protocol === "http1";
    // What the connection was made with is part of the key, since it goes along.
    const shareKey = `${options.sharedAs} ${this.key} ${options.keepAliveDelayMs ?? ""}`;
    this.#share = isShared ? env.sharing?.join(shareKey, this) : undefined;
  }

  /** A connection that has room, or undefined: then `wait` for one. */
  take(): PooledConnection | undefined {
    for (let at = this.#ready.length - 1; at >= 0; at--) {
      const connection = this.#ready[at]!; // `at` is below the length
      const { room } = connection;
      if (room <= 1) this.#unlist(at);
      if (room > 0) return connection;
    }
    return undefined;
  }

  /** Calls back later, or at once with a failure when too many wait already. */
  wait(waiter: PoolWaiter): void {
    if (this.#waiters.join(waiter)) this.#dialForWaiters(true);
  }

  /** The waiter hears nothing more. What was being dialled for it stays, for others. */
  leave(waiter: PoolWaiter): void {
    if (this.#waiters.leave(waiter)) this.stats.rqCancelled.add();
    this.#tellIfEmpty();
  }

  /** Keeps no connection any more: idle ones close now, the others after their exchange. Waiters are still served. */
  drain(): void {
    this.#draining = true;
    this.#share?.leave();
    for (const connection of this.#connections) connection.retire();
    this.#tellIfEmpty();
  }

  /** Ends at once, whatever runs. */
  destroy(): void {
    this.#draining = true;
    this.#share?.leave();
    for (const dial of this.#dials) {
      dial.cancel();
      this.#endDial(dial);
    }
    this.#waiters.turnAway(Infinity, POOL_DESTROYED);
    for (const connection of this.#connections) connection.connection.destroy();
  }

  get counts(): {
    readonly idle: number;
    readonly connections: number;
    readonly waiting: number;
    readonly dialling: number;
  } {
    return {
      idle: this.#ready.filter(({ room, active }) => room > 0 && active === 0).length,
      connections: this.#connections.size,
      waiting: this.#waiters.length,
      dialling: this.#dials.size + this.#asking,
    };
  }

  inspect(): Json {
    return { key: this.key, draining: this.#draining, ...this.counts };
  }

  // === what connections tell

  /** What a connection can carry has changed. */
  freed(connection: PooledConnection): void {
    this.#serve(connection);
    if (connection.leaving && this.#waiters.length > 0) this.#dialForWaiters(true);
  }

  get perConnection(): number {
    return this.#perConnection;
  }

  /** What the peer allows on one connection it will allow on the next one. */
  learn(concurrency: number): void {
    if (concurrency > 0) this.#perConnection = withinRequests(concurrency, this.#options);
  }

  /** Ends a connection that has carried as many exchanges as it may, behind those that it carries. */
  retireIfUsedUp(connection: PooledConnection): boolean {
    const { maxRequestsPerConnection } = this.#options;
    if (maxRequestsPerConnection === 0 || connection.started < maxRequestsPerConnection) return false;
    this.stats.cxMaxRequests.add();
    connection.retire();
    return true;
  }

  http1IdleLimitMs(announcedMs: number | undefined): number {
    return idleLimitMs(this.#options.idleTimeoutMs, announcedMs);
  }

  get http2IdleLimitMs(): number {
    return http2IdleLimitMs(this.#options.idleTimeoutMs);
  }

  /** A connection is gone. */
  lost(connection: PooledConnection): void {
    if (!this.#connections.delete(connection)) return;
    if (connection.listed) this.#unlist(this.#ready.indexOf(connection));
    this.endpoint.activeConnections--;
    this.#uncount(connection.counted);
    this.#dialForWaiters(true);
    this.#tellIfEmpty();
  }

  // === sharing

  give(release: (connection: Connection) => number): GivenConnection | undefined {
    const [connection] = this.#ready;
    if (!(connection instanceof H1PooledConnection)) return undefined;
    const given = connection.handOver(release);
    if (given === undefined) return undefined;
    this.#unlist(0);
    this.#connections.delete(connection);
    this.endpoint.activeConnections--;
    return { ...given, settle: () => this.#uncount(given.past.counted) };
  }

  onOffer(offer: OfferedConnection): void {
    this.#asking--;
    const { past } = offer;
    const { highWatermarkBytes } = this.#options;
    if (past.counted) this.#breaker.acquireMovedConnection(); // first, so that the sum is never too low
    const connection = offer.adopt(highWatermarkBytes);
    if (connection === undefined) {
      if (past.counted) this.#breaker.releaseConnection();
    } else {
      this.stats.cxHandedOver.add();
      const pooled = this.#http1(connection, past.counted, past);
      this.#add(pooled);
      const waiter = this.#waiters.next(false);
      if (waiter !== undefined) waiter.onConnection(pooled);
      else if (this.#draining) pooled.retire();
      else if (pooled.room > 0) this.#keep(pooled, past.idleLeftMs);
    }
    this.#dialForWaiters(connection !== undefined);
    this.#tellIfEmpty();
  }

  onNothing(): void {
    this.#asking--;
    this.#dialForWaiters(false);
    this.#tellIfEmpty();
  }

  // === connections

  #pooled(connection: Connection, counted: boolean): PooledConnection {
    const { protocol } = this.#identity;
    const isHttp2 = protocol === "http2" || (protocol === "auto" && connection.alpnProtocol === "h2");
    if (!isHttp2) this.#perConnection = 1;
    return isHttp2 ? this.#http2(connection, counted) : this.#http1(connection, counted);
  }

  #http1(connection: Connection, counted: boolean, past?: ConnectionPast): H1PooledConnection {
    return new H1PooledConnection(connection, this, counted, this.#maxDurationMs(), this.#options, past);
  }

  #http2(connection: Connection, counted: boolean): H2PooledConnection {
    const { http2, limits } = this.#options;
    // An upgrade goes where the peer takes it, which it says itself.
    this.#http2Codec ??= { ...http2, limits, allowConnect: true, stats: this.stats.http2 };
    return new H2PooledConnection(connection, this, counted, this.#maxDurationMs(), this.#http2Codec, http2.keepalive);
  }

  #maxDurationMs(): number {
    const { maxConnectionDurationMs: atLeastMs, maxConnectionDurationJitterPercent: jitter } = this.#options;
    const spread = jitter === 0 ? 0 : (this.env.random() % 10_000) / 10_000;
    return atLeastMs * (1 + (jitter / 100) * spread);
  }

  /** Gives waiters to a connection while it has room, and keeps it for those to come if it still has. */
  #serve(connection: PooledConnection): void {
    while (this.#waiters.length > 0 && connection.room > 0) {
      this.#waiters.next()?.onConnection(connection);
    }
    if (connection.room === 0) return;
    if (this.#draining) connection.retire();
    else this.#keep(connection, connection.idleLimitMs);
  }

  #keep(connection: PooledConnection, idleLimitMs: number): void {
    if (!connection.listed) {
      connection.listed = true;
      this.#ready.push(connection);
      if (this.#share !== undefined) this.#share.countIdle(1);
    }
    if (connection.active === 0) connection.becomeIdle(idleLimitMs);
  }

  #unlist(at: number): void {
    const connection = this.#ready[at]!; // whoever calls this has seen it there
    connection.listed = false;
    if (at === this.#ready.length - 1) this.#ready.pop();
    else this.#ready.splice(at, 1);
    if (this.#share !== undefined) this.#share.countIdle(-1);
  }

  #add(connection: PooledConnection): void {
    this.#connections.add(connection);
    this.endpoint.activeConnections++;
    this.stats.cxActive.add(1);
  }

  #uncount(counted: boolean): void {
    if (counted) this.#breaker.releaseConnection();
    this.stats.cxActive.add(-1);
  }

  // === dialling

  #dialForWaiters(mayAsk: boolean): void {
    while (this.#awaited < this.#waiters.length) {
      if (mayAsk && this.#waiters.takesAny && this.#share?.ask(this) === true) {
        this.#asking++;
        continue;
      }
      const counted = this.#breaker.tryAcquireConnection();
      if (!counted) {
        this.stats.cxOverflow.add();
        if (this.#serveFromReady()) continue;
        // Somebody's connection will have room, here; see the class comment.
        if (this.#dials.size + this.#asking > 0 || this.#mayHaveRoomAgain()) return;
      }
      this.#dial(counted);
    }
  }

  /** How many waiters will be served by what is under way. */
  get #awaited(): number {
    const underWay = (this.#dials.size + this.#asking) * this.#perConnection;
    return this.#identity.protocol === "http1" ? underWay : underWay + this.#roomToCome();
  }

  /** Of HTTP/2 connections whose peer allows no stream at all now: another one would have no more. */
  #roomToCome(): number {
    let sum = 0;
    for (const { leaving, active, room } of this.#connections) {
      if (!leaving && active === 0 && room === 0) sum += this.#perConnection;
    }
    return sum;
  }

  #mayHaveRoomAgain(): boolean {
    for (const { leaving } of this.#connections) if (!leaving) return true;
    return false;
  }

  /** Who wanted a connection that did not stand idle gets one that did, before it gets none. */
  #serveFromReady(): boolean {
    const connection = this.take();
    if (connection === undefined) return false;
    this.#waiters.next()?.onConnection(connection); // it is called for waiters
    return true;
  }

  #dial(counted: boolean): void {
    const startedMs = this.env.clock.now();
    const dial = new Dial(counted);
    this.#dials.add(dial);
    dial.dialling = this.env.dial(this.#identity, this.#options, {
      onConnected: (connection) => {
        this.stats.cxConnectMs.record(this.env.clock.now() - startedMs);
        this.#dials.delete(dial);
        this.#connected(connection, counted);
      },
      onFailed: (reason) => {
        this.stats.cxConnectFail.add();
        this.endpoint.connectFailures++;
        if (reason.kind === "connect-timeout") this.stats.cxConnectTimeout.add();
        this.#endDial(dial);
        this.#dialFailed(reason);
      },
    });
  }

  #connected(connection: Connection, counted: boolean): void {
    const pooled = this.#pooled(connection, counted);
    this.stats.cxTotal.add();
    (pooled.httpVersion === "2" ? this.stats.cxHttp2Total : this.stats.cxHttp1Total).add();
    this.endpoint.connections++;
    this.#add(pooled);
    if (pooled.room > 0) this.freed(pooled);
    if (this.#waiters.length > 0) this.#dialForWaiters(true);
  }

  #endDial(dial: Dial): void {
    if (this.#dials.delete(dial) && dial.counted) this.#breaker.releaseConnection();
  }

  /** The waiters that nothing else is under way for hear of it: those that came first. */
  #dialFailed(reason: Failure): void {
    const count = Math.min(this.#perConnection, this.#waiters.length - this.#awaited);
    if (count > 0) this.stats.rqPendingFailureEject.add(count);
    this.#waiters.turnAway(count, reason);
    this.#dialForWaiters(true);
    this.#tellIfEmpty();
  }

  #tellIfEmpty(): void {
    if (this.#onEmpty === undefined || this.#waiters.length > 0) return;
    if (this.#connections.size + this.#dials.size + this.#asking === 0) this.#onEmpty(this);
  }
}

/** One connection that is being made. */
class Dial {
  readonly counted: boolean;
  dialling: Dialling | undefined = undefined;

  constructor(counted: boolean) {
    this.counted = counted;
  }

  cancel(): void {
    this.dialling?.cancel();
  }
}

/** Before a connection has told. What TLS will agree on is unknown: one connection is made, and then as many as it shows. */
function expectedConcurrency(protocol: ConnectionIdentity["protocol"], options: PoolOptions): number {
  switch (protocol) {
    case "http1":
      return 1;
    case "http2":
      return withinRequests(options.http2.maxConcurrentStreams, options);
    case "auto":
      return 2 ** 31;
    case "bytes":
      throw new TypeError("a connection that nobody looks into is nobody else's");
    default:
      throw new Error(`unknown protocol ${JSON.stringify(protocol satisfies never)}`);
  }
}

function withinRequests(concurrency: number, { maxRequestsPerConnection }: PoolOptions): number {
  return maxRequestsPerConnection === 0 ? concurrency : Math.min(concurrency, maxRequestsPerConnection);
}

const POOL_DESTROYED = failure("draining", "local", "the pool was closed");
