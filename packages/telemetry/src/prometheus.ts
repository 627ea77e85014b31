import { BUCKET_BOUNDS } from "./histogram-buckets.ts";
import type { Labels } from "./metrics.ts";
import type { SeriesValue } from "./metrics-registry.ts";
import { prometheusName } from "./stat-names.ts";

/** Of the answer that carries this text. */
export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Envoy's default bounds (source/common/stats/histogram_impl.cc); each is a bound of our finer buckets. */
const LE = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
] as const; // biome-ignore format: a table

/** The Prometheus text exposition, families sorted by name. */
export function formatPrometheus(series: readonly SeriesValue[]): string {
  const families = new Map<string, { kind: SeriesValue["kind"]; lines: string[] }>();
  for (const one of series) {
    const { name, labels } = prometheusName(one.name, one.labels);
    let family = families.get(name);
    if (family === undefined) {
      family = { kind: one.kind, lines: [] };
      families.set(name, family);
    }
    if (family.kind === one.kind) family.lines.push(...samples(name, labels, one));
  }
  const names = [...families.keys()].sort();
  return names
    .map((name) => {
      const { kind, lines } = families.get(name)!; // each name is of the map
      return `# TYPE ${name} ${kind}\n${lines.join("\n")}\n`;
    })
    .join("");
}

function samples(name: string, labels: Labels, one: SeriesValue): string[] {
  const { buckets } = one;
  if (buckets === undefined) return [`${name}${formatLabels(labels)} ${formatNumber(one.value)}`];
  const lines: string[] = [];
  let below = 0;
  let bucket = 0;
  for (const le of LE) {
    while (bucket < BUCKET_BOUNDS.length && BUCKET_BOUNDS[bucket]! <= le) below += buckets[bucket++] ?? 0;
    lines.push(`${name}_bucket${formatLabels({ ...labels, le: String(le) })} ${below}`);
  }
  lines.push(`${name}_bucket${formatLabels({ ...labels, le: "+Inf" })} ${one.value}`);
  lines.push(`${name}_sum${formatLabels(labels)} ${formatNumber(one.sum)}`);
  lines.push(`${name}_count${formatLabels(labels)} ${one.value}`);
  return lines;
}

function formatLabels(labels: Labels): string {
  const parts = Object.entries(labels).map(([label, value]) => `${labelName(label)}="${escapeLabel(value)}"`);
  return parts.length === 0 ? "" : `{${parts.join(",")}}`;
}

function labelName(label: string): string {
  return label.replaceAll(/[^a-zA-Z0-9_]/g, "_");
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
