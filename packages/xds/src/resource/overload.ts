import { fieldOf, type Message } from "@heddle/proto";
import {
  defaultWatchdog,
  type OverloadActionConfig,
  type OverloadActionName,
  type OverloadConfig,
  type OverloadTrigger,
  type ResourceMonitorConfig,
  type WatchdogConfig,
} from "@heddle/traffic";
import { Fields, Findings } from "./fields.ts";
import type { FieldReport } from "./resource-type.ts";
import { openAny } from "./typed-config.ts";

const MANAGER = "envoy.config.overload.v3.OverloadManager";
const WATCHDOGS = "envoy.config.bootstrap.v3.Watchdogs";
const WATCHDOG = "envoy.config.bootstrap.v3.Watchdog";
const MONITORS = "envoy.extensions.resource_monitors";
const CONNECTIONS = `${MONITORS}.downstream_connections.v3.DownstreamConnectionsConfig`;

/** The fields of the bootstrap that this reads. */
export const OVERLOAD_FIELDS = ["overload_manager", "watchdogs", "watchdog"] as const;

export interface OverloadReading {
  /** Undefined: nothing is said, and our own defaults hold. */
  readonly overload: OverloadConfig | undefined;
  readonly watchdog: WatchdogConfig | undefined;
  /** Each begins with its path. */
  readonly errors: readonly string[];
  readonly unhonoured: readonly FieldReport[];
}

/** What `envoy.config.bootstrap.v3.Bootstrap` says of overload and of workers that do not answer. */
export function decodeOverload(bootstrap: Message): OverloadReading {
  const findings = new Findings();
  const part = (type: string, name: string): Fields | undefined => {
    const message = fieldOf(bootstrap, name) as Message | undefined;
    return message && new Fields(type, message, name, findings);
  };
  const manager = part(MANAGER, "overload_manager");
  const watchdog = part(WATCHDOGS, "watchdogs")?.message("worker_watchdog") ?? part(WATCHDOG, "watchdog");
  return {
    overload: manager && decodeManager(manager),
    watchdog: watchdog && decodeWatchdog(watchdog),
    errors: findings.errors,
    unhonoured: findings.unhonoured,
  };
}

function decodeManager(fields: Fields): OverloadConfig {
  const monitors: ResourceMonitorConfig[] = [];
  let maxDownstreamConnections: number | undefined;
  const names = new Set<string>();
  for (const monitor of fields.messages("resource_monitors")) {
    const name = monitor.text("name");
    if (names.has(name)) monitor.fail("name", `there are two resource monitors named "${name}"`);
    names.add(name);
    const decoded = decodeMonitor(name, monitor);
    if (typeof decoded === "number") maxDownstreamConnections = decoded;
    else if (decoded !== undefined) monitors.push(decoded);
  }
  const actions: OverloadActionConfig[] = [];
  const seen = new Set<string>();
  for (const action of fields.messages("actions")) {
    const decoded = decodeAction(action, names);
    if (decoded === undefined) continue;
    if (seen.has(decoded.name)) action.fail("name", `there are two actions named "${decoded.name}"`);
    seen.add(decoded.name);
    actions.push(decoded);
  }
  return {
    refreshIntervalMs: fields.durationMs("refresh_interval", 1000),
    monitors,
    actions,
    maxDownstreamConnections,
  };
}

/** A number: the most downstream connections, which is a limit by itself and needs no action. */
function decodeMonitor(name: string, fields: Fields): ResourceMonitorConfig | number | undefined {
  const any = fields.raw("typed_config");
  if (any === undefined) {
    fields.fail("typed_config", "must be set");
    return undefined;
  }
  const path = fields.at("typed_config");
  const extension = openAny(any, path, fields.findings);
  if (extension === undefined) return undefined;
  const { type, message } = extension;
  if (message === undefined || !READ.has(type)) {
    fields.fail("typed_config", `there is no resource monitor ${type}; allowed are ${[...READ].join(", ")}`);
    return undefined;
  }
  const config = new Fields(type, message, path, fields.findings);
  switch (type) {
    case `${MONITORS}.fixed_heap.v3.FixedHeapConfig`:
      return { name, type: "fixed-heap", maxBytes: config.number("max_heap_size_bytes") };
    case `${MONITORS}.cgroup_memory.v3.CgroupMemoryConfig`:
      return { name, type: "cgroup-memory", maxBytes: config.number("max_memory_bytes") };
    case `${MONITORS}.cpu_utilization.v3.CpuUtilizationConfig`:
      return { name, type: "cpu", of: config.number("mode") === CONTAINER ? "container" : "host" };
    case CONNECTIONS:
      return config.number("max_active_downstream_connections");
    default:
      throw new Error(`a monitor that is allowed and not read: ${type}`);
  }
}

const READ: ReadonlySet<string> = new Set([
  `${MONITORS}.fixed_heap.v3.FixedHeapConfig`,
  `${MONITORS}.cgroup_memory.v3.CgroupMemoryConfig`,
  `${MONITORS}.cpu_utilization.v3.CpuUtilizationConfig`,
  CONNECTIONS,
]);
const CONTAINER = 1; // CpuUtilizationConfig.UtilizationComputeStrategy

const ACTIONS: ReadonlySet<string> = new Set<OverloadActionName>([
  "envoy.overload_actions.stop_accepting_requests",
  "envoy.overload_actions.disable_http_keepalive",
  "envoy.overload_actions.stop_accepting_connections",
  "envoy.overload_actions.reject_incoming_connections",
]);

/** Envoy's actions that change how much is held, and not who is served. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  "envoy.overload_actions.shrink_heap": "has no effect; the garbage collector decides by itself",
  "envoy.overload_actions.reduce_timeouts": "has no effect; timeouts stay as they are configured",
  "envoy.overload_actions.reset_high_memory_stream": "has no effect; buffers are bounded by their limits",
};

function decodeAction(fields: Fields, monitors: ReadonlySet<string>): OverloadActionConfig | undefined {
  const name = fields.text("name");
  const triggers = fields.messages("triggers").map((trigger) => decodeTrigger(trigger, monitors));
  if (ACTIONS.has(name)) {
    return { name: name as OverloadActionName, triggers: triggers.filter((trigger) => trigger !== undefined) };
  }
  const note = WITHOUT_EFFECT[name];
  if (note === undefined) fields.fail("name", `found "${name}", allowed are ${[...ACTIONS].join(", ")}`);
  else fields.report("name", `${name} ${note}`);
  return undefined;
}

function decodeTrigger(fields: Fields, monitors: ReadonlySet<string>): OverloadTrigger | undefined {
  const monitor = fields.text("name");
  if (!monitors.has(monitor)) {
    fields.fail("name", `found "${monitor}", which is no resource monitor of this overload manager`);
    return undefined;
  }
  const threshold = fields.message("threshold");
  if (threshold !== undefined) return { monitor, type: "threshold", value: threshold.number("value") };
  const scaled = fields.message("scaled");
  if (scaled === undefined) return undefined; // `validate` has said that one is required
  const scalingThreshold = scaled.number("scaling_threshold");
  const saturationThreshold = scaled.number("saturation_threshold");
  if (scalingThreshold >= saturationThreshold) {
    scaled.fail("scaling_threshold", `found ${scalingThreshold}, allowed is less than saturation_threshold`);
  }
  return { monitor, type: "scaled", scalingThreshold, saturationThreshold };
}

function decodeWatchdog(fields: Fields): WatchdogConfig {
  return {
    missTimeoutMs: fields.durationMs("miss_timeout", defaultWatchdog.missTimeoutMs),
    megamissTimeoutMs: fields.durationMs("megamiss_timeout", defaultWatchdog.megamissTimeoutMs),
    killTimeoutMs: fields.durationMs("kill_timeout", 0),
    maxKillTimeoutJitterMs: fields.durationMs("max_kill_timeout_jitter", 0),
  };
}
