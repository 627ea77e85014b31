import {
  HISTOGRAM_FORMS,
  type HistogramForm,
  type MetricKind,
  PROMETHEUS_CONTENT_TYPE,
  type PrometheusOptions,
  prometheusText,
  type SeriesSource,
  type StatsFilter,
  selectStats,
  statsJson,
  statsText,
} from "@heddle/telemetry";
import { type AdminAnswer, type AdminPage, type AdminParam, streamedJsonAnswer } from "@heddle/telemetry/admin";
import { compileSafeRegex } from "@heddle/traffic";

/** Every series of the process. */
export interface StatsSubject extends SeriesSource {
  /** Brings gauges up to date before a page reads them; each `yield` is a place to pause. */
  look(): Iterable<undefined>;
  resetCounters(): Promise<void>;
}

const FORMATS = ["text", "json", "prometheus", "html"] as const;

/** Envoy's `?type=`, and the kinds that it means. */
const TYPES: Readonly<Record<string, readonly MetricKind[]>> = {
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

/** `/stats`, `/stats/prometheus` and `/reset_counters`. */
export function statsPages(stats: StatsSubject, options: PrometheusOptions = {}): AdminPage[] {
  const answer = (query: URLSearchParams, format: string): AdminAnswer => {
    const said = statsAnswer(stats, options, query, format);
    return typeof said.body === "string" ? said : { ...said, body: behindLook(stats, said.body) };
  };
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
      async answer() {
        await stats.resetCounters();
        return { body: "OK\n" };
      },
    },
  ];
}

function statsAnswer(
  stats: StatsSubject,
  options: PrometheusOptions,
  query: URLSearchParams,
  format: string,
): AdminAnswer {
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
  const chosen: SeriesSource = {
    walk(order, walked) {
      const wanted = walked?.kinds?.filter((kind) => kinds.includes(kind)) ?? kinds;
      return selectStats(stats.walk(order, { ...walked, kinds: wanted }), filter);
    },
  };
  switch (format) {
    case "text":
      return { body: statsText(chosen, form, options.buckets) };
    case "json":
      return streamedJsonAnswer(statsJson(chosen, form, options.buckets));
    case "prometheus":
      return { contentType: PROMETHEUS_CONTENT_TYPE, body: prometheusText(chosen, options) };
    case "html":
      return { contentType: "text/html; charset=utf-8", body: statsHtml(statsText(chosen, form, options.buckets)) };
    default:
      return refuse(`format: found "${format}", allowed are ${FORMATS.join(", ")}`);
  }
}

function* behindLook(stats: StatsSubject, pieces: Iterable<string>): Generator<string> {
  for (const _ of stats.look()) yield "";
  yield* pieces;
}

/** Names come from configuration, so they are escaped. */
function* statsHtml(text: Iterable<string>): Generator<string> {
  yield `<!DOCTYPE html>\n<meta charset="utf-8">\n<title>stats</title>\n<pre>\n`;
  for (const piece of text) yield piece.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  yield "</pre>\n";
}

function refuse(why: string): AdminAnswer {
  return { status: 400, body: `${why}\n` };
}
