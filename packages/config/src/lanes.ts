import type {
  ClusterConfig,
  EndpointsConfig,
  ExtensionConfig,
  ListenerConfig,
  RouteConfiguration,
  RuntimeValues,
  SecretConfig,
} from "@heddle/traffic";
import { canonicalJson, contentHash } from "./content-hash.ts";
import { EndpointLaneReader, encodeEndpoints } from "./endpoint-lane.ts";
import type { ConfigLaneEntry } from "./proxy-config.ts";

/*
 * How configuration becomes bytes for the traffic workers and objects again. A door of its own, since workers import it
 * and load neither protobuf nor YAML: nothing here may import more than types.
 *
 * Listeners, route configurations, clusters and secrets cross as JSON; they are few. Endpoints cross as columns, since there may
 * be very many (see endpoint-lane.ts), and many virtual hosts apart from their route configuration (see host-lanes.ts). Both are canonical: equal configuration gives equal bytes, and so equal hashes.
 */

export { canonicalJson, contentHash } from "./content-hash.ts";
export { EndpointLaneReader } from "./endpoint-lane.ts";
export { HeldHosts, isHostKey } from "./host-lanes.ts";
export { type PackedUpdate, PackedUpdateReader, packUpdate } from "./packed-update.ts";

/** What crosses, by kind. A kind is also the first part of a key: "cluster/outbound/80/orders.default". */
export interface LaneValues {
  readonly listener: ListenerConfig;
  readonly "route-configuration": RouteConfiguration;
  readonly cluster: ClusterConfig;
  /** By cluster name. */
  readonly endpoints: EndpointsConfig;
  /** By the key of its references (`secretKey`). A lane to itself: a rotation touches nothing but handshakes to come. */
  readonly secret: SecretConfig;
  /** All layers, merged; there is one. */
  readonly runtime: RuntimeValues;
  /** Of HTTP filters, by `extensionKey`. A lane to itself: a change touches requests to come, and no connection. */
  readonly "extension-config": ExtensionConfig;
}

export type LaneKind = keyof LaneValues;

const KINDS: ReadonlySet<string> = new Set<LaneKind>([
  "listener",
  "route-configuration",
  "cluster",
  "endpoints",
  "secret",
  "runtime",
  "extension-config",
]);

export function laneKey(kind: LaneKind, name: string): string {
  return `${kind}/${name}`;
}

/** The two parts of a key. A name may contain slashes. Throws on a key that `laneKey` cannot have made. */
export function parseLaneKey(key: string): { readonly kind: LaneKind; readonly name: string } {
  const slash = key.indexOf("/");
  const kind = key.slice(0, slash);
  if (!KINDS.has(kind)) throw new TypeError(`"${key}" is no lane key`);
  return { kind: kind as LaneKind, name: key.slice(slash + 1) };
}

/** The value's canonical bytes. Throws on a value that is not of the key's kind. */
export function encodeLane(key: string, value: LaneValues[LaneKind]): Uint8Array<ArrayBuffer> {
  return parseLaneKey(key).kind === "endpoints"
    ? encodeEndpoints(value as EndpointsConfig)
    : new TextEncoder().encode(canonicalJson(value));
}

/**
 * The value again; fields that were undefined are absent. Endpoints come whole here: a worker that must not stall uses
 * `EndpointLaneReader` and takes them in slices.
 */
export function decodeLane(key: string, bytes: Uint8Array): LaneValues[LaneKind] {
  if (parseLaneKey(key).kind === "endpoints") return new EndpointLaneReader(bytes).readAll();
  // Buffer reads shared memory, which TextDecoder need not.
  return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
}

/** Encodes and hashes. */
export function laneEntry(key: string, value: LaneValues[LaneKind]): ConfigLaneEntry {
  const bytes = encodeLane(key, value);
  return { key, hash: contentHash(bytes), bytes };
}
