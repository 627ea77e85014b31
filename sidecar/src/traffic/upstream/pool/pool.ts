import { type Failure, failure, type Json } from "@heddle/base";
import type { HeaderNameFormat, HttpLimits } from "@heddle/http";
import type { Connection, Dialling } from "@heddle/net";
import type { CircuitBreaker, Endpoint } from "@heddle/traffic";
import type { ClusterStats } from "../cluster-stats.ts";
import type { UpstreamDialOptions, UpstreamEnv } from "../upstream-env.ts";
import { H1PooledConnection } from "./h1-connection.ts";
import { idleLimitMs } from "./idle-limit.ts";
import { type ConnectionIdentity, poolKey } from "./pool-key.ts";
import type {
  ConnectionGiver,
  ConnectionPast,
  ConnectionTaker,
  GivenConnection,
  OfferedConnection,
  PoolShare,
} from "./pool-sharing.ts";

/** An exchange that wants a connection. Exactly one of the two is called, once, unless it leaves before. */
export interface PoolWaiter {
  /** It has met a stale connection, and wants none that stood idle in another worker: one of those may be stale too. */
  readonly wantsFresh?: boolean;
  onConnection(connection: H1PooledConnection): void;
  onNoConnection(failure: Failure): void;
}

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
  /** The cluster's name where workers share its connections to endpoints. */
  readonly sharedAs?: string;
}

/**
 * The HTTP/1 connections of one cluster to one endpoint. Idle ones are taken last in, first out, so that a quiet pool
 * shrinks. A waiter causes one dial; whichever connection is free first serves the waiter that came first.
 *
 * The circuit breaker's limits are asked before a connection is made and before an exchange waits. As in Envoy a pool
 * that has no connection at all may always make one, or its waiters could wait for ever behind those of other pools.
 *
 * Where workers share their pools, another worker that has an idle connection is asked before one is made.
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
  readonly #idle: H1PooledConnection[] = [];
  readonly #connections = new Set<H1PooledConnection>();
  /** In the order in which they came. */
  readonly #waiters = new Set<PoolWaiter>();
  readonly #dials = new Set<Dial>();
  readonly #share: PoolShare | undefined;
  /** Questions to other workers whose answer is awaited. Each stands for a dial. */
  #asking = 0;
  /** Of the waiters. */
  #wantFresh = 0;
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
    this.stats = stats;
    this.env = env;
    this.#onEmpty = onEmpty;
    // TLS has its state in the thread that made it.
    const isShared = options.sharedAs !== undefined && identity.tls === undefined;
    // What the connection was made with is part of the key, since it goes along.
    const shareKey = `${options.sharedAs} ${this.key} ${options.keepAliveDelayMs ?? ""}`;
    this.#share = isShared ? env.sharing?.join(shareKey, this) : undefined;
  }

  /** An idle connection, or undefined: then `wait` for one. */
  takeIdle(): H1PooledConnection | undefined {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (this.#share !== undefined) this.#share.countIdle(-1);
      connection.leaveIdle();
      if (connection.usable) return connection;
    }
    return undefined;
  }

  /** Calls back later, or at once with a failure when too many wait already. */
  wait(waiter: PoolWaiter): void {
    if (!this.#breaker.tryAcquirePending()) {
      this.stats.rqPendingOverflow.add();
      waiter.onNoConnection(PENDING_OVERFLOW);
      return;
    }
    this.stats.rqPendingTotal.add();
    this.stats.rqPendingActive.add(1);
    this.#waiters.add(waiter);
    if (waiter.wantsFresh === true) this.#wantFresh++;
    this.#dialForWaiters(true);
  }

  /** The waiter hears nothing more. What was being dialled for it stays, for others. */
  leave(waiter: PoolWaiter): void {
    if (this.#unqueue(waiter)) this.stats.rqCancelled.add();
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
    for (const waiter of this.#waiters) {
      this.#unqueue(waiter);
      waiter.onNoConnection(POOL_DESTROYED);
    }
    for (const connection of this.#connections) connection.connection.destroy();
  }

  get counts(): {
    readonly idle: number;
    readonly connections: number;
    readonly waiting: number;
    readonly dialling: number;
  } {
    return {
      idle: this.#idle.length,
      connections: this.#connections.size,
      waiting: this.#waiters.size,
      dialling: this.#dials.size + this.#asking,
    };
  }

  inspect(): Json {
    return { key: this.key, draining: this.#draining, ...this.counts };
  }

  // === what connections tell

  /** A connection has ended its exchange and can carry another one. */
  freed(connection: H1PooledConnection): void {
    const { maxRequestsPerConnection } = this.#options;
    const usedUp = maxRequestsPerConnection > 0 && connection.started >= maxRequestsPerConnection;
    if (usedUp) this.stats.cxMaxRequests.add();
    if (usedUp || this.#draining) {
      connection.retire();
      return;
    }
    const waiter = this.#nextWaiter();
    if (waiter !== undefined) waiter.onConnection(connection);
    else this.#keep(connection, idleLimitMs(this.#options.idleTimeoutMs, connection.announcedIdleMs));
  }

  /** A connection is gone. */
  lost(connection: H1PooledConnection): void {
    if (!this.#connections.delete(connection)) return;
    const place = this.#idle.indexOf(connection);
    if (place !== -1) {
      this.#idle.splice(place, 1);
      this.#share?.countIdle(-1);
    }
    this.endpoint.activeConnections--;
    this.#uncount(connection.counted);
    this.#dialForWaiters(true);
    this.#tellIfEmpty();
  }

  // === sharing

  give(release: (connection: Connection) => number): GivenConnection | undefined {
    const [connection] = this.#idle;
    const given = connection?.handOver(release);
    if (connection === undefined || given === undefined) return undefined;
    this.#idle.shift();
    this.#share?.countIdle(-1);
    this.#connections.delete(connection);
    this.endpoint.activeConnections--;
    return { ...given, settle: () => this.#uncount(given.past.counted) };
  }

  onOffer(offer: OfferedConnection, late: boolean): void {
    if (!late) this.#asking--;
    const { past } = offer;
    const { highWatermarkBytes } = this.#options;
    if (past.counted) this.#breaker.acquireMovedConnection(); // first, so that the sum is never too low
    const connection = offer.adopt(highWatermarkBytes);
    if (connection === undefined) {
      if (past.counted) this.#breaker.releaseConnection();
    } else {
      this.stats.cxHandedOver.add();
      const pooled = this.#pooled(connection, past.counted, past);
      this.#add(pooled);
      const waiter = this.#nextWaiter(false);
      if (waiter !== undefined) waiter.onConnection(pooled);
      else if (this.#draining) pooled.retire();
      else if (pooled.usable) this.#keep(pooled, past.idleLeftMs);
    }
    this.#dialForWaiters(connection !== undefined);
    this.#tellIfEmpty();
  }

  onNothing(): void {
    this.#asking--;
    this.#dialForWaiters(false);
    this.#tellIfEmpty();
  }

  #pooled(connection: Connection, counted: boolean, past?: ConnectionPast): H1PooledConnection {
    const { maxConnectionDurationMs: atLeastMs, maxConnectionDurationJitterPercent: jitter } = this.#options;
    const spread = jitter === 0 ? 0 : (this.env.random() % 10_000) / 10_000;
    const maxDurationMs = atLeastMs * (1 + (jitter / 100) * spread);
    return new H1PooledConnection(connection, this, counted, maxDurationMs, this.#options, past);
  }

  #keep(connection: H1PooledConnection, limitMs: number): void {
    this.#idle.push(connection);
    if (this.#share !== undefined) this.#share.countIdle(1);
    connection.becomeIdle(limitMs);
  }

  #add(connection: H1PooledConnection): void {
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
    while (this.#dials.size + this.#asking < this.#waiters.size) {
      if (mayAsk && this.#wantFresh === 0 && this.#share?.ask(this) === true) {
        this.#asking++;
        continue;
      }
      const counted = this.#breaker.tryAcquireConnection();
      if (!counted) {
        this.stats.cxOverflow.add();
        // Somebody's connection will be free, here; see the class comment.
        if (this.#connections.size + this.#dials.size + this.#asking > 0) return;
      }
      this.#dial(counted);
    }
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
    this.stats.cxHttp1Total.add();
    this.endpoint.connections++;
    this.#add(pooled);
    const waiter = this.#nextWaiter();
    if (waiter !== undefined) waiter.onConnection(pooled);
    else if (pooled.usable) this.freed(pooled);
  }

  #endDial(dial: Dial): void {
    if (this.#dials.delete(dial) && dial.counted) this.#breaker.releaseConnection();
  }

  /** The waiter that no other dial is under way for hears of it: the one that came first. */
  #dialFailed(reason: Failure): void {
    if (this.#waiters.size > this.#dials.size + this.#asking) {
      const waiter = this.#nextWaiter();
      this.stats.rqPendingFailureEject.add();
      waiter?.onNoConnection(reason);
    }
    this.#dialForWaiters(true);
    this.#tellIfEmpty();
  }

  #nextWaiter(isFresh = true): PoolWaiter | undefined {
    for (const waiter of this.#waiters) {
      if (!isFresh && waiter.wantsFresh === true) continue;
      this.#unqueue(waiter);
      return waiter;
    }
    return undefined;
  }

  #unqueue(waiter: PoolWaiter): boolean {
    if (!this.#waiters.delete(waiter)) return false;
    if (waiter.wantsFresh === true) this.#wantFresh--;
    this.#breaker.releasePending();
    this.stats.rqPendingActive.add(-1);
    return true;
  }

  #tellIfEmpty(): void {
    if (this.#onEmpty === undefined || this.#waiters.size > 0) return;
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

const PENDING_OVERFLOW = failure("overflow", "local", "too many requests wait for a connection to the cluster");
const POOL_DESTROYED = failure("draining", "local", "the pool was closed");
