import type { ResourceOrigin } from "@heddle/traffic";
import type { ResourceKind } from "@heddle/xds";

/** A configuration with where it came from. */
export interface Versioned<Config> {
  readonly config: Config;
  /** As the control plane named it; "" for static resources. */
  readonly version: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly acceptedMs: number;
  /** The message as it came, for those who look; where it was not kept `config` has to do. */
  readonly bytes?: Uint8Array | undefined;
}

/** One resource as the assembler holds it, for those who look: admin, `heddle status`, explain. */
export interface AssembledResource<Config = unknown> {
  readonly kind: ResourceKind;
  readonly name: string;
  readonly source: "static" | "dynamic";
  /** What brings it, where that is not the aggregated stream: of endpoints, route configurations and secrets. */
  readonly origin?: ResourceOrigin;
  /** What serves. */
  readonly active: Versioned<Config> | undefined;
  /** What will serve once `waitingFor` has come. */
  readonly warming: Versioned<Config> | undefined;
  /**
   * "<kind>/<name>": "endpoints/orders", "secret/web", "dns/a" (of a cluster), "cluster/*" (the first clusters, before any
   * listener).
   */
  readonly waitingFor: readonly string[];
}
