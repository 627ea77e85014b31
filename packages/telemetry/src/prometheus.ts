import { type BucketBounds, countsBelow, defaultBuckets } from "./bucket-settings.ts";
import type { Labels } from "./metrics.ts";
import type { SeriesValue, SeriesWalk, WalkOptions } from "./series-walk.ts";
import { prometheusName, type StatNaming, statName, statPattern, type TaggedName, taggedName } from "./stat-names.ts";

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
  /** Labels that every series has, unless it has another value for one of them. */
  readonly tags?: Labels;
}

/** Where series are read from, families of a name one behind the other where `familyOf` says which are of one. */
export interface FamilySource {
  walk(order: "name", options?: Pick<WalkOptions, "familyOf">): SeriesWalk;
}

/** The Prometheus text exposition of series that are held anyway. */
export function formatPrometheus(series: Iterable<SeriesValue>, options: PrometheusOptions = {}): string {
  return [...gathered(series, new SampleWriter(options))].join("");
}

/** The Prometheus text exposition, families sorted by name. A series whose kind is another than its family's is left out. */
export function prometheusText(source: FamilySource, options: PrometheusOptions = {}): Iterable<string> {
  const writer = new SampleWriter(options);
  const { naming = taggedName } = options;
  // By the default tags a name alone says of which family it is, so nothing has to be held until all are known.
  if (naming !== taggedName) return gathered(source.walk("name"), writer);
  return inTurn(source.walk("name", { familyOf: (name) => prometheusName(taggedName(name, {}).name) }), writer);
}

function* inTurn(series: SeriesWalk, writer: SampleWriter): Generator<string> {
  let family: { readonly name: string; readonly kind: SeriesValue["kind"] } | undefined;
  for (const one of series) {
    if (one === undefined) {
      yield "";
      continue;
    }
    const tagged = taggedName(one.name, one.labels);
    const name = prometheusName(tagged.name);
    if (family?.name !== name) {
      family = { name, kind: one.kind };
      yield header(name, one.kind, tagged);
    }
    if (family.kind === one.kind) yield writer.samples(name, tagged, one);
  }
}

interface Family {
  readonly kind: SeriesValue["kind"];
  readonly header: string;
  readonly samples: string[];
}

function* gathered(series: SeriesWalk, writer: SampleWriter): Generator<string> {
  const families = new Map<string, Family>();
  for (const one of series) {
    yield "";
    if (one === undefined) continue;
    const tagged = writer.naming(one.name, one.labels);
    const name = prometheusName(tagged.name);
    let family = families.get(name);
    if (family === undefined) {
      family = { kind: one.kind, header: header(name, one.kind, tagged), samples: [] };
      families.set(name, family);
    }
    if (family.kind === one.kind) family.samples.push(writer.samples(name, tagged, one));
  }
  for (const name of [...families.keys()].sort()) {
    const family = families.get(name)!; // each name is of the map
    yield family.header;
    yield* family.samples;
  }
}

function header(name: string, kind: SeriesValue["kind"], tagged: TaggedName): string {
  return `# HELP ${name} ${escapeHelp(`Envoy's ${statPattern(tagged.name, tagged.labels)}`)}\n# TYPE ${name} ${kind}\n`;
}

/** Writes the lines of a series. */
class SampleWriter {
  readonly naming: StatNaming;
  readonly #bounds: BucketBounds;
  readonly #tags: Labels | undefined;
  /** The series of a cluster have one object of labels, which is written once. */
  readonly #texts = new WeakMap<Labels, string>();

  constructor({ naming = taggedName, buckets = defaultBuckets, tags }: PrometheusOptions) {
    this.naming = naming;
    this.#bounds = buckets;
    this.#tags = tags;
  }

  samples(name: string, { labels }: TaggedName, one: SeriesValue): string {
    let text = this.#texts.get(labels);
    if (text === undefined) {
      text = formatLabels(this.#tags === undefined ? labels : { ...this.#tags, ...labels });
      this.#texts.set(labels, text);
    }
    return samplesText(name, text, one, this.#bounds);
  }
}

/** `labels`: 'a="b",c="d"' */
function samplesText(name: string, labels: string, one: SeriesValue, bounds: BucketBounds): string {
  const braced = labels === "" ? "" : `{${labels}}`;
  if (one.buckets === undefined) return `${name}${braced} ${formatNumber(one.value)}\n`;
  const before = labels === "" ? "" : `${labels},`;
  const les = bounds(statName(one.name, one.labels));
  const below = countsBelow(one.buckets, les);
  let text = "";
  for (const [index, le] of les.entries())
    text += `${name}_bucket{${before}le="${formatNumber(le)}"} ${below[index]}\n`;
  text += `${name}_bucket{${before}le="+Inf"} ${one.value}\n`;
  text += `${name}_sum${braced} ${formatNumber(one.sum)}\n`;
  return `${text}${name}_count${braced} ${one.value}\n`;
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
