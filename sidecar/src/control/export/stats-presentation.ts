import {
  type BucketBounds,
  DEFAULT_BUCKETS,
  type Labels,
  type StatNaming,
  statName,
  taggedName,
} from "@heddle/telemetry";
import {
  compileSafeRegex,
  compileStringMatcher,
  type StatsConfig,
  type StatsTag,
  type StringMatcher,
} from "@heddle/traffic";

/** A name as `stats_config` has it. */
export interface ShownName {
  /** With everything in it: "cluster.orders.upstream_rq_total". */
  readonly dotted: string;
  /** Without what became a label: "cluster.upstream_rq_total". */
  readonly tagless: string;
  readonly labels: Labels;
}

/** How series are shown, by the bootstrap's `stats_config`. */
export interface StatsPresentation {
  /** Whether there is such a series, by its dotted name (`stats_matcher`). */
  readonly accepts: (name: string, labels: Labels) => boolean;
  readonly nameOf: (name: string, labels: Labels) => ShownName;
  readonly naming: StatNaming;
  /** `histogram_bucket_settings`: the first that matches counts. */
  readonly buckets: BucketBounds;
}

/** Throws on a pattern that was not validated. */
export function statsPresentation(config: StatsConfig): StatsPresentation {
  const nameOf = compileNaming(config);
  return {
    accepts: compileMatcher(config),
    nameOf,
    naming: isDefault(config)
      ? taggedName
      : (name, labels) => {
          const { tagless, labels: shown } = nameOf(name, labels);
          return { name: tagless, labels: shown };
        },
    buckets: compileBuckets(config),
  };
}

function isDefault({ useAllDefaultTags, tags }: StatsConfig): boolean {
  return useAllDefaultTags && tags.length === 0;
}

function compileMatcher({ matcher }: StatsConfig): StatsPresentation["accepts"] {
  switch (matcher.type) {
    case "all":
      return () => true;
    case "none":
      return () => false;
    case "inclusion":
    case "exclusion": {
      const patterns = matcher.patterns.map(compileStringMatcher);
      const wanted = matcher.type === "inclusion";
      return (name, labels) => matchesAny(patterns, statName(name, labels)) === wanted;
    }
    default:
      throw new Error(`unknown matcher ${JSON.stringify(matcher satisfies never)}`);
  }
}

function matchesAny(patterns: readonly StringMatcher[], text: string): boolean {
  return patterns.some((pattern) => pattern.test(text));
}

function compileBuckets({ histogramBuckets }: StatsConfig): BucketBounds {
  const settings = histogramBuckets.map(({ match, buckets }) => ({ matcher: compileStringMatcher(match), buckets }));
  return (name) => settings.find(({ matcher }) => matcher.test(name))?.buckets ?? DEFAULT_BUCKETS;
}

type Extract = (dotted: string) => { readonly label: string; readonly value: string; readonly cut: string } | undefined;

function compileNaming({ useAllDefaultTags, tags }: StatsConfig): (name: string, labels: Labels) => ShownName {
  const fixed = Object.fromEntries(
    tags.flatMap(({ name, value }) => (value.type === "fixed" ? [[labelOf(name), value.value]] : [])),
  );
  const hasFixed = Object.keys(fixed).length > 0;
  const extracts = tags.flatMap(compileExtract);
  const defaults = new Set(tags.flatMap(({ name, value }) => (value.type === "default" ? [labelOf(name)] : [])));
  return (name, given) => {
    const dotted = statName(name, given);
    const tagged = taggedName(name, given);
    let { tagless, labels } = useAllDefaultTags
      ? { tagless: tagged.name, labels: tagged.labels }
      : withSome(name, given, defaults);
    for (const extract of extracts) {
      const found = extract(dotted);
      if (found === undefined) continue;
      labels = { ...labels, [found.label]: found.value };
      tagless = tagless.replace(found.cut, "");
    }
    return { dotted, tagless, labels: hasFixed ? { ...labels, ...fixed } : labels };
  };
}

/** Only these of the default tags; the values of the others stay in the name. */
function withSome(name: string, given: Labels, wanted: ReadonlySet<string>): { tagless: string; labels: Labels } {
  const kept = Object.fromEntries(Object.entries(given).filter(([label]) => !wanted.has(label)));
  const found = taggedName(name, given);
  const labels = Object.fromEntries(Object.entries(found.labels).filter(([label]) => wanted.has(label)));
  const isCode = "envoy_response_code" in labels || "envoy_response_code_class" in labels;
  return { tagless: statName(isCode ? found.name : name, kept), labels };
}

function compileExtract({ name, value }: StatsTag): Extract[] {
  if (value.type !== "regex") return [];
  const regex = compileSafeRegex(value.regex);
  if (!regex.ok) throw new Error(regex.error);
  const label = labelOf(name);
  return [
    (dotted) => {
      const groups = regex.value.find(dotted);
      if (groups === undefined) return undefined;
      const cut = groups[1] ?? "";
      return { label, value: groups[2] ?? cut, cut };
    },
  ];
}

/** Envoy's Prometheus names of tags: "envoy.cluster_name" is "envoy_cluster_name". */
function labelOf(tag: string): string {
  return tag.replaceAll(/[^a-zA-Z0-9_]/g, "_");
}
