import { type Failure, failure } from "@heddle/base";
import type { CircuitBreaker } from "@heddle/traffic";
import type { ClusterStats } from "../cluster-stats.ts";
import type { PooledConnection } from "./pooled-connection.ts";

/** An exchange that wants a connection. Exactly one of the two is called, once, unless it leaves before. */
export interface PoolWaiter {
  /** It has met a stale connection, and wants none that stood idle in another worker: one of those may be stale too. */
  readonly wantsFresh?: boolean;
  onConnection(connection: PooledConnection): void;
  onNoConnection(failure: Failure): void;
}

/** Exchanges that wait for a connection, in the order in which they came. Each is one of the cluster's pending requests. */
export class WaitingLine {
  readonly #breaker: CircuitBreaker;
  readonly #stats: ClusterStats;
  readonly #waiters = new Set<PoolWaiter>();
  #wantFresh = 0;

  constructor(breaker: CircuitBreaker, stats: ClusterStats) {
    this.#breaker = breaker;
    this.#stats = stats;
  }

  get length(): number {
    return this.#waiters.size;
  }

  /** None of them minds a connection that stood idle in another worker. */
  get takesAny(): boolean {
    return this.#wantFresh === 0;
  }

  /** False: too many wait already, which the waiter has been told. */
  join(waiter: PoolWaiter): boolean {
    if (!this.#breaker.tryAcquirePending()) {
      this.#stats.rqPendingOverflow.add();
      waiter.onNoConnection(OVERFLOW);
      return false;
    }
    this.#stats.rqPendingTotal.add();
    this.#stats.rqPendingActive.add(1);
    this.#waiters.add(waiter);
    if (waiter.wantsFresh === true) this.#wantFresh++;
    return true;
  }

  /** False: it did not wait. */
  leave(waiter: PoolWaiter): boolean {
    if (!this.#waiters.delete(waiter)) return false;
    if (waiter.wantsFresh === true) this.#wantFresh--;
    this.#breaker.releasePending();
    this.#stats.rqPendingActive.add(-1);
    return true;
  }

  /** Takes the first out. `isFresh`: who wants a connection that did not stand idle elsewhere may be it. */
  next(isFresh = true): PoolWaiter | undefined {
    for (const waiter of this.#waiters) {
      if (!isFresh && waiter.wantsFresh === true) continue;
      this.leave(waiter);
      return waiter;
    }
    return undefined;
  }

  /** Sends so many away that came first. Those who come back from within are not among them. */
  turnAway(count: number, reason: Failure): void {
    for (let left = Math.min(count, this.length); left > 0; left--) this.next()?.onNoConnection(reason);
  }
}

const OVERFLOW = failure("overflow", "local", "too many requests wait for a connection to the cluster");
