import type { Diagnostic } from "@heddle/config";
import type { Mesh } from "../model/mesh.ts";
import { diagnosticAt } from "../model/origin.ts";
import type { Service, ServicePort, TargetPort } from "../model/service.ts";
import { targetPort } from "../translate/endpoints.ts";
import { isCarried } from "../translate/names.ts";

/** Ports of services that none of the workloads that they select has: requests there are answered 503, for want of an endpoint. */
export function checkServices(mesh: Mesh): readonly Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  for (const service of mesh.services) {
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
