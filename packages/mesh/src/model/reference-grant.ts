import type { Origin } from "./origin.ts";
import type { RouteKind } from "./route.ts";

/** Which routes of other namespaces may lead to Services of its own: a Gateway API ReferenceGrant, decoded. */
export interface ReferenceGrant {
  readonly kind: "reference-grant";
  readonly namespace: string;
  readonly name: string;
  /** Any of them. */
  readonly from: readonly { readonly kind: RouteKind; readonly namespace: string }[];
  /** Names of Services; "all" of the namespace's own. */
  readonly to: readonly string[] | "all";
  readonly origin: Origin;
}
