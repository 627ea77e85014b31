import type { Json } from "@heddle/base";
import { type BucketBounds, countsBelow, defaultBuckets } from "./bucket-settings.ts";
import { BUCKET_BOUNDS, quantile } from "./histogram-buckets.ts";
import type { SeriesValue } from "./metrics-registry.ts";
import { statName } from "./stat-names.ts";
import type { StatsFilter } from "./stats-text.ts";

/** How histograms are shown: Envoy's `?histogram_buckets=`. */
export const HISTOGRAM_FORMS = ["cumulative", "disjoint", "detailed", "summary", "none"] as const;

export type HistogramForm = (typeof HISTOGRAM_FORMS)[number];

const QUANTILES = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100] as const;

/** The series that a filter leaves, whatever form they are then written in. */
export function selectStats(series: readonly SeriesValue[], { matches, usedOnly = false }: StatsFilter): SeriesValue[] {
  return series.filter(
    (one) => (!usedOnly || one.value !== 0) && (matches === undefined || matches(statName(one.name, one.labels))),
  );
}

/**
 * `/stats?format=json`: a list of names and values, the last of which is the histograms. There are no intervals here: where
 * Envoy has one figure for the last interval and one since the start, both are since the start.
 */
export function statsJson(
  series: readonly SeriesValue[],
  form: HistogramForm,
  bounds: BucketBounds = defaultBuckets,
): Json {
  const stats: Json[] = [];
  const histograms: SeriesValue[] = [];
  for (const one of series) {
    if (one.buckets === undefined) stats.push({ name: statName(one.name, one.labels), value: one.value });
    else histograms.push(one);
  }
  if (histograms.length > 0) stats.push({ histograms: histogramsJson(histograms, form, bounds) });
  return { stats };
}

/** Where a form other than quantiles is asked for as text: "name: B0.5(1,1) B1(0,1) …". */
export function bucketsText(
  series: readonly SeriesValue[],
  form: "cumulative" | "disjoint",
  bounds: BucketBounds = defaultBuckets,
): string {
  return series
    .filter(({ buckets }) => buckets !== undefined)
    .map((one) => {
      const counts = bucketCounts(one, form, bounds);
      return `${statName(one.name, one.labels)}: ${counts.map(({ bound, count }) => `B${bound}(${count},${count})`).join(" ")}\n`;
    })
    .join("");
}

function histogramsJson(histograms: readonly SeriesValue[], form: HistogramForm, bounds: BucketBounds): Json {
  if (form === "cumulative" || form === "disjoint") {
    return histograms.map((one) => ({
      name: statName(one.name, one.labels),
      buckets: bucketCounts(one, form, bounds).map(({ bound, count }) => ({
        upper_bound: bound,
        interval: count,
        cumulative: count,
      })),
    }));
  }
  if (form === "detailed") {
    return {
      supported_percentiles: [...QUANTILES],
      details: histograms.map((one) => ({
        name: statName(one.name, one.labels),
        percentiles: quantilesOf(one),
        totals: filledBuckets(one),
        intervals: filledBuckets(one),
      })),
    };
  }
  return {
    supported_quantiles: [...QUANTILES],
    computed_quantiles: histograms.map((one) => ({ name: statName(one.name, one.labels), values: quantilesOf(one) })),
  };
}

function quantilesOf({ buckets }: SeriesValue): Json[] {
  return QUANTILES.map((percent) => {
    const value = buckets === undefined ? undefined : quantile(buckets, percent / 100);
    const shown = value === undefined ? null : Number(value.toPrecision(4));
    return { interval: shown, cumulative: shown };
  });
}

function bucketCounts(
  { name, labels, buckets = new Float64Array() }: SeriesValue,
  form: "cumulative" | "disjoint",
  boundsOf: BucketBounds,
): { bound: number; count: number }[] {
  const bounds = boundsOf(statName(name, labels));
  const below = countsBelow(buckets, bounds);
  return bounds.map((bound, index) => {
    const before = form === "cumulative" ? 0 : (below[index - 1] ?? 0);
    return { bound, count: (below[index] ?? 0) - before };
  });
}

function filledBuckets({ buckets }: SeriesValue): Json[] {
  const filled: Json[] = [];
  buckets?.forEach((count, index) => {
    const lower = index === 0 ? 0 : (BUCKET_BOUNDS[index - 1] ?? 0);
    const width = (BUCKET_BOUNDS[index] ?? lower) - lower;
    if (count > 0) filled.push({ lower_bound: lower, width: Number(width.toPrecision(3)), count });
  });
  return filled;
}
