import type {
  ClusterConfig,
  EndpointsConfig,
  ExtensionConfig,
  ListenerConfig,
  RouteConfiguration,
  RuntimeValues,
  SecretConfig,
} from "@heddle/traffic";
import { type LaneKind, type LaneValues, laneKey } from "../lanes.ts";
import type { ProxyConfig } from "../proxy-config.ts";

/** The name under which the one runtime of a process crosses to the workers. */
export const RUNTIME_LANE_NAME = "values";

/** What one consistent step changes in a `ProxyConfig`, by lane key ("cluster/a"). */
export interface ConfigDelta {
  readonly changed: ReadonlyMap<string, LaneValues[LaneKind]>;
  readonly removed: readonly string[];
}

/**
 * The complete configuration as it will be after the step that is being made. Values are compared by identity: a
 * resource that did not change is the same object.
 */
export class ConfigDraft {
  readonly #maps = {
    listener: new Map<string, ListenerConfig>(),
    "route-configuration": new Map<string, RouteConfiguration>(),
    cluster: new Map<string, ClusterConfig>(),
    endpoints: new Map<string, EndpointsConfig>(),
    secret: new Map<string, SecretConfig>(),
    runtime: new Map<string, RuntimeValues>(),
    "extension-config": new Map<string, ExtensionConfig>(),
  };
  /** What each touched key held before the step; undefined: nothing. */
  readonly #before = new Map<string, { readonly kind: LaneKind; readonly name: string; readonly value: unknown }>();

  put<K extends LaneKind>(kind: K, name: string, value: LaneValues[K]): void {
    this.#touch(kind, name);
    (this.#maps[kind] as Map<string, LaneValues[K]>).set(name, value);
  }

  drop(kind: LaneKind, name: string): void {
    this.#touch(kind, name);
    this.#maps[kind].delete(name);
  }

  /** Ends the step: what it changed, or undefined where everything is as it was. */
  take(): ConfigDelta | undefined {
    const changed = new Map<string, LaneValues[LaneKind]>();
    const removed: string[] = [];
    for (const [key, { kind, name, value: before }] of this.#before) {
      const value = this.#maps[kind].get(name);
      if (value === before) continue;
      if (value === undefined) removed.push(key);
      else changed.set(key, value);
    }
    this.#before.clear();
    return changed.size === 0 && removed.length === 0 ? undefined : { changed, removed };
  }

  /** A picture of all of it, for those who come late. */
  current(): ProxyConfig {
    return {
      listeners: new Map(this.#maps.listener),
      routeConfigurations: new Map(this.#maps["route-configuration"]),
      clusters: new Map(this.#maps.cluster),
      endpoints: new Map(this.#maps.endpoints),
      secrets: new Map(this.#maps.secret),
      extensions: new Map(this.#maps["extension-config"]),
      runtime: this.#maps.runtime.get(RUNTIME_LANE_NAME) ?? {},
    };
  }

  #touch(kind: LaneKind, name: string): void {
    const key = laneKey(kind, name);
    if (!this.#before.has(key)) this.#before.set(key, { kind, name, value: this.#maps[kind].get(name) });
  }
}
