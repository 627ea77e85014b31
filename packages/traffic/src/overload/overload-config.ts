/** When and how the process sheds load: `envoy.config.overload.v3.OverloadManager`, decoded, or our own defaults. */
export interface OverloadConfig {
  /** Envoy `refresh_interval`. */
  readonly refreshIntervalMs: number;
  readonly monitors: readonly ResourceMonitorConfig[];
  readonly actions: readonly OverloadActionConfig[];
  /** Of the process (`envoy.resource_monitors.global_downstream_max_connections`); undefined: our own limit. */
  readonly maxDownstreamConnections: number | undefined;
}

/** What is measured, each as its share of a limit: 0 is none, 1 is all. Triggers name it by `name`. */
export type ResourceMonitorConfig = { readonly name: string } & (
  | {
      /** Resident memory of the process. Envoy measures what its allocator holds, which is most of that. */
      readonly type: "fixed-heap";
      readonly maxBytes: number;
    }
  | {
      /** 0: the cgroup's own limit, and without one nothing is measured. */
      readonly type: "cgroup-memory";
      readonly maxBytes: number;
    }
  | { readonly type: "cpu"; readonly of: "host" | "container" }
  /** Of our own: the fullest heap of a worker, against its limit. */
  | { readonly type: "worker-heap" }
  /** Of our own: how late the most delayed worker looks at its sockets, against `fullAtMs`. */
  | { readonly type: "event-loop-delay"; readonly fullAtMs: number }
);

/** Actions that do something; the others of Envoy's are reported. */
export type OverloadActionName =
  | "envoy.overload_actions.stop_accepting_requests"
  | "envoy.overload_actions.disable_http_keepalive"
  | "envoy.overload_actions.stop_accepting_connections"
  | "envoy.overload_actions.reject_incoming_connections";

export interface OverloadActionConfig {
  readonly name: OverloadActionName;
  /** The strongest decides. */
  readonly triggers: readonly OverloadTrigger[];
}

/** From a monitor's share to an action's strength, 0 to 1. */
export type OverloadTrigger = { readonly monitor: string } & (
  | { readonly type: "threshold"; readonly value: number }
  | { readonly type: "scaled"; readonly scalingThreshold: number; readonly saturationThreshold: number }
);

/** 0: not at all; 1: fully; between: as likely as that. */
export function triggerStrength(trigger: OverloadTrigger, share: number): number {
  if (trigger.type === "threshold") return share >= trigger.value ? 1 : 0;
  const { scalingThreshold, saturationThreshold } = trigger;
  if (share <= scalingThreshold) return 0;
  if (share >= saturationThreshold) return 1;
  return (share - scalingThreshold) / (saturationThreshold - scalingThreshold);
}

/** `envoy.config.bootstrap.v3.Watchdog` of the workers. */
export interface WatchdogConfig {
  readonly missTimeoutMs: number;
  readonly megamissTimeoutMs: number;
  /** 0: a worker that does not answer is never ended. */
  readonly killTimeoutMs: number;
  readonly maxKillTimeoutJitterMs: number;
}

/** Envoy's, but for `kill_timeout`: there it ends the whole process and is off; here it replaces one worker. */
export const defaultWatchdog: WatchdogConfig = {
  missTimeoutMs: 200,
  megamissTimeoutMs: 1000,
  killTimeoutMs: 10_000,
  maxKillTimeoutJitterMs: 0,
};

/**
 * Without an `overload_manager` in the bootstrap. High enough that nothing happens to a process that is merely busy: memory against
 * the cgroup's limit, each worker's heap against its own, and workers that are late by half a second all the time.
 */
export const defaultOverload: OverloadConfig = {
  refreshIntervalMs: 1000,
  maxDownstreamConnections: undefined,
  monitors: [
    { name: "heddle.resource_monitors.memory", type: "cgroup-memory", maxBytes: 0 },
    { name: "heddle.resource_monitors.worker_heap", type: "worker-heap" },
    { name: "heddle.resource_monitors.event_loop_delay", type: "event-loop-delay", fullAtMs: 2000 },
  ],
  actions: [
    {
      name: "envoy.overload_actions.disable_http_keepalive",
      triggers: [
        { monitor: "heddle.resource_monitors.memory", type: "threshold", value: 0.92 },
        { monitor: "heddle.resource_monitors.worker_heap", type: "threshold", value: 0.92 },
      ],
    },
    {
      name: "envoy.overload_actions.stop_accepting_requests",
      triggers: [
        { monitor: "heddle.resource_monitors.memory", type: "threshold", value: 0.95 },
        { monitor: "heddle.resource_monitors.worker_heap", type: "threshold", value: 0.95 },
        {
          monitor: "heddle.resource_monitors.event_loop_delay",
          type: "scaled",
          scalingThreshold: 0.25,
          saturationThreshold: 1,
        },
      ],
    },
    {
      name: "envoy.overload_actions.stop_accepting_connections",
      triggers: [{ monitor: "heddle.resource_monitors.memory", type: "threshold", value: 0.98 }],
    },
  ],
};
