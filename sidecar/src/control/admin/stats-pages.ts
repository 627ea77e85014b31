import type { StatsFilter } from "@heddle/telemetry";
import type { AdminAnswer, AdminPage } from "@heddle/telemetry/admin";
import { compileSafeRegex } from "@heddle/traffic";

/** Every series of the process, as its owner writes them. */
export interface StatsView {
  /** "name: value" lines in order, as Envoy's `/stats`. */
  text(filter: StatsFilter): string;
  /** Prometheus' text format 0.0.4. */
  prometheus(filter: StatsFilter): string;
}

/** `/stats` and `/stats/prometheus`. `filter` is a regular expression that is found anywhere in a name. */
export function statsPages(stats: StatsView): AdminPage[] {
  return [
    {
      path: "/stats",
      method: "GET",
      help: "all counters, gauges and histograms (?filter=REGEX, ?usedonly, ?format=prometheus)",
      answer: (query) => answer(stats, query, query.get("format") === "prometheus"),
    },
    {
      path: "/stats/prometheus",
      method: "GET",
      help: "the same for Prometheus (?filter=REGEX, ?usedonly)",
      answer: (query) => answer(stats, query, true),
    },
  ];
}

function answer(stats: StatsView, query: URLSearchParams, forPrometheus: boolean): AdminAnswer {
  const pattern = query.get("filter");
  // Everybody who can reach admin may send one, so it runs on the engine that cannot backtrack.
  const regex = pattern === null || pattern === "" ? undefined : compileSafeRegex(`(?s:.*(?:${pattern}).*)`);
  if (regex?.ok === false) return { status: 400, body: `filter: ${regex.error}\n` };
  const filter: StatsFilter = {
    ...(regex !== undefined && { matches: (name: string) => regex.value.test(name) }),
    usedOnly: query.has("usedonly"),
  };
  if (!forPrometheus) return { body: stats.text(filter) };
  return { contentType: "text/plain; version=0.0.4; charset=utf-8", body: stats.prometheus(filter) };
}
