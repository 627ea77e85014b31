import { formatPrometheus, formatStats, type SeriesValue } from "@heddle/telemetry";
import type { StatsPresentation } from "../export/stats-presentation.ts";
import type { StatsView } from "./stats-pages.ts";

/** The series of all threads, collected when somebody looks. */
export function statsView(
  collect: () => readonly SeriesValue[],
  presentation: Pick<StatsPresentation, "naming" | "buckets">,
): StatsView {
  return {
    text: (filter) => formatStats(collect(), filter),
    // One rule says what a filter leaves out, whatever form is asked for: a series of which no text is left.
    prometheus: (filter) =>
      formatPrometheus(
        collect().filter((series) => formatStats([series], filter) !== ""),
        presentation,
      ),
  };
}
