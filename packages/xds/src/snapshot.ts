import type { Reference } from "./resource/resource-type.ts";

/** One resource as it goes over the wire: encoded once, to bytes that every node that wants it gets. */
export interface EncodedResource {
  readonly name: string;
  /** Hash of `bytes`: replicas agree without talking. */
  readonly version: string;
  /** The serialised message, without its Any. */
  readonly bytes: Uint8Array;
  /**
   * What this resource refers to (`ResourceType.references`). After an updated cluster (listener) the server sends its
   * endpoints (route configuration) again, since an Envoy keeps the update warming until then. Left out: a cluster is
   * taken to refer to endpoints of its own name, a listener to a route configuration of its own name.
   */
  readonly references?: readonly Reference[];
  /** Other names that it answers to when a client asks for them (delta). Left out: none. */
  readonly aliases?: readonly string[];
  /**
   * For how long a client may keep it without hearing of it again; the server sends heartbeats. Only clients that say that
   * they know of it are told. Left out: until it is replaced or removed.
   */
  readonly ttlMs?: number;
}

/** All resources of one node, consistent with each other. Immutable. */
export interface Snapshot {
  /** By type URL, then by name. A type that is absent has no resources. */
  readonly resources: ReadonlyMap<string, ReadonlyMap<string, EncodedResource>>;
}

/** Where a server gets its snapshots. It knows configuration and no streams; the server the other way round. */
export interface SnapshotSource {
  /**
   * The snapshot for that node now, and a call whenever it has been replaced. Undefined as long as there is none yet
   * (a source that has not synchronised): the server then waits and pushes no empty world.
   */
  watch(node: XdsNode, onChange: () => void): SnapshotWatch;
}

export interface SnapshotWatch {
  readonly current: Snapshot | undefined;
  /** Why this node may have nothing at all, being somebody else than it says; undefined: it may. May change with any call. */
  readonly denied?: string | undefined;
  /** Asks for resources by name that the node's scope does not hold (egress on demand). May do nothing. */
  request(typeUrl: string, names: readonly string[]): void;
  close(): void;
}

/** `envoy.config.core.v3.Node`, what we use of it. */
export interface XdsNode {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: { readonly [key: string]: unknown };
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  readonly userAgentName: string;
  readonly userAgentVersion: string;
  readonly clientFeatures: readonly string[];
  /**
   * The SPIFFE ID that the stream's transport has verified: the server alone says it, and nothing that a node says of
   * itself becomes one. Left out: nobody has verified anything.
   */
  readonly identity?: { readonly trustDomain: string; readonly path: string };
}
