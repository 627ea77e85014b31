import type { HeaderMap } from "@heddle/http";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { ClientSideWeights } from "./client-side-weights.ts";
import { MetricSelection } from "./metric-selection.ts";
import type { OpenMessage } from "./orca-message.ts";
import { readOrcaReport } from "./orca-report.ts";

/** Takes what the endpoints of one cluster say of their load out of their answers, to whoever wants it: load reports, weights. */
export class EndpointReports {
  readonly #metrics: MetricSelection | undefined;
  readonly #weights: ClientSideWeights | undefined;
  readonly #open: OpenMessage;

  /** `metrics`: what load reports shall tell of (`lrs_report_endpoint_metrics`). */
  constructor(metrics: readonly string[] | undefined, weights: ClientSideWeights | undefined, open: OpenMessage) {
    this.#metrics = metrics && new MetricSelection(metrics);
    this.#weights = weights;
    this.#open = open;
  }

  /** Of a head or trailers. True: there was a report, and who sent it is not asked again in the same answer. */
  take(endpoint: Endpoint, fields: HeaderMap): boolean {
    const report = readOrcaReport(fields, this.#open);
    if (report === undefined) return false;
    const load = endpoint.beginReports();
    this.#metrics?.tell(report, load);
    this.#weights?.take(load, report);
    return true;
  }

  /** The cluster is let go. */
  close(): void {
    this.#weights?.close();
  }
}
