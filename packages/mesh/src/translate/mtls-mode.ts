import type { MtlsMode, PeerAuthentication } from "../model/peer-authentication.ts";
import type { WorkloadPolicies } from "../model/policy-index.ts";
import { ROOT_NAMESPACE } from "../model/policy-target.ts";

/**
 * What a workload takes at one of its public ports. The policy that selects it says so, else its namespace's, else the
 * mesh's, else PERMISSIVE; where several of one kind do, the oldest. What a policy leaves open the next wider one says.
 */
export function mtlsMode({ peer }: Pick<WorkloadPolicies, "peer">, port: number): MtlsMode {
  if (peer.length === 0) return "PERMISSIVE";
  const own = first(peer, "workload");
  return (
    own?.portModes.get(port) ?? own?.mode ?? first(peer, "namespace")?.mode ?? first(peer, "mesh")?.mode ?? "PERMISSIVE"
  );
}

export type PeerPolicyExtent = "workload" | "namespace" | "mesh";

export function extentOf({ namespace, target }: PeerAuthentication): PeerPolicyExtent {
  if (target.labels !== undefined) return "workload";
  return namespace === ROOT_NAMESPACE ? "mesh" : "namespace";
}

function first(peer: readonly PeerAuthentication[], extent: PeerPolicyExtent): PeerAuthentication | undefined {
  return peer.find((policy) => extentOf(policy) === extent); // the older first
}
