import type { Json } from "@heddle/base";

export interface RuntimeLimits {
  /** Most connections, by listener. */
  readonly listeners: Readonly<Record<string, number>>;
  /** Of the process; undefined: no key says so. */
  readonly connections: number | undefined;
}

const LISTENER_LIMIT = /^envoy\.resource_limits\.listener\.(.+)\.connection_limit$/;
const GLOBAL_LIMIT = "overload.global_downstream_max_connections";

/** The limits that Envoy reads from its runtime (configuration/listeners/runtime). Of several layers the last one counts. */
export function runtimeLimits(layers: readonly { readonly values: ReadonlyMap<string, Json> }[]): RuntimeLimits {
  const listeners: Record<string, number> = {};
  let connections: number | undefined;
  for (const { values } of layers) {
    for (const [key, value] of values) {
      const most = Number(value);
      if (!Number.isInteger(most) || most < 0) continue;
      const listener = LISTENER_LIMIT.exec(key)?.[1];
      if (listener !== undefined) listeners[listener] = most;
      else if (key === GLOBAL_LIMIT) connections = most;
    }
  }
  return { listeners, connections };
}
