import type { RuntimeLayer } from "@heddle/traffic";

export interface RuntimeLimits {
  /** Most connections, by listener. */
  readonly listeners: Readonly<Record<string, number>>;
  /** Of the process; undefined: no key says so. */
  readonly connections: number | undefined;
}

const LISTENER_LIMIT = /^envoy\.resource_limits\.listener\.(.+)\.connection_limit$/;
const GLOBAL_LIMIT = "overload.global_downstream_max_connections";

/** The limits that Envoy reads from its runtime (configuration/listeners/runtime). Of several layers the last one counts. */
export function runtimeLimits(layers: readonly RuntimeLayer[]): RuntimeLimits {
  const listeners: Record<string, number> = {};
  let connections: number | undefined;
  for (const layer of layers) {
    if (layer.type !== "static") continue; // they are read when the process starts
    for (const [key, value] of Object.entries(layer.values)) {
      const most = Number(value);
      if (!Number.isInteger(most) || most < 0) continue;
      const listener = LISTENER_LIMIT.exec(key)?.[1];
      if (listener !== undefined) listeners[listener] = most;
      else if (key === GLOBAL_LIMIT) connections = most;
    }
  }
  return { listeners, connections };
}
