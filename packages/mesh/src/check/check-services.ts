import type { Diagnostic } from "@heddle/config";
import type { Mesh } from "../model/mesh.ts";
import { diagnosticAt, formatOrigin } from "../model/origin.ts";
import type { Service, ServicePort, TargetPort } from "../model/service.ts";
import { targetPort } from "../translate/endpoints.ts";
import { isCarried } from "../translate/names.ts";

/**
 * Cluster IPs that are another service's: of captured callers' connections to one nobody could say for whom they are. And ports of
 * services that none of the workloads that they select has: requests there are answered 503, for want of an endpoint.
 */
export function checkServices(mesh: Mesh): readonly Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  for (const service of mesh.services) {
    for (const address of service.clusterIps) {
      const owner = mesh.ownerOf(address);
      if (owner === undefined || owner === service) continue;
      const who = `the Service "${owner.namespace}/${owner.name}" in ${formatOrigin(owner.origin)}`;
      const message = `the cluster IP ${address} of "${service.name}" is also that of ${who}, whose it stays: by name it comes first`;
      diagnostics.push(diagnosticAt(service.origin, "error", message));
    }
    if (mesh.slicesOf(service).length > 0) continue; // whoever made them has found the ports
    const workloads = mesh.workloadsOf(service);
    const [first] = workloads;
    if (first === undefined) continue; // none is there (yet)
    for (const port of service.ports.filter(isCarried)) {
      if (workloads.some((workload) => targetPort(service, port, workload) !== undefined)) continue;
      const has = first.ports.map(({ name, port: number }) => `${name} (${number})`).join(", ");
      const message = `port ${wanted(service, port)} is at none of its workloads; "${first.name}" has ${has === "" ? "no ports" : has}`;
      diagnostics.push(diagnosticAt(service.origin, "warning", message));
    }
  }
  return diagnostics;
}

function wanted({ name }: Service, { port, target }: ServicePort): string {
  return `${port} of "${name}"${said(target)}`;
}

function said(target: TargetPort): string {
  switch (target.type) {
    case "unset":
      return "";
    case "name":
      return ` (targetPort "${target.name}")`;
    case "number":
      return ` (targetPort ${target.number})`;
  }
}
