import type { Origin } from "./origin.ts";
import type { PolicyTarget } from "./policy-target.ts";

/**
 * What a workload takes from others: plaintext and mutual TLS on one port (PERMISSIVE), mutual TLS alone (STRICT), or
 * plaintext alone (DISABLE).
 */
export type MtlsMode = "PERMISSIVE" | "STRICT" | "DISABLE";

/** `PeerAuthentication` (heddle.dev/v1), decoded; fields and their meaning are Istio's. */
export interface PeerAuthentication {
  readonly kind: "peer-authentication";
  readonly namespace: string;
  readonly name: string;
  /** As of a route: the older one wins, and what has no time is younger than all. */
  readonly createdAtMs: number | undefined;
  /** By labels alone. */
  readonly target: PolicyTarget;
  /** Undefined: what the wider policy says. */
  readonly mode: MtlsMode | undefined;
  /** By public port of the workload. Only of a policy with a selector. */
  readonly portModes: ReadonlyMap<number, MtlsMode>;
  readonly origin: Origin;
}
