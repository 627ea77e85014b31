import type { Clock, Timer } from "@heddle/base";
import type { ClientSideWeightedRoundRobin } from "../cluster/cluster-config.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { ReportedLoad } from "../endpoint/reported-load.ts";
import { MetricSelection, type MetricSink } from "./metric-selection.ts";
import type { OrcaReport } from "./orca-report.ts";

/** The cluster whose endpoints are weighed. */
export interface WeighedCluster {
  endpoints(): Iterable<Endpoint>;
  /** Some weights are others than before: the picker (`byReports`) has to be made anew. */
  onWeights(): void;
}

/** Envoy's, and what keeps a weight within numbers that divide well. */
const MAX_WEIGHT = 2 ** 32 - 1;
const MIN_WEIGHT = 1e-6;

/**
 * `envoy.load_balancing_policies.client_side_weighted_round_robin` (gRFC A58): who serves more for the same utilization gets more.
 *
 *     weight = rps / (utilization + eps / rps * penalty)
 *
 * A weight counts when reports have come for the blackout period, until none has come for the expiration period; then the blackout
 * begins anew.
 *
 * Time runs only where reports come: without any there is no timer, and everybody takes turns.
 */
export class ClientSideWeights {
  readonly #config: ClientSideWeightedRoundRobin;
  readonly #utilization: Greatest;
  readonly #clock: Clock;
  readonly #cluster: WeighedCluster;
  #timer: Timer | undefined = undefined;
  #closed = false;

  constructor(config: ClientSideWeightedRoundRobin, clock: Clock, cluster: WeighedCluster) {
    this.#config = config;
    this.#utilization = new Greatest(config.metricNamesForComputingUtilization);
    this.#clock = clock;
    this.#cluster = cluster;
  }

  /** Takes one report. One that gives no weight (nothing served, or no utilization) says nothing, as in Envoy. */
  take(load: ReportedLoad, report: OrcaReport): void {
    const weight = this.#weightBy(report);
    if (weight === undefined) return;
    load.lastWeight = weight;
    load.lastMs = this.#clock.now();
    load.sinceMs = Math.min(load.sinceMs, load.lastMs);
    this.#timer ??= this.#closed ? undefined : this.#next();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #weightBy(report: OrcaReport): number | undefined {
    const rps = report.get("rps_fractional") ?? 0;
    if (rps <= 0) return undefined;
    const utilization = this.#utilization.of(report) + this.#penalty((report.get("eps") ?? 0) / rps);
    if (utilization <= 0) return undefined;
    return Math.min(Math.max(rps / utilization, MIN_WEIGHT), MAX_WEIGHT);
  }

  /** Either may be infinite, and 0 times that is no number: with such a weight the picker would know no order any more. */
  #penalty(failing: number): number {
    const { errorUtilizationPenalty: factor } = this.#config;
    return failing === 0 || factor === 0 ? 0 : failing * factor;
  }

  #next(): Timer {
    return this.#clock.after(this.#config.weightUpdatePeriodMs, () => this.#update(), true);
  }

  #update(): void {
    const now = this.#clock.now();
    let changed = false;
    let goesOn = false;
    for (const { reportedLoad: load } of this.#cluster.endpoints()) {
      if (load === undefined) continue;
      const weight = this.#weightAt(load, now);
      if (load.sinceMs !== Infinity) goesOn = true;
      if (weight === load.weight) continue;
      load.weight = weight;
      changed = true;
    }
    this.#timer = goesOn ? this.#next() : undefined;
    if (changed) this.#cluster.onWeights();
  }

  /** The weight that counts at that time; 0: none. */
  #weightAt(load: ReportedLoad, now: number): number {
    const { blackoutPeriodMs, weightExpirationPeriodMs } = this.#config;
    if (now - load.lastMs > weightExpirationPeriodMs) load.sinceMs = Infinity;
    return now - load.sinceMs >= blackoutPeriodMs ? load.lastWeight : 0;
  }
}

/**
 * The utilization that a report says: the greatest of the metrics that are named, else `application_utilization`, else
 * `cpu_utilization`; the first that is above 0 (Envoy's OrcaLoadReportHandler, since 1.38).
 */
class Greatest implements MetricSink {
  readonly #metrics: MetricSelection;
  #value = 0;

  constructor(names: readonly string[]) {
    this.#metrics = new MetricSelection(names);
  }

  of(report: OrcaReport): number {
    this.#value = 0;
    this.#metrics.tell(report, this);
    if (this.#value > 0) return this.#value;
    const application = report.get("application_utilization") ?? 0;
    return application > 0 ? application : (report.get("cpu_utilization") ?? 0);
  }

  add(_name: string, value: number): void {
    if (value > this.#value) this.#value = value;
  }
}
