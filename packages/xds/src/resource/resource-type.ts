import type { Result } from "@heddle/base";

/** One kind of xDS resource: its config type, its reading and its writing, in one file of this folder. */
export interface ResourceType<Config> {
  /** "type.googleapis.com/envoy.config.cluster.v3.Cluster" */
  readonly typeUrl: string;
  /** For keys, logs and status. */
  readonly kind: ResourceKind;
  /** In SotW a response holds the complete set, so what is absent has been removed (LDS, CDS). */
  readonly completeInSotw: boolean;
  /** Reads one serialised message. On failure every reason, each with its field path, not only the first. */
  readonly decode: (bytes: Uint8Array) => Result<Decoded<Config>, readonly string[]>;
  /** Canonical: equal configurations give equal bytes. */
  readonly encode: (config: Config) => Uint8Array;
  readonly nameOf: (config: Config) => string;
  /** What must be present before this one can be used. */
  readonly references: (config: Config) => readonly Reference[];
}

/** By their discovery services: LDS, RDS, CDS, EDS; SDS, ECDS, RTDS, VHDS. */
export type ResourceKind =
  | "listener"
  | "route-configuration"
  | "cluster"
  | "endpoints"
  | "secret"
  | "extension-config"
  | "runtime"
  | "virtual-host";

export interface Decoded<Config> {
  readonly config: Config;
  /** Fields that were set and have no effect here (class c of the design): accepted and reported, never hidden. */
  readonly unhonoured: readonly FieldReport[];
}

/** A field by its path within the resource, in proto snake_case: "common_lb_config.zone_aware_lb_config". */
export interface FieldReport {
  readonly path: string;
  readonly note: string;
}

export interface Reference {
  readonly kind: ResourceKind;
  readonly name: string;
}
