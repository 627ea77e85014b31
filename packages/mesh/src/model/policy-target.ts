import type { Labels } from "./service.ts";

/** Policies of this namespace are the whole mesh's (Istio's root namespace). */
export const ROOT_NAMESPACE = "heddle-system";

/**
 * Which workloads a policy is for: those of its namespace (of all, where that is the root one) that have all of the
 * labels and stand behind one of the services. Both undefined: every one.
 */
export interface PolicyTarget {
  /** `selector.matchLabels`; never empty. */
  readonly labels: Labels | undefined;
  /** Names of Services in the policy's own namespace (`targetRefs`); never empty. */
  readonly services: readonly string[] | undefined;
}
