import { type ExtensionProvider, keyOf, type Policy, type Workload, type WorkloadPolicies } from "@heddle/mesh";

/**
 * What decides on the resources of a workload's own sidecar, as text. A Deployment has a thousand pods that differ by their
 * names, addresses and places: those of one shape get the same, made once. One that is no pod is a shape of its own.
 */
export function workloadShape(workload: Workload, policies: WorkloadPolicies): string {
  if (workload.capture === undefined) return keyOf(workload);
  let shape = shapes.get(workload);
  if (shape === undefined) {
    const { namespace, name, ports, serviceAccount, capture, egress, outboundPort, accessLog } = workload;
    shape = JSON.stringify([namespace, name, ports, serviceAccount, capture, egress, outboundPort, accessLog]);
    shapes.set(workload, shape);
  }
  // Labels count by the policies that they choose alone: those of a StatefulSet's pods are all different.
  const { peer, authorization, request, providers = [] } = policies;
  return `${shape} ${[...peer, ...authorization, ...request, ...providers].map(policyNumber).join()}`;
}

/** Without the policies. */
const shapes = new WeakMap<Workload, string>();

const numbers = new WeakMap<Policy | ExtensionProvider, number>();
let lastNumber = 0;

function policyNumber(policy: Policy | ExtensionProvider): number {
  let number = numbers.get(policy);
  if (number === undefined) numbers.set(policy, (number = ++lastNumber));
  return number;
}
