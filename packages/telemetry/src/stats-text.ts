import { quantile } from "./histogram-buckets.ts";
import type { SeriesValue } from "./metrics-registry.ts";
import { statName } from "./stat-names.ts";

const QUANTILES = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100] as const;

export interface StatsFilter {
  /** Only names in which the pattern is found (`?filter=`). */
  readonly matches?: (name: string) => boolean;
  /** Only series that have ever been written to (`?usedonly`): here, that are not zero. */
  readonly usedOnly?: boolean;
}

/** Envoy's `/stats`: "name: value" lines sorted by name, then the histograms with their quantiles since the start. */
export function formatStats(series: readonly SeriesValue[], filter: StatsFilter = {}): string {
  const { matches, usedOnly = false } = filter;
  const values: string[] = [];
  const histograms: string[] = [];
  for (const one of series) {
    const name = statName(one.name, one.labels);
    if ((usedOnly && one.value === 0) || (matches !== undefined && !matches(name))) continue;
    if (one.buckets === undefined) values.push(`${name}: ${one.value}`);
    else histograms.push(`${name}: ${quantiles(one.buckets)}`);
  }
  return [...values.sort(), ...histograms.sort()].map((line) => `${line}\n`).join("");
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
