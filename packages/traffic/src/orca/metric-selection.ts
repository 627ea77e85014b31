import { isMetricName, MAPS, PLAIN_METRICS } from "./metric-names.ts";
import type { OrcaReport } from "./orca-report.ts";

/** Takes one metric. */
export interface MetricSink {
  add(name: string, value: number): void;
}

/**
 * Some metrics by name, as `lrs_report_endpoint_metrics` and `metric_names_for_computing_utilization` have them: a plain field
 * ("cpu_utilization"), an entry of a map ("named_metrics.queue"), or all of one ("named_metrics.*").
 */
export class MetricSelection {
  /** As Envoy: 0 where the report does not have them, which protobuf cannot tell from 0. */
  readonly #plain: readonly string[];
  readonly #entries: readonly string[];
  /** Beginnings of names. */
  readonly #maps: readonly string[];

  /** What `isMetricName` does not know is passed over. */
  constructor(names: readonly string[]) {
    const known = [...new Set(names)].filter(isMetricName);
    this.#plain = known.filter((name) => PLAIN_METRICS.has(name));
    const maps = MAPS.filter((map) => known.includes(`${map}*`));
    this.#maps = maps;
    // An entry that stands beside the whole of its map is told once.
    this.#entries = known.filter((name) => !PLAIN_METRICS.has(name) && !maps.some((map) => name.startsWith(map)));
  }

  tell(report: OrcaReport, sink: MetricSink): void {
    for (const name of this.#plain) sink.add(name, report.get(name) ?? 0);
    for (const name of this.#entries) {
      const value = report.get(name);
      if (value !== undefined) sink.add(name, value);
    }
    if (this.#maps.length === 0) return;
    for (const [name, value] of report) if (this.#maps.some((map) => name.startsWith(map))) sink.add(name, value);
  }
}
