import type {
  ClusterConfig,
  EndpointsConfig,
  ExtensionConfig,
  ListenerConfig,
  RouteConfiguration,
  RuntimeValues,
  SecretConfig,
} from "@heddle/traffic";

/** What a sidecar serves: complete, since only warmed resources get here. Immutable. */
export interface ProxyConfig {
  readonly listeners: ReadonlyMap<string, ListenerConfig>;
  readonly routeConfigurations: ReadonlyMap<string, RouteConfiguration>;
  readonly clusters: ReadonlyMap<string, ClusterConfig>;
  /** By cluster name (not by EDS service name). STATIC, resolved DNS and EDS alike. */
  readonly endpoints: ReadonlyMap<string, EndpointsConfig>;
  /** By the key of their references (`secretKey`). */
  readonly secrets: ReadonlyMap<string, SecretConfig>;
  /** All layers of the runtime, merged. */
  readonly runtime: RuntimeValues;
  /** What ECDS has brought, by `extensionKey`. */
  readonly extensions: ReadonlyMap<string, ExtensionConfig>;
}

/*
 * How configuration crosses to a traffic worker: by key and content hash, as bytes; a step in one block of shared memory
 * (packed-update.ts). A worker decodes only what changed, endpoints as columns. Keys: "listener/<name>", "route-configuration/<name>", "cluster/<name>",
 * "endpoints/<cluster name>", "secret/<sds or static>/<name>", "runtime/values", "extension-config/<name>".
 */
export interface ConfigLaneEntry {
  readonly key: string;
  /** Of the content; equal hash means equal configuration. */
  readonly hash: string;
  readonly bytes: Uint8Array;
}

/** One consistent step from one complete configuration to the next. A worker applies it in one synchronous block. */
export interface ConfigLaneUpdate {
  /** Rises by one with each update; a worker acknowledges it. A new worker gets everything as one update. */
  readonly generation: number;
  readonly changed: readonly ConfigLaneEntry[];
  readonly removed: readonly string[];
}
