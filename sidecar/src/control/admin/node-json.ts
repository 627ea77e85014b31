import type { Json, JsonObject } from "@heddle/base";
import type { NodeIdentity } from "@heddle/config";

/** `envoy.config.core.v3.Node`, as control planes are told. */
export function nodeJson({ id, cluster, metadata, locality: { subZone, ...locality } }: NodeIdentity): JsonObject {
  return {
    id,
    cluster,
    metadata: metadata as Json,
    locality: { ...locality, sub_zone: subZone },
    user_agent_name: "heddle",
  };
}
