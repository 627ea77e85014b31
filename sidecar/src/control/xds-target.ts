import { err, ok, type Result } from "@heddle/base";
import type { ClusterConfig, DiscoveryServer } from "@heddle/traffic";
import { grpcTarget } from "./grpc-target.ts";

/**
 * The gRPC target of the control plane: what the bootstrap names, or the endpoints of the static cluster that it names.
 * gRPC dials these itself, in their order, and resolves names anew for each attempt; the traffic workers know nothing of it.
 */
export function xdsTarget(
  server: DiscoveryServer["target"],
  clusters: readonly ClusterConfig[],
): Result<string, string> {
  if (server.type === "address") return ok(server.address);
  const cluster = clusters.find(({ name }) => name === server.name);
  if (cluster === undefined) return err(`the xDS cluster "${server.name}" is not among the static clusters`);
  if (cluster.discovery.type === "EDS")
    return err(`the xDS cluster "${server.name}" is of type EDS; whom to ask for its endpoints, nobody knows`);
  const addresses = cluster.discovery.loadAssignment.localities
    .toSorted((a, b) => a.priority - b.priority)
    .flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  return grpcTarget(`the xDS cluster "${server.name}"`, addresses);
}
