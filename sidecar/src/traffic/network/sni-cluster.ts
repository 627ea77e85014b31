import { err, ok } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { NetworkGateType } from "./network-gate-type.ts";

/**
 * `envoy.filters.network.sni_cluster`: the name that a TLS client asks for is the name of the cluster that tcp_proxy joins it
 * with. Where nobody has read a name, tcp_proxy's own configuration holds.
 */
export const sniClusterType: NetworkGateType = {
  name: "envoy.filters.network.sni_cluster",
  configType: "envoy.extensions.filters.network.sni_cluster.v3.SniCluster",
  parse: (config) =>
    Object.keys(config ?? {}).length === 0 ? ok(undefined) : err([{ path: "", message: "has no fields of its own" }]),
  create: () => ({
    admit(visit) {
      const { serverName = "" } = visit.info;
      if (serverName !== "") visit.setMetadata(NAMESPACE, { cluster: serverName });
      return "allow";
    },
  }),
};

/** Envoy's name of the object that says it within a connection. */
const NAMESPACE = "envoy.tcp_proxy.cluster";

/** The cluster that a filter before tcp_proxy has chosen for that connection, or undefined. */
export function chosenCluster({ metadata }: DownstreamInfo): string | undefined {
  const cluster = metadata?.get(NAMESPACE)?.get("cluster");
  return typeof cluster === "string" ? cluster : undefined;
}
