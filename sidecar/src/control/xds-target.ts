import { isIP } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import type { XdsSource } from "@heddle/config";
import type { Address, ClusterConfig } from "@heddle/traffic";

/**
 * The gRPC target of the control plane: what the bootstrap names, or the endpoints of the static cluster that it names.
 * gRPC dials these itself, in their order, and resolves names anew for each attempt; the traffic workers know nothing of it.
 */
export function xdsTarget(server: XdsSource["server"], clusters: readonly ClusterConfig[]): Result<string, string> {
  if (server.type === "target") return ok(server.target);
  const cluster = clusters.find(({ name }) => name === server.name);
  if (cluster === undefined) return err(`the xDS cluster "${server.name}" is not among the static clusters`);
  if (cluster.discovery.type === "EDS")
    return err(`the xDS cluster "${server.name}" is of type EDS; whom to ask for its endpoints, nobody knows`);
  const addresses = cluster.discovery.loadAssignment.localities
    .toSorted((a, b) => a.priority - b.priority)
    .flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  return targetOf(server.name, addresses);
}

/** gRPC names one host name, or one Unix socket, or several IP addresses of one family. */
function targetOf(cluster: string, addresses: readonly Address[]): Result<string, string> {
  const [first, ...more] = addresses;
  if (first === undefined) return err(`the xDS cluster "${cluster}" has no endpoints`);
  if (first.type === "pipe") {
    if (more.length > 0) return err(`the xDS cluster "${cluster}" has more than one endpoint besides a Unix socket`);
    return ok(`unix:${first.path}`);
  }
  const family = isIP(first.address);
  if (family === 0) {
    if (more.length > 0) return err(`the xDS cluster "${cluster}" has more than one endpoint besides a host name`);
    return ok(`dns:///${first.address}:${first.port}`);
  }
  const texts: string[] = [];
  for (const address of addresses) {
    if (address.type === "pipe" || isIP(address.address) !== family)
      return err(`the endpoints of the xDS cluster "${cluster}" are not IP addresses of one family`);
    texts.push(family === 6 ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`);
  }
  return ok(`ipv${family}:${texts.join(",")}`);
}
