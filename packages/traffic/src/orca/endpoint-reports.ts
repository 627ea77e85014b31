import type { HeaderMap } from "@heddle/http";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { addMetric, type MetricSum, type ReportedLoad } from "../endpoint/reported-load.ts";
import type { ClientSideWeights } from "./client-side-weights.ts";
import { MetricSelection, type MetricSink } from "./metric-selection.ts";
import { readOrcaReport } from "./orca-report.ts";

/** Takes what the endpoints of one cluster say of their load out of their answers, to whoever wants it: load reports, weights. */
export class EndpointReports {
  readonly #metrics: MetricSelection | undefined;
  readonly #weights: ClientSideWeights | undefined;
  readonly #adder = new Adder();

  /** `metrics`: what load reports shall tell of (`lrs_report_endpoint_metrics`). */
  constructor(metrics: readonly string[] | undefined, weights: ClientSideWeights | undefined) {
    this.#metrics = metrics && new MetricSelection(metrics);
    this.#weights = weights;
  }

  /** Of a head or trailers. True: there was a report, and who sent it is not asked again in the same answer. */
  take(endpoint: Endpoint, fields: HeaderMap): boolean {
    const report = readOrcaReport(fields);
    if (report === undefined) return false;
    const load = (endpoint.reportedLoad ??= noLoad());
    if (this.#metrics !== undefined) {
      this.#adder.sums = load.metrics;
      this.#metrics.tell(report, this.#adder);
    }
    this.#weights?.take(load, report);
    return true;
  }
}

class Adder implements MetricSink {
  sums = new Map<string, MetricSum>();

  add(name: string, value: number): void {
    addMetric(this.sums, name, 1, value);
  }
}

function noLoad(): ReportedLoad {
  return { metrics: new Map(), lastWeight: 0, sinceMs: Infinity, lastMs: 0, weight: 0 };
}
