import {
  bucketsText,
  formatPrometheus,
  formatStats,
  HISTOGRAM_FORMS,
  type HistogramForm,
  type Labels,
  PROMETHEUS_CONTENT_TYPE,
  type PrometheusOptions,
  type SeriesValue,
  type StatsFilter,
  selectStats,
  statsJson,
  taggedName,
} from "@heddle/telemetry";
import { type AdminAnswer, type AdminPage, type AdminParam, jsonAnswer } from "@heddle/telemetry/admin";
import { compileSafeRegex } from "@heddle/traffic";

/** Every series of the process. */
export interface StatsSubject {
  collect(): readonly SeriesValue[];
  resetCounters(): void;
}

const FORMATS = ["text", "json", "prometheus", "html"] as const;

/** Envoy's `?type=`, and the kinds that it means. */
const TYPES: Readonly<Record<string, readonly SeriesValue["kind"][]>> = {
  All: ["counter", "gauge", "histogram"],
  Counters: ["counter"],
  Gauges: ["gauge"],
  Histograms: ["histogram"],
  TextReadouts: [],
};

const FILTERS: readonly AdminParam[] = [
  { name: "filter", help: "a regular expression that is found anywhere in the name (RE2)" },
  { name: "usedonly", help: "only what is not zero", values: [] },
  { name: "type", help: "only these", values: Object.keys(TYPES) },
];

/** How series are shown, beyond what a query says. */
export interface StatsOptions extends PrometheusOptions {
  /** Labels that every series has for Prometheus. */
  readonly tags?: Labels;
}

/** `/stats`, `/stats/prometheus` and `/reset_counters`. */
export function statsPages(stats: StatsSubject, options: StatsOptions = {}): AdminPage[] {
  const answer = (query: URLSearchParams, format: string): AdminAnswer => statsAnswer(stats, options, query, format);
  return [
    {
      path: "/stats",
      method: "GET",
      help: "all counters, gauges and histograms",
      params: [
        ...FILTERS,
        { name: "format", help: "how it is written", values: FORMATS },
        { name: "histogram_buckets", help: "how histograms are shown", values: HISTOGRAM_FORMS },
      ],
      answer: (query) => answer(query, query.get("format") || "text"),
    },
    {
      path: "/stats/prometheus",
      method: "GET",
      help: "the same for Prometheus",
      params: FILTERS,
      answer: (query) => answer(query, "prometheus"),
    },
    {
      path: "/reset_counters",
      method: "POST",
      help: "set all counters to zero, as far as admin shows them",
      answer() {
        stats.resetCounters();
        return { body: "OK\n" };
      },
    },
  ];
}

function statsAnswer(stats: StatsSubject, options: StatsOptions, query: URLSearchParams, format: string): AdminAnswer {
  const pattern = query.get("filter");
  // Everybody who can reach admin may send one, so it runs on the engine that cannot backtrack.
  const regex = pattern === null || pattern === "" ? undefined : compileSafeRegex(`(?s:.*(?:${pattern}).*)`);
  if (regex?.ok === false) return refuse(`Invalid re2 regex in filter: ${regex.error}`);
  const type = query.get("type") || "All";
  const kinds = TYPES[type];
  if (kinds === undefined) return refuse(`type: found "${type}", allowed are ${Object.keys(TYPES).join(", ")}`);
  const form = (query.get("histogram_buckets") || "none") as HistogramForm;
  if (!HISTOGRAM_FORMS.includes(form))
    return refuse(`histogram_buckets: found "${form}", allowed are ${HISTOGRAM_FORMS.join(", ")}`);

  const filter: StatsFilter = {
    ...(regex !== undefined && { matches: (name: string) => regex.value.test(name) }),
    usedOnly: query.has("usedonly"),
  };
  const ofKind = stats.collect().filter(({ kind }) => kinds.includes(kind));
  const series = selectStats(ofKind, filter);
  switch (format) {
    case "text":
      return { body: statsText(series, form, options) };
    case "json":
      return jsonAnswer(statsJson(series, form, options.buckets));
    case "prometheus":
      return { contentType: PROMETHEUS_CONTENT_TYPE, body: formatPrometheus(series, withTags(options)) };
    case "html":
      return { contentType: "text/html; charset=utf-8", body: statsHtml(statsText(series, form, options)) };
    default:
      return refuse(`format: found "${format}", allowed are ${FORMATS.join(", ")}`);
  }
}

/** Labels of the command line go on every series, whatever the configuration makes of its name. */
function withTags({ tags = {}, naming = taggedName, ...rest }: StatsOptions): PrometheusOptions {
  return {
    ...rest,
    naming(name, labels) {
      const named = naming(name, labels);
      return { ...named, labels: { ...tags, ...named.labels } };
    },
  };
}

function statsText(series: readonly SeriesValue[], form: HistogramForm, { buckets }: StatsOptions): string {
  if (form !== "cumulative" && form !== "disjoint") return formatStats(series);
  return formatStats(series.filter(({ kind }) => kind !== "histogram")) + bucketsText(series, form, buckets);
}

/** Names come from configuration, so they are escaped. */
function statsHtml(text: string): string {
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<!DOCTYPE html>\n<meta charset="utf-8">\n<title>stats</title>\n<pre>\n${escaped}</pre>\n`;
}

function refuse(why: string): AdminAnswer {
  return { status: 400, body: `${why}\n` };
}
