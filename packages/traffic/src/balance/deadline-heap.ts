/**
 * Places 0 to n - 1 by deadline, for "earliest deadline first" scheduling (Envoy's EdfScheduler). Among equal deadlines
 * the place that has waited longest goes first. A binary heap over typed arrays: nothing is allocated after it was made.
 */
export class DeadlineHeap {
  readonly #deadline: Float64Array;
  /** When the place was put back, counted in turns. */
  readonly #since: Float64Array;
  /** Places; none is later than the two below it, at 2 i + 1 and 2 i + 2. */
  readonly #heap: Int32Array;
  #turns: number;

  /** At least one deadline. O(n). */
  constructor(deadlines: Float64Array) {
    const n = deadlines.length;
    this.#deadline = deadlines.slice();
    this.#since = new Float64Array(n);
    this.#heap = new Int32Array(n);
    for (let place = 0; place < n; place++) {
      this.#since[place] = place;
      this.#heap[place] = place;
    }
    this.#turns = n;
    for (let i = (n >> 1) - 1; i >= 0; i--) this.#sink(i);
  }

  get first(): number {
    return this.#heap[0]!; // never empty
  }

  get firstDeadline(): number {
    return this.#deadline[this.first]!;
  }

  /** Gives the first place a later deadline and lets the others past it. */
  postponeFirst(deadline: number): void {
    const { first } = this;
    this.#deadline[first] = deadline;
    this.#since[first] = this.#turns++;
    this.#sink(0);
  }

  /** Moves what stands at `hole` down until nothing below it is earlier. */
  #sink(hole: number): void {
    const heap = this.#heap;
    const sinking = heap[hole]!;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#before(heap[child]!, sinking)) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = sinking;
  }

  #before(a: number, b: number): boolean {
    const difference = this.#deadline[a]! - this.#deadline[b]!;
    return difference < 0 || (difference === 0 && this.#since[a]! < this.#since[b]!);
  }
}
