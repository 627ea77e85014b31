import { type BucketBounds, countsBelow, defaultBuckets } from "./bucket-settings.ts";
import type { Labels } from "./metrics.ts";
import type { SeriesValue } from "./metrics-registry.ts";
import { prometheusName, type StatNaming, statName, statPattern, taggedName } from "./stat-names.ts";

/**
 * Of the answer that carries this text. There is no OpenMetrics: its counters have to end in "_total", and with that
 * "upstream_rq" and "upstream_rq_total" of a cluster would be one.
 */
export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export interface PrometheusOptions {
  /** Envoy's default tags where left out. */
  readonly naming?: StatNaming;
  /** Envoy's default buckets where left out. */
  readonly buckets?: BucketBounds;
}

interface Family {
  readonly kind: SeriesValue["kind"];
  readonly help: string;
  readonly lines: string[];
}

/** The Prometheus text exposition, families sorted by name. A series whose kind is another than its family's is left out. */
export function formatPrometheus(series: readonly SeriesValue[], options: PrometheusOptions = {}): string {
  const { naming = taggedName, buckets = defaultBuckets } = options;
  const families = new Map<string, Family>();
  /** The series of a cluster have one object of labels, which is written once. */
  const texts = new Map<Labels, string>();
  for (const one of series) {
    const tagged = naming(one.name, one.labels);
    const name = prometheusName(tagged.name);
    let family = families.get(name);
    if (family === undefined) {
      family = { kind: one.kind, help: `Envoy's ${statPattern(tagged.name, tagged.labels)}`, lines: [] };
      families.set(name, family);
    }
    if (family.kind !== one.kind) continue;
    let labels = texts.get(tagged.labels);
    if (labels === undefined) {
      labels = formatLabels(tagged.labels);
      texts.set(tagged.labels, labels);
    }
    addSamples(family.lines, name, labels, one, buckets);
  }
  const names = [...families.keys()].sort();
  return names
    .map((name) => {
      const { kind, help, lines } = families.get(name)!; // each name is of the map
      return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${kind}\n${lines.join("\n")}\n`;
    })
    .join("");
}

/** `labels`: 'a="b",c="d"' */
function addSamples(lines: string[], name: string, labels: string, one: SeriesValue, bounds: BucketBounds): void {
  const braced = labels === "" ? "" : `{${labels}}`;
  if (one.buckets === undefined) {
    lines.push(`${name}${braced} ${formatNumber(one.value)}`);
    return;
  }
  const before = labels === "" ? "" : `${labels},`;
  const les = bounds(statName(one.name, one.labels));
  const below = countsBelow(one.buckets, les);
  for (const [index, le] of les.entries()) {
    lines.push(`${name}_bucket{${before}le="${formatNumber(le)}"} ${below[index]}`);
  }
  lines.push(`${name}_bucket{${before}le="+Inf"} ${one.value}`);
  lines.push(`${name}_sum${braced} ${formatNumber(one.sum)}`);
  lines.push(`${name}_count${braced} ${one.value}`);
}

function formatLabels(labels: Labels): string {
  let text = "";
  for (const label in labels) {
    const value = labels[label]!; // it is one of its labels
    text += `${text === "" ? "" : ","}${labelName(label)}="${escapeLabel(value)}"`;
  }
  return text;
}

/** https://prometheus.io/docs/concepts/data_model: a label does not begin with a digit. */
function labelName(label: string): string {
  const clean = label.replaceAll(/[^a-zA-Z0-9_]/g, "_");
  return /^\d/.test(clean) ? `_${clean}` : clean;
}

function escapeLabel(value: string): string {
  return /["\\\n]/.test(value) ? value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n") : value;
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function formatNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}
