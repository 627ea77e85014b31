import { formatPrometheus, formatStats, type MetricsRegistry } from "@heddle/telemetry";
import type { StatsView } from "./stats-pages.ts";

/** The series of all threads, collected when somebody looks; `beforeLook` brings gauges up to date. */
export function statsView(registry: MetricsRegistry, beforeLook: () => void): StatsView {
  const collect = () => {
    beforeLook();
    return registry.collect();
  };
  return {
    text: (filter) => formatStats(collect(), filter),
    // One rule says what a filter leaves out, whatever form is asked for: a series of which no text is left.
    prometheus: (filter) => formatPrometheus(collect().filter((series) => formatStats([series], filter) !== "")),
  };
}
