import { addMetric, type MetricLoad, type MetricSum, metricLoads } from "@heddle/traffic";
import type { LoadReading } from "@heddle/xds/client";
import type { ClusterLoad, EndpointLoad, LocalityLoad, WorkerLoad } from "../../traffic/upstream/load-ledger.ts";

/** What the living workers said of themselves at one moment; undefined of one that did not answer in time. */
export type LoadLook = readonly { readonly worker: number; readonly load: WorkerLoad | undefined }[];

/**
 * Turns the workers' totals into what has happened since the last report that went out. A worker that does not answer for
 * once loses nothing: its totals have grown by the next time.
 */
export class LoadDeltas {
  /** Told so far, by worker, cluster and locality. */
  #told: ReadonlyMap<string, Counts> = new Map();
  /** The same of endpoints, by address as well; of those that workers still have. */
  #toldEndpoints: ReadonlyMap<string, Counts> = new Map();
  #toldMs: number;

  constructor(nowMs: number) {
    this.#toldMs = nowMs;
  }

  /** `serviceNameOf`: the name that EDS knows a cluster by. */
  read(
    look: LoadLook,
    clusters: "all" | readonly string[],
    serviceNameOf: (cluster: string) => string | undefined,
    nowMs: number,
  ): LoadReading {
    const told = this.#toldOf(new Set(look.map(({ worker }) => worker)));
    const silent = new Set(look.flatMap(({ worker, load }) => (load === undefined ? [worker] : [])));
    const toldEndpoints = new Map([...this.#toldEndpoints].filter(([, { worker }]) => silent.has(worker)));
    const wanted = clusters === "all" ? undefined : new Set(clusters);
    const sums = new Map<string, { dropped: number; readonly localities: Map<string, Sum> }>();
    for (const { worker, load } of look) {
      for (const one of load ?? []) {
        if (wanted?.has(one.cluster) === false) continue;
        let sum = sums.get(one.cluster);
        if (sum === undefined) {
          sum = { dropped: 0, localities: new Map() };
          sums.set(one.cluster, sum);
        }
        sum.dropped += this.#droppedSince(told, worker, one);
        for (const locality of one.localities) {
          const localitySum = this.#addLocality(told, worker, one.cluster, locality, sum.localities);
          this.#addEndpoints(toldEndpoints, worker, one.cluster, locality, localitySum);
        }
      }
    }
    const intervalMs = nowMs - this.#toldMs;
    return {
      clusters: [...sums].flatMap(([cluster, { dropped, localities }]) => {
        const busy = [...localities.values()].filter(happened);
        if (busy.length === 0 && dropped === 0) return [];
        return [{ cluster, serviceName: serviceNameOf(cluster) ?? cluster, localities: busy, dropped, intervalMs }];
      }),
      told: () => {
        this.#told = told;
        this.#toldEndpoints = toldEndpoints;
        this.#toldMs = nowMs;
      },
    };
  }

  /** What has been told of workers that are gone is of no use any more. */
  #toldOf(workers: ReadonlySet<number>): Map<string, Counts> {
    return new Map([...this.#told].filter(([, { worker }]) => workers.has(worker)));
  }

  #droppedSince(told: Map<string, Counts>, worker: number, { cluster, dropped }: ClusterLoad): number {
    const key = JSON.stringify([worker, cluster]);
    const before = this.#told.get(key)?.dropped ?? 0;
    told.set(key, { ...NOTHING, worker, dropped });
    return dropped - before;
  }

  #addLocality(
    told: Map<string, Counts>,
    worker: number,
    cluster: string,
    load: LocalityLoad,
    sums: Map<string, Sum>,
  ): Sum {
    const { region, zone, subZone, priority, issued, succeeded, failed, inProgress, metrics } = load;
    const place = JSON.stringify([region, zone, subZone, priority]);
    const key = JSON.stringify([worker, cluster, place]);
    const before = this.#told.get(key) ?? NOTHING;
    told.set(key, { worker, issued, succeeded, failed, dropped: 0, metrics });
    let sum = sums.get(place);
    if (sum === undefined) {
      sum = { region, zone, subZone, priority, ...NOTHING_DONE };
      sums.set(place, sum);
    }
    sum.issued += issued - before.issued;
    sum.succeeded += succeeded - before.succeeded;
    sum.failed += failed - before.failed;
    sum.inProgress += inProgress;
    Object.assign(sum, withMetricsSince(sum, metrics, before.metrics));
    return sum;
  }

  #addEndpoints(
    told: Map<string, Counts>,
    worker: number,
    cluster: string,
    { region, zone, subZone, priority, endpoints = [] }: LocalityLoad,
    sum: Sum,
  ): void {
    const sums = new Map((sum.endpoints ?? []).map((one) => [JSON.stringify(one.address), one]));
    for (const { address, issued, succeeded, failed, inProgress, metrics } of endpoints) {
      const place = JSON.stringify(address);
      const key = JSON.stringify([worker, cluster, region, zone, subZone, priority, place]);
      const known = this.#toldEndpoints.get(key) ?? NOTHING;
      const before = issued < known.issued ? NOTHING : known; // the worker had forgotten it, and counts from nothing again
      told.set(key, { worker, issued, succeeded, failed, dropped: 0, metrics });
      const other: Omit<EndpointLoad, "address"> = sums.get(place) ?? NOTHING_DONE;
      const one = {
        address,
        issued: other.issued + issued - before.issued,
        succeeded: other.succeeded + succeeded - before.succeeded,
        failed: other.failed + failed - before.failed,
        inProgress: other.inProgress + inProgress,
        ...withMetricsSince(other, metrics, before.metrics),
      };
      if (happened(one)) sums.set(place, one);
    }
    if (sums.size > 0) sum.endpoints = [...sums.values()];
  }
}

interface Counts {
  readonly worker: number;
  readonly issued: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly dropped: number;
  readonly metrics?: readonly MetricLoad[] | undefined;
}

type Sum = { -readonly [field in keyof LocalityLoad]: LocalityLoad[field] };

const NOTHING: Counts = { worker: 0, issued: 0, succeeded: 0, failed: 0, dropped: 0 };
const NOTHING_DONE = { issued: 0, succeeded: 0, failed: 0, inProgress: 0 };

interface WithMetrics {
  readonly metrics?: readonly MetricLoad[];
}

/** What `sum` has of metrics, and what has come to them since `before`. */
function withMetricsSince(sum: WithMetrics, now: WithMetrics["metrics"], before: Counts["metrics"]): WithMetrics {
  if (now === undefined) return sum.metrics === undefined ? {} : { metrics: sum.metrics };
  const known = new Map(before?.map((one) => [one.name, one]));
  const sums = new Map<string, MetricSum>(sum.metrics?.map(({ name, requests, total }) => [name, { requests, total }]));
  for (const { name, requests, total } of now) {
    const told = known.get(name);
    const since = requests - (told?.requests ?? 0);
    if (since > 0) addMetric(sums, name, since, total - (told?.total ?? 0));
  }
  return sums.size === 0 ? {} : { metrics: metricLoads(sums) };
}

function happened({
  issued,
  succeeded,
  failed,
  inProgress,
}: Pick<LocalityLoad, "issued" | "succeeded" | "failed" | "inProgress">): boolean {
  return issued + succeeded + failed + inProgress > 0;
}
