import type { RouteEntry } from "@heddle/traffic";
import { NO_CLUSTER } from "./names.ts";
import { forwardTo } from "./routes.ts";

/**
 * A route entry as clients of gRPC take it that follow xDS by themselves (gRFC A28). They know paths, prefixes and patterns, and
 * refuse a whole configuration for anything else: grpc-js for an answer or a redirect too. So a prefix of whole elements is the path
 * and what is below it, and what is answered without a backend leads to a cluster that has no endpoints: UNAVAILABLE.
 */
export function grpcEntries(entry: RouteEntry): readonly RouteEntry[] {
  const { match, action } = entry;
  const taken: RouteEntry =
    action.type === "forward"
      ? entry
      : { ...entry, action: { type: "forward", forward: forwardTo({ type: "cluster", name: NO_CLUSTER }) } };
  if (match.path.type !== "path-separated-prefix") return [taken];
  const { value } = match.path;
  return [
    { ...taken, match: { ...match, path: { type: "path", value } } },
    { ...taken, match: { ...match, path: { type: "prefix", value: `${value}/` } } },
  ];
}
