import { DeadlineHeap } from "./deadline-heap.ts";
import { type Random, randomFraction } from "./picker.ts";

/**
 * Gives each of n places its share by weight, spread as evenly as the weights allow: the k-th turn of a place is due at
 * (k - phase) / weight, and the earliest is taken. Each place has a random phase, since proxies that start together
 * should not all begin alike; whatever the phases, a cycle (as many picks as the sum of the weights) is exact.
 *
 *     weights 3, 1, 1 without phases:   a a b c a │ a a b c a │ …
 *
 * Deadlines are divided anew each time. Adding 1 / weight up would drift, and a cycle would no longer be exact.
 */
export class WeightedSchedule {
  readonly #weight: Float64Array;
  /** k - phase of the next turn. */
  readonly #turn: Float64Array;
  readonly #heap: DeadlineHeap;

  /** Weights above 0. `first`: whose turn it is at once; left out: that of the earliest phase. */
  constructor(weights: ArrayLike<number>, random: Random, first?: number) {
    this.#weight = new Float64Array(weights);
    this.#turn = new Float64Array(weights.length);
    const deadlines = new Float64Array(weights.length);
    for (let place = 0; place < weights.length; place++) {
      this.#turn[place] = place === first ? 0 : 1 - randomFraction(random);
      deadlines[place] = this.#turn[place]! / this.#weight[place]!;
    }
    this.#heap = new DeadlineHeap(deadlines);
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
