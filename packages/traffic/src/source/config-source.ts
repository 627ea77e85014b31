import { hash } from "node:crypto";
import type { DataConfig } from "../tls/tls-config.ts";

/*
 * `envoy.config.core.v3.ConfigSource`, decoded: where a resource comes from. Plain JSON data: it crosses to the workers with the
 * resources that it stands in, so its credentials are shown to nobody as they are.
 */

export interface ConfigSource {
  /** "self": wherever the resource came from that says so. Whoever knows that puts it in place (`resolveSelf`). */
  readonly from: ResourceOrigin | { readonly type: "self" };
  /** How long whoever needs the resource waits for its first answer: 15 s where unset, 0 is for ever. */
  readonly initialFetchTimeoutMs: number;
}

export type ResourceOrigin = AdsOrigin | FileOrigin | ApiOrigin;

/** The one aggregated stream of the bootstrap (`ads`, and the aggregated API types). */
export interface AdsOrigin {
  readonly type: "ads";
}

/** `PathConfigSource`: a file that holds a whole `DiscoveryResponse`. */
export interface FileOrigin {
  readonly type: "file";
  readonly path: string;
  /** The file is read again when something is renamed into that folder. Left out: when the file itself changes. */
  readonly watchedFolder?: string;
}

/** `ApiConfigSource` that is not aggregated: a stream of its own for each type, or polling. */
export interface ApiOrigin {
  readonly type: "api";
  readonly apiType: "GRPC" | "DELTA_GRPC" | "REST";
  /** In the order of preference; at least one, and exactly one with REST. */
  readonly servers: readonly DiscoveryServer[];
  readonly refreshDelayMs: number; // REST: from one answer to the next question
  readonly requestTimeoutMs: number; // REST: 1 s
  /** Requests are spaced by it. Left out: they are not limited. */
  readonly rateLimit?: { readonly maxTokens: number; readonly fillRatePerSecond: number };
}

/** `envoy.config.core.v3.GrpcService`, or the cluster of a REST source. */
export interface DiscoveryServer {
  readonly target: /** A static cluster of the bootstrap. */
    | { readonly type: "cluster"; readonly name: string }
    /** gRPC's name of it ("host:port"). */
    | { readonly type: "address"; readonly address: string };
  /** What it is called in its requests (":authority"). Left out: by its address. */
  readonly authority?: string;
  /** Sent with each call, in this order. May hold tokens. */
  readonly metadata?: readonly (readonly [name: string, value: string])[];
  /** Our own control plane, by mutual TLS with this process's own identity. */
  readonly byIdentity?: true;
  /** `google_grpc` over TLS. Left out: plaintext, or what the cluster says. */
  readonly ssl?: {
    /** Left out: the authorities that the system trusts. */
    readonly rootCerts?: DataConfig;
    readonly privateKey?: DataConfig;
    readonly certChain?: DataConfig;
  };
}

/** Envoy's `initial_fetch_timeout` where it is not set. */
export const INITIAL_FETCH_TIMEOUT_MS = 15_000;

/** Which resources of a kind are asked for from the start, and where. */
export interface Discovery {
  readonly source: ConfigSource;
  /** "*" is all of them. */
  readonly names: readonly string[];
}

export const ADS: AdsOrigin = { type: "ads" };

/** What holds where a resource says nothing else. */
export const adsSource: ConfigSource & { readonly from: AdsOrigin } = {
  from: ADS,
  initialFetchTimeoutMs: INITIAL_FETCH_TIMEOUT_MS,
};

/**
 * Equal origins have equal keys: "" is the aggregated stream's. It says nothing of what it stands for, since that may hold
 * credentials.
 */
export function originKey(origin: ResourceOrigin | undefined): string {
  if (origin === undefined || origin.type === "ads") return "";
  let key = keys.get(origin);
  if (key === undefined) {
    key = hash("sha256", JSON.stringify(origin, sorted), "base64url").slice(0, KEY_LENGTH);
    keys.set(origin, key);
  }
  return key;
}

/** Fields come in another order where the configuration has crossed to a worker. */
function sorted(_name: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** 120 bits. */
const KEY_LENGTH = 20;

const keys = new WeakMap<ResourceOrigin, string>();

/** Tells names apart that come from different origins: of the aggregated stream it is the name itself. */
export function nameFrom(name: string, origin: ResourceOrigin | { readonly type: "self" } | undefined): string {
  const key = origin === undefined || origin.type === "self" ? "" : originKey(origin);
  return key === "" ? name : `${name}@${key}`;
}

/** The source with "self" replaced by what brought the resource in which it stands. */
export function resolveSelf(source: ConfigSource, broughtBy: ResourceOrigin | undefined): ConfigSource {
  return source.from.type === "self" ? { ...source, from: broughtBy ?? ADS } : source;
}

/** For logs and admin: nothing of it is secret. */
export function describeOrigin(origin: ResourceOrigin): string {
  switch (origin.type) {
    case "ads":
      return "ads";
    case "file":
      return `file ${origin.path}`;
    case "api":
      return `${origin.apiType} ${origin.servers.map(({ target }) => (target.type === "cluster" ? `cluster "${target.name}"` : target.address)).join(", ")}`;
  }
}
