import type { Clock } from "@heddle/base";
import type { AssembledResource } from "@heddle/config";
import type { MetricScope } from "@heddle/telemetry";
import type { ServerState } from "./server-pages.ts";

export interface GaugeSubjects {
  readonly clock: Clock;
  readonly state: () => ServerState;
  readonly resources: () => readonly AssembledResource[];
  /** Of the process. */
  readonly residentBytes: () => number;
}

/** Gauges that are read where they lie when somebody looks, under Envoy's names. Returns what brings them up to date. */
export function serverGauges(metrics: MetricScope, subjects: GaugeSubjects): () => void {
  const startedMs = subjects.clock.now();
  const uptime = metrics.gauge("server.uptime");
  const live = metrics.gauge("server.live");
  const resident = metrics.gauge("server.memory_physical_size");
  const activeClusters = metrics.gauge("cluster_manager.active_clusters");
  const warmingClusters = metrics.gauge("cluster_manager.warming_clusters");
  const activeListeners = metrics.gauge("listener_manager.total_listeners_active");
  const warmingListeners = metrics.gauge("listener_manager.total_listeners_warming");
  return () => {
    uptime.set(Math.floor((subjects.clock.now() - startedMs) / 1000)); // seconds, as in Envoy
    live.set(subjects.state() === "LIVE" ? 1 : 0);
    resident.set(subjects.residentBytes());
    const resources = subjects.resources();
    const count = (kind: AssembledResource["kind"], version: "active" | "warming"): number =>
      resources.filter((resource) => resource.kind === kind && resource[version] !== undefined).length;
    activeClusters.set(count("cluster", "active"));
    warmingClusters.set(count("cluster", "warming"));
    activeListeners.set(count("listener", "active"));
    warmingListeners.set(count("listener", "warming"));
  };
}
