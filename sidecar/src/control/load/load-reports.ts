import type { Clock } from "@heddle/base";
import type { ProxyConfig } from "@heddle/config";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { XdsNode } from "@heddle/xds";
import { LoadReportClient, type XdsChannel } from "@heddle/xds/client";
import type { WorkerLoad } from "../../traffic/upstream/load-ledger.ts";
import type { TrafficWorkers } from "../traffic-workers.ts";
import { LoadDeltas } from "./load-deltas.ts";

export interface LoadReportsOptions {
  readonly dial: () => XdsChannel;
  readonly node: XdsNode;
  readonly workers: Pick<TrafficWorkers, "inspectWorkers">;
  readonly config: () => ProxyConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly random: () => number;
}

/** A worker that needs longer is in the next report. */
const WITHIN_MS = 1000;

/** Tells a management server how much went to which cluster and zone (`cluster_manager.load_stats_config`). */
export function loadReports({ workers, config, clock, ...options }: LoadReportsOptions): LoadReportClient {
  const deltas = new LoadDeltas(clock.now());
  return new LoadReportClient({
    ...options,
    clock,
    async read({ clusters, byEndpoint }) {
      const answers = await workers.inspectWorkers(WITHIN_MS, byEndpoint ? "load-by-endpoint" : "load");
      const look = answers.map(({ worker, value }) => ({
        worker,
        load: value === null ? undefined : (value as unknown as WorkerLoad), // a worker answers so with nothing else
      }));
      const serviceNameOf = (cluster: string): string | undefined => {
        const discovery = config().clusters.get(cluster)?.discovery;
        return discovery?.type === "EDS" ? discovery.serviceName : undefined;
      };
      return deltas.read(look, clusters, serviceNameOf, clock.now());
    },
  });
}
