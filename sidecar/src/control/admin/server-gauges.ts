import { memoryUsage } from "node:process";
import type { Clock } from "@heddle/base";
import type { MetricScope } from "@heddle/telemetry";
import type { ServerState } from "./server-pages.ts";

export interface GaugeSubjects {
  readonly clock: Clock;
  readonly state: () => ServerState;
  /** "1.2.3" */
  readonly version: string;
  /** Workers that run. */
  readonly concurrency: () => number;
  /** Downstream connections of the process. */
  readonly connections: () => number;
  /** See `CertificatesInUse`. */
  readonly daysUntilFirstCertExpires: () => number;
}

/** Envoy's numbers of `ServerInfo.State`. */
const STATES: Readonly<Record<ServerState, number>> = { LIVE: 0, DRAINING: 1, PRE_INITIALIZING: 2, INITIALIZING: 3 };

/**
 * Gauges of the process (`server.*`, config/observability/statistics) that are read where they lie when somebody looks. Returns
 * what brings them up to date.
 */
export function serverGauges(metrics: MetricScope, subjects: GaugeSubjects): () => void {
  const startedMs = subjects.clock.now();
  const scope = metrics.scope("server");
  const uptime = scope.gauge("uptime");
  const live = scope.gauge("live");
  const state = scope.gauge("state");
  const concurrency = scope.gauge("concurrency");
  const connections = scope.gauge("total_connections");
  const allocated = scope.gauge("memory_allocated");
  const heapSize = scope.gauge("memory_heap_size");
  const resident = scope.gauge("memory_physical_size");
  const daysUntilExpiry = scope.gauge("days_until_first_cert_expiring");
  const workersStarted = metrics.gauge("listener_manager.workers_started");
  scope.gauge("version").set(versionNumber(subjects.version));
  scope.gauge("hot_restart_epoch").set(0);
  scope.gauge("parent_connections").set(0);
  scope.counter("envoy_bug_failures");
  scope.counter("debug_assertion_failures");
  return () => {
    uptime.set(Math.floor((subjects.clock.now() - startedMs) / 1000)); // seconds, as in Envoy
    const now = subjects.state();
    live.set(now === "LIVE" ? 1 : 0);
    state.set(STATES[now]);
    const running = subjects.concurrency();
    concurrency.set(running);
    workersStarted.set(running > 0 ? 1 : 0);
    connections.set(subjects.connections());
    daysUntilExpiry.set(subjects.daysUntilFirstCertExpires());
    // Of this thread and of the process; the workers' heaps are in the latter alone.
    const { heapUsed, heapTotal, external, rss } = memoryUsage();
    allocated.set(heapUsed + external);
    heapSize.set(heapTotal + external);
    resident.set(rss);
  };
}

/** 1.2.3 is 1002003. Envoy has a number of its source's revision there: all that counts is that versions differ. */
function versionNumber(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0);
  return major * 1_000_000 + minor * 1000 + patch;
}
