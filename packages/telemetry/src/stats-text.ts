import { type BucketBounds, countsBelow, defaultBuckets } from "./bucket-settings.ts";
import { quantile } from "./histogram-buckets.ts";
import type { SeriesOrder, SeriesValue, SeriesWalk, WalkOptions } from "./series-walk.ts";
import { statName } from "./stat-names.ts";

const QUANTILES = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100] as const;

/** Where series are read from, as often as a format needs. */
export interface SeriesSource {
  walk(order: SeriesOrder, options?: Omit<WalkOptions, "hidden">): SeriesWalk;
}

export interface StatsFilter {
  /** Only names in which the pattern is found (`?filter=`). */
  readonly matches?: (name: string) => boolean;
  /** Only series that have ever been written to (`?usedonly`): here, that are not zero. */
  readonly usedOnly?: boolean;
}

/** The series that a filter leaves, whatever form they are then written in. */
export function* selectStats(series: SeriesWalk, { matches, usedOnly = false }: StatsFilter): SeriesWalk {
  for (const one of series) {
    const isWanted =
      one !== undefined &&
      (!usedOnly || one.value !== 0) &&
      (matches === undefined || matches(statName(one.name, one.labels)));
    yield isWanted ? one : undefined;
  }
}

/** How histograms are shown: Envoy's `?histogram_buckets=`. */
export const HISTOGRAM_FORMS = ["cumulative", "disjoint", "detailed", "summary", "none"] as const;

export type HistogramForm = (typeof HISTOGRAM_FORMS)[number];

/** Envoy's `/stats`: "name: value" lines sorted by name, then the histograms with their quantiles since the start, or their buckets. */
export function* statsText(
  source: SeriesSource,
  form: HistogramForm = "none",
  bounds: BucketBounds = defaultBuckets,
): Generator<string> {
  for (const one of source.walk("shown", { kinds: ["counter", "gauge"] }))
    yield one === undefined ? "" : `${statName(one.name, one.labels)}: ${one.value}\n`;
  for (const one of source.walk("shown", { kinds: ["histogram"] })) {
    if (one?.buckets === undefined) yield "";
    else if (form === "cumulative" || form === "disjoint") yield bucketsText(one, form, bounds);
    else yield `${statName(one.name, one.labels)}: ${quantiles(one.buckets)}\n`;
  }
}

/** "name: B0.5(1,1) B1(0,1) …" */
function bucketsText(one: SeriesValue, form: "cumulative" | "disjoint", bounds: BucketBounds): string {
  const counts = bucketCounts(one, form, bounds).map(({ bound, count }) => `B${bound}(${count},${count})`);
  return `${statName(one.name, one.labels)}: ${counts.join(" ")}\n`;
}

/** In each bucket, or with all below it. */
export function bucketCounts(
  { name, labels, buckets = new Float64Array() }: SeriesValue,
  form: "cumulative" | "disjoint",
  boundsOf: BucketBounds,
): { readonly bound: number; readonly count: number }[] {
  const bounds = boundsOf(statName(name, labels));
  const below = countsBelow(buckets, bounds);
  return bounds.map((bound, index) => {
    const before = form === "cumulative" ? 0 : (below[index - 1] ?? 0);
    return { bound, count: (below[index] ?? 0) - before };
  });
}

/** Where Envoy has a figure of the last interval and one since the start, both are since the start: there are no intervals. */
function quantiles(buckets: Float64Array): string {
  const parts = QUANTILES.map((percent) => {
    const value = quantile(buckets, percent / 100);
    if (value === undefined) return undefined;
    const shown = Number(value.toPrecision(4));
    return `P${percent}(${shown},${shown})`;
  });
  return parts.includes(undefined) ? "No recorded values" : parts.join(" ");
}
