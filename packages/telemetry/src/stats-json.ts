import type { Json } from "@heddle/base";
import { type BucketBounds, defaultBuckets } from "./bucket-settings.ts";
import { BUCKET_BOUNDS, quantile } from "./histogram-buckets.ts";
import { JsonFields, JsonItems, type StreamedJson } from "./json-pieces.ts";
import type { SeriesValue, SeriesWalk } from "./series-walk.ts";
import { statName } from "./stat-names.ts";
import { bucketCounts, type HistogramForm, type SeriesSource } from "./stats-text.ts";

const QUANTILES = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100] as const;

/**
 * `/stats?format=json`: a list of names and values, the last of which is the histograms. There are no intervals here: where
 * Envoy has one figure for the last interval and one since the start, both are since the start.
 */
export function statsJson(
  source: SeriesSource,
  form: HistogramForm,
  bounds: BucketBounds = defaultBuckets,
): StreamedJson {
  return new JsonFields([["stats", new JsonItems(statsItems(source, form, bounds))]]);
}

function* statsItems(
  source: SeriesSource,
  form: HistogramForm,
  bounds: BucketBounds,
): Generator<StreamedJson | undefined> {
  for (const one of source.walk("name", { kinds: ["counter", "gauge"] }))
    yield one && { name: statName(one.name, one.labels), value: one.value };
  for (const one of source.walk("name", { kinds: ["histogram"] })) {
    yield undefined;
    if (one === undefined) continue;
    const histograms = histogramsJson(source.walk("name", { kinds: ["histogram"] }), form, bounds);
    yield new JsonFields([["histograms", histograms]]);
    return;
  }
}

function histogramsJson(histograms: SeriesWalk, form: HistogramForm, bounds: BucketBounds): StreamedJson {
  if (form === "cumulative" || form === "disjoint") {
    return each(histograms, (one) => ({
      name: statName(one.name, one.labels),
      buckets: bucketCounts(one, form, bounds).map(({ bound, count }) => ({
        upper_bound: bound,
        interval: count,
        cumulative: count,
      })),
    }));
  }
  if (form === "detailed") {
    const details = each(histograms, (one) => ({
      name: statName(one.name, one.labels),
      percentiles: quantilesOf(one),
      totals: filledBuckets(one),
      intervals: filledBuckets(one),
    }));
    return new JsonFields([
      ["supported_percentiles", [...QUANTILES]],
      ["details", details],
    ]);
  }
  const computed = each(histograms, (one) => ({ name: statName(one.name, one.labels), values: quantilesOf(one) }));
  return new JsonFields([
    ["supported_quantiles", [...QUANTILES]],
    ["computed_quantiles", computed],
  ]);
}

function each(series: SeriesWalk, toJson: (one: SeriesValue) => Json): JsonItems {
  return new JsonItems(
    (function* () {
      for (const one of series) yield one && toJson(one);
    })(),
  );
}

function quantilesOf({ buckets }: SeriesValue): Json[] {
  return QUANTILES.map((percent) => {
    const value = buckets === undefined ? undefined : quantile(buckets, percent / 100);
    const shown = value === undefined ? null : Number(value.toPrecision(4));
    return { interval: shown, cumulative: shown };
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
