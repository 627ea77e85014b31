import type { Clock } from "@heddle/base";
import { ProtobufReader } from "@heddle/http";
import type { ClusterConfig } from "@heddle/traffic";
import type * as Orca from "@heddle/traffic/orca";

let code: typeof Orca | undefined;

/** Whether anybody wants to know what the endpoints of that cluster say of their load (ORCA). Nearly nobody does, and so nobody loads the code. */
export function wantsReports({ lrsReportEndpointMetrics, lbPolicy }: ClusterConfig): boolean {
  return lrsReportEndpointMetrics !== undefined || lbPolicy.type === "client-side-weighted-round-robin";
}

/** Before the first cluster that `wantsReports` is built. */
export async function loadReports(): Promise<void> {
  code ??= await import("@heddle/traffic/orca");
}

/** Undefined where nobody wants any. */
export function endpointReports(
  config: ClusterConfig,
  clock: Clock,
  cluster: Orca.WeighedCluster,
): Orca.EndpointReports | undefined {
  if (!wantsReports(config)) return undefined;
  if (code === undefined) throw new Error("what reads reports of endpoints has not been loaded");
  const { lbPolicy, lrsReportEndpointMetrics } = config;
  const weights =
    lbPolicy.type === "client-side-weighted-round-robin"
      ? new code.ClientSideWeights(lbPolicy, clock, cluster)
      : undefined;
  return new code.EndpointReports(lrsReportEndpointMetrics, weights, (message) => new ProtobufReader(message));
}
