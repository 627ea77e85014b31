/**
 * Places 0 to n - 1 by deadline, for "earliest deadline first" scheduling (Envoy's EdfScheduler). Among equal deadlines
 * the place that has waited longest goes first. A binary heap over typed arrays: nothing is allocated after it was made.
 */
export class DeadlineHeap {
  readonly #deadline: Float64Array;
  /** When the place was put back, counted in turns. */
  readonly #since: Float64Array;
  /** Places, the earliest first. */
  readonly #heap: Int32Array;
  #turns: number;

  /** At least one deadline. */
  constructor(deadlines: readonly number[]) {
    const places = deadlines.map((_, place) => place);
    this.#deadline = Float64Array.from(deadlines);
    this.#since = Float64Array.from(places);
    this.#heap = Int32Array.from(places.toSorted((a, b) => (this.#before(a, b) ? -1 : 1))); // a sorted list is a heap
    this.#turns = deadlines.length;
  }

  get first(): number {
    return this.#heap[0]!; // never empty
  }

  get firstDeadline(): number {
    return this.#deadline[this.first]!;
  }

  /** Gives the first place a later deadline and lets the others past it. */
  postponeFirst(deadline: number): void {
    const heap = this.#heap;
    const sinking = this.first;
    this.#deadline[sinking] = deadline;
    this.#since[sinking] = this.#turns++;
    let hole = 0;
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
