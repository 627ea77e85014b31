import { DeadlineHeap } from "./deadline-heap.ts";

/**
 * Gives each of n places its share by weight, spread as evenly as the weights allow: the k-th turn of a place is due at
 * k / weight, and the earliest is taken.
 *
 *     weights 3, 1, 1:   a a b c a │ a a b c a │ …      over a cycle of five picks exactly 3, 1 and 1
 *
 * Deadlines are divided anew each time. Adding 1 / weight up would drift, and equal deadlines would no longer be equal;
 * a division rounds the same fraction to the same number always.
 */
export class WeightedSchedule {
  readonly #weight: Float64Array;
  /** Which turn of the place comes next. */
  readonly #turn: Float64Array;
  readonly #heap: DeadlineHeap;

  /** Weights above 0. `skip` picks are made at once, since proxies that start together should not all begin alike. */
  constructor(weights: readonly number[], skip = 0) {
    this.#weight = Float64Array.from(weights);
    this.#turn = new Float64Array(weights.length).fill(1);
    this.#heap = new DeadlineHeap(weights.map((weight) => 1 / weight));
    for (let i = 0; i < skip; i++) this.next();
  }

  /** The next place, 0 to n - 1. O(log n). */
  next(): number {
    const place = this.#heap.first;
    const turn = this.#turn[place]! + 1;
    this.#turn[place] = turn;
    this.#heap.postponeFirst(turn / this.#weight[place]!);
    return place;
  }
}
