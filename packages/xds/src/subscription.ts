import type { ResourceOrigin } from "@heddle/traffic";
import type { ResourceKind } from "./resource/resource-type.ts";

/**
 * What an xDS client has accepted since it last told: one call for each response that held anything new, and one for the
 * first response of a kind even when it held nothing.
 */
export interface ResourceUpdate {
  readonly kind: ResourceKind;
  /** What brought it. Left out: the aggregated stream. The same name from another origin is another resource. */
  readonly origin?: ResourceOrigin;
  /** Decoded and valid. A resource whose bytes did not change is not in here. */
  readonly changed: ReadonlyMap<string, AcceptedResource>;
  readonly removed: readonly string[];
  /** Names that were asked for and do not exist: the server said so, or 15 s passed. */
  readonly absent: readonly string[];
  /**
   * Names that came again with the bytes that they already had. Whoever waits for fresh endpoints of an updated cluster
   * (or a fresh route configuration of an updated listener) has them now. Also names that turned out to be aliases of such
   * a resource.
   */
  readonly refreshed?: readonly string[];
  /** The server said nothing: `absent` are names that went unanswered for 15 s. Who waits longer may go on waiting. */
  readonly timedOut?: true;
}

export interface AcceptedResource {
  readonly name: string;
  readonly version: string;
  /** The `Config` of the resource's type: ListenerConfig, RouteConfiguration, ClusterConfig or EndpointsConfig. */
  readonly config: unknown;
  readonly unhonoured: readonly { readonly path: string; readonly note: string }[];
  /** The message as it came, with everything that `config` does not have. Left out of endpoints and secrets. */
  readonly bytes?: Uint8Array | undefined;
  /** Names that were asked for and that this resource answers, besides its own (VHDS). Left out: none. */
  readonly aliases?: readonly string[];
}

/** What the assembler of a proxy's configuration asks of whoever brings resources. */
export interface ResourceSubscriber {
  /**
   * Replaces the names wanted of that kind from that origin (left out: the aggregated stream); "*" is the wildcard.
   * Idempotent.
   */
  subscribe(kind: ResourceKind, names: ReadonlySet<string>, origin?: ResourceOrigin): void;
}
