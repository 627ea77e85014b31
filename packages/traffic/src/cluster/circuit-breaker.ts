import type { CircuitBreakerThresholds } from "./cluster-config.ts";

/**
 * The limits of one cluster and priority, counted over all workers of the process: each count is an Int32 cell in shared
 * memory. A `try…` counts one up if that keeps the limit; whoever got `true` gives it back with the `release…` of the same
 * name, once.
 *
 * Every worker makes its own object over the same cells. Limits may differ for the moment in which a new configuration
 * reaches one worker before the other; counts never do.
 */
export class CircuitBreaker {
  readonly #cells: Int32Array;
  readonly #share: Int32Array;
  readonly #limits: CircuitBreakerThresholds;

  /**
   * `cells`: `CIRCUIT_BREAKER_CELLS` cells, all 0 when the first worker begins, shared by those that count together.
   * `share`: as many cells that this worker alone writes, of what it holds of the counts. Whoever survives the worker takes
   * that off the counts, since a dead worker gives nothing back.
   */
  constructor(
    cells: Int32Array,
    limits: CircuitBreakerThresholds,
    share: Int32Array = new Int32Array(CIRCUIT_BREAKER_CELLS),
  ) {
    this.#cells = cells;
    this.#share = share;
    this.#limits = limits;
  }

  tryAcquireConnection(): boolean {
    return tryAcquire(this.#cells, this.#share, CONNECTIONS, this.#limits.maxConnections);
  }

  /**
   * For a connection that comes from another worker, which gives its own count of it back afterwards: so it is counted
   * without a question, and never missing from the sum.
   */
  acquireMovedConnection(): void {
    acquire(this.#cells, this.#share, CONNECTIONS);
  }

  releaseConnection(): void {
    release(this.#cells, this.#share, CONNECTIONS);
  }

  /** For an exchange that waits for a connection. */
  tryAcquirePending(): boolean {
    return tryAcquire(this.#cells, this.#share, PENDING, this.#limits.maxPendingRequests);
  }

  releasePending(): void {
    release(this.#cells, this.#share, PENDING);
  }

  tryAcquireRequest(): boolean {
    return tryAcquire(this.#cells, this.#share, REQUESTS, this.#limits.maxRequests);
  }

  releaseRequest(): void {
    release(this.#cells, this.#share, REQUESTS);
  }

  tryAcquireRetry(): boolean {
    return tryAcquire(this.#cells, this.#share, RETRIES, this.#limits.maxRetries);
  }

  releaseRetry(): void {
    release(this.#cells, this.#share, RETRIES);
  }

  /** The counts of all workers now. For admin. */
  get counts(): CircuitBreakerCounts {
    const cell = (index: number): number => Atomics.load(this.#cells, index);
    return {
      connections: cell(CONNECTIONS),
      pendingRequests: cell(PENDING),
      requests: cell(REQUESTS),
      retries: cell(RETRIES),
    };
  }
}

export interface CircuitBreakerCounts {
  readonly connections: number;
  readonly pendingRequests: number;
  readonly requests: number;
  readonly retries: number;
}

export const CIRCUIT_BREAKER_CELLS = 4;

const CONNECTIONS = 0;
const PENDING = 1;
const REQUESTS = 2;
const RETRIES = 3;

/** Adds first and takes back when that was too much, so that two workers cannot both take the last place. */
function tryAcquire(cells: Int32Array, share: Int32Array, index: number, limit: number): boolean {
  if (Atomics.add(cells, index, 1) < limit) {
    share[index]! += 1;
    return true;
  }
  Atomics.sub(cells, index, 1);
  return false;
}

function acquire(cells: Int32Array, share: Int32Array, index: number): void {
  share[index]! += 1;
  Atomics.add(cells, index, 1);
}

function release(cells: Int32Array, share: Int32Array, index: number): void {
  share[index]! -= 1;
  if (Atomics.sub(cells, index, 1) <= 0) throw new Error("a circuit breaker was released more often than acquired");
}
