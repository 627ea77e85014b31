import type { Clock } from "@heddle/base";
import type { BalancerPolicy, ClusterConfig } from "@heddle/traffic";
import type * as Orca from "@heddle/traffic/orca";

/** What a cluster does with what its endpoints say of their own load in answers (ORCA). */
export interface ClusterReports {
  /** Takes it out of heads and trailers. */
  readonly intake: Orca.EndpointReports;
  /** Who picks by it. Undefined: nobody does. */
  readonly balancer: BalancerPolicy | undefined;
  close(): void;
}

let code: typeof Orca | undefined;

/** Whether anybody wants to know what the endpoints of that cluster say of their load. Nearly nobody does, and so nobody loads the code. */
export function wantsReports({ lrsReportEndpointMetrics, lbPolicy }: ClusterConfig): boolean {
  return lrsReportEndpointMetrics !== undefined || lbPolicy.type === "client-side-weighted-round-robin";
}

/** Before the first cluster that `wantsReports` is built. */
export async function loadReports(): Promise<void> {
  code ??= await import("@heddle/traffic/orca");
}

/** Undefined where nobody wants any. */
export function clusterReports(
  config: ClusterConfig,
  clock: Clock,
  cluster: Orca.WeighedCluster,
): ClusterReports | undefined {
  if (!wantsReports(config)) return undefined;
  if (code === undefined) throw new Error("what reads reports of endpoints has not been loaded");
  const { lbPolicy, lrsReportEndpointMetrics } = config;
  const weights =
    lbPolicy.type === "client-side-weighted-round-robin"
      ? new code.ClientSideWeights(lbPolicy, clock, cluster)
      : undefined;
  return {
    intake: new code.EndpointReports(lrsReportEndpointMetrics, weights),
    balancer: weights?.policy,
    close: () => weights?.close(),
  };
}
