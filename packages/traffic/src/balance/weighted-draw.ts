/** Turns a random number into a place, each with the chance that its weight gives it. Weights of 0 are never drawn. */
export class WeightedDraw {
  /** Sums of the weights up to and including each place. */
  readonly #sums: Float64Array;
  readonly #total: number;

  /** At least one weight is above 0. */
  constructor(weights: readonly number[]) {
    let sum = 0;
    this.#sums = Float64Array.from(weights, (weight) => (sum += weight));
    this.#total = sum;
  }

  /** `random` is a whole number from 0. Modulo the sum, as Envoy draws. O(log n). */
  place(random: number): number {
    const point = random % this.#total;
    let low = 0;
    let high = this.#sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sums[middle]! > point) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
