/**
 * A limit on what all workers hold together: one Int32 cell that they share, and beside it this worker's part, which nobody
 * else writes. When the worker dies, the control thread takes its part off the sum.
 */
export class ConnectionLimit {
  readonly #sum: Int32Array;
  readonly #own: Int32Array;
  readonly #most: number;

  /** Each of one cell, in shared memory. */
  constructor(sum: Int32Array, own: Int32Array, most: number) {
    this.#sum = sum;
    this.#own = own;
    this.#most = most;
  }

  /** Held by all workers together. */
  get held(): number {
    return Atomics.load(this.#sum, 0);
  }

  /** Counts one more, or answers false where that would be one too many. */
  tryAcquire(): boolean {
    // Counted first, so that two workers cannot both take the last place.
    if (Atomics.add(this.#sum, 0, 1) >= this.#most) {
      Atomics.sub(this.#sum, 0, 1);
      return false;
    }
    Atomics.add(this.#own, 0, 1);
    return true;
  }

  /** Once for each `tryAcquire` that answered true. */
  release(): void {
    Atomics.sub(this.#own, 0, 1);
    Atomics.sub(this.#sum, 0, 1);
  }
}
