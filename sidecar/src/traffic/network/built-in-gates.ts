import { networkRbacType } from "../rbac/rbac-types.ts";
import { networkExtAuthzType } from "./ext-authz-gate-type.ts";
import type { NetworkGateType } from "./network-gate-type.ts";
import { sniClusterType } from "./sni-cluster.ts";

/** Every network filter that does not end a chain, by the type of its configuration. A new one is a line here. */
export function builtInGates(): ReadonlyMap<string, NetworkGateType> {
  return new Map(GATES.map((type) => [type.configType, type]));
}

const GATES: readonly NetworkGateType[] = [networkRbacType, networkExtAuthzType, sniClusterType];
