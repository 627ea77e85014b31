/*
 * Well-known client features (client_features.rst): what a client says in `node.client_features` that it can take.
 */

/** A resource may have a time to live. */
export const RESOURCE_TTL = "xds.config.supports-resource-ttl";

/** State of the world: a resource may come in the envelope of the delta variant. */
export const RESOURCE_IN_SOTW = "xds.config.resource-in-sotw";

/** The same, as xds_protocol.rst calls it. */
const RESOURCE_IN_SOTW_TOO = "xds.config.supports-resource-in-sotw";

/** What our own client can take. */
export const CLIENT_FEATURES: readonly string[] = [RESOURCE_TTL, RESOURCE_IN_SOTW, RESOURCE_IN_SOTW_TOO];

/** Whether a client of these features can be given a time to live, in that variant. */
export function takesTtl(features: readonly string[], variant: "sotw" | "delta"): boolean {
  return features.includes(RESOURCE_TTL) && (variant === "delta" || takesWrapped(features));
}

function takesWrapped(features: readonly string[]): boolean {
  return features.includes(RESOURCE_IN_SOTW) || features.includes(RESOURCE_IN_SOTW_TOO);
}
