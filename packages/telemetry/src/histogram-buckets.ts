/*
 * The buckets that every histogram has: log-linear in base ten, twenty a decade, so that a quantile is known to within
 * a tenth, and every bound that Envoy's Prometheus exposition prints (0.5, 1, 5, 10, 25 … 3600000) is a bound of ours.
 */

const MANTISSAS = [1, 1.2, 1.4, 1.6, 1.8, 2, 2.25, 2.5, 2.75, 3, 3.3, 3.6, 4, 4.5, 5, 5.5, 6, 7, 8, 9];
const DECADES = [0.01, 0.1, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000];

/** Upper bounds, inclusive, rising. One more bucket holds what is above the last. */
export const BUCKET_BOUNDS: readonly number[] = DECADES.flatMap((decade) =>
  // Rounded, since 1.4 * 0.1 is not the number that "0.14" is.
  MANTISSAS.map((mantissa) => Number((mantissa * decade).toPrecision(3))),
);

export const BUCKET_COUNT = BUCKET_BOUNDS.length + 1;

const bounds = Float64Array.from(BUCKET_BOUNDS);

/** The first bucket whose bound is not below the value. */
export function bucketOf(value: number): number {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bounds[middle]! < value)
      low = middle + 1; // `middle` is below the length
    else high = middle;
  }
  return low;
}

/** The value below which that fraction of the recorded values lies, or undefined where there are none. */
export function quantile(buckets: ArrayLike<number>, fraction: number): number | undefined {
  let total = 0;
  for (let i = 0; i < BUCKET_COUNT; i++) total += buckets[i] ?? 0;
  if (total === 0) return undefined;
  const wanted = fraction * total;
  let below = 0;
  for (let i = 0; i < BUCKET_COUNT; i++) {
    const count = buckets[i] ?? 0;
    if (count > 0 && below + count >= wanted) {
      const lower = i === 0 ? 0 : bounds[i - 1]!;
      const upper = i < bounds.length ? bounds[i]! : lower;
      return lower + ((upper - lower) * Math.max(0, wanted - below)) / count;
    }
    below += count;
  }
  return bounds[bounds.length - 1];
}
