import type { Diagnostic } from "@heddle/config";
import type { Mesh } from "../model/mesh.ts";
import { diagnosticAt, formatOrigin } from "../model/origin.ts";
import type { Workload } from "../model/workload.ts";

/**
 * Workloads that cannot all listen where they say: the same public port at one address, or, for workloads at loopback
 * addresses and so on one machine, the same port for anything. Warnings, since an address may have moved from one to the
 * other and the old one is not gone yet.
 */
export function checkWorkloads(mesh: Mesh): readonly Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  const takenBy = new Map<string, Workload>();
  for (const workload of mesh.workloads) {
    const told = new Set<Workload>();
    for (const [place, what] of placesOf(workload)) {
      const other = takenBy.get(place);
      if (other === undefined) takenBy.set(place, workload);
      else if (other !== workload && !told.has(other)) {
        told.add(other); // one fault a pair: the first place says enough
        const who = `the Workload "${other.name}" in ${formatOrigin(other.origin)}`;
        diagnostics.push(diagnosticAt(workload.origin, "warning", `${what} is also one of ${who}`));
      }
    }
  }
  return diagnostics;
}

/** Where a workload listens, as a key and as it is said. */
function* placesOf(workload: Workload): Generator<readonly [place: string, what: string]> {
  const loopback = workload.addresses.some(isLoopback);
  for (const { port, applicationPort } of workload.ports) {
    for (const address of workload.addresses) {
      // All of loopback is one place: the application's port and the sidecar's are bound there too.
      yield isLoopback(address)
        ? [`loopback ${port}`, `port ${port} of loopback`]
        : [`${address} ${port}`, `port ${port} of ${address}`];
    }
    if (loopback && applicationPort !== undefined)
      yield [`loopback ${applicationPort}`, `the application's port ${applicationPort} of loopback`];
  }
  if (loopback) yield [`loopback ${workload.outboundPort}`, `the outbound port ${workload.outboundPort} of loopback`];
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}
