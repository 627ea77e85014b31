import { BUCKET_BOUNDS } from "./histogram-buckets.ts";

/** Envoy's bounds where nothing else is set (source/common/stats/histogram_impl.cc); each is a bound of our finer buckets. */
export const DEFAULT_BUCKETS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
]; // biome-ignore format: a table

/** The bounds of the buckets that a histogram is shown with, rising. Its dotted name is asked for. */
export type BucketBounds = (name: string) => readonly number[];

export const defaultBuckets: BucketBounds = () => DEFAULT_BUCKETS;

/** How many values lie at or below each of these bounds. Our buckets are finer; one that a bound divides counts above it. */
export function countsBelow(buckets: ArrayLike<number>, bounds: readonly number[]): number[] {
  let below = 0;
  let bucket = 0;
  return bounds.map((bound) => {
    while (bucket < BUCKET_BOUNDS.length && BUCKET_BOUNDS[bucket]! <= bound) below += buckets[bucket++] ?? 0;
    return below;
  });
}
