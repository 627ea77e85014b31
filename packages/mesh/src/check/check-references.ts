import type { Diagnostic } from "@heddle/config";
import type { Mesh } from "../model/mesh.ts";
import { diagnosticAt, type Origin } from "../model/origin.ts";
import { backendRefsOf, type Route } from "../model/route.ts";
import type { Service } from "../model/service.ts";
import { isRefused } from "../translate/attached-routes.ts";
import { attachmentFault, refusalOf } from "./attachment-fault.ts";

/**
 * What points to something that is not there. Warnings, since objects come one by one and what is missing may still
 * come: until then requests that would go there are answered 500.
 */
export function checkReferences(mesh: Mesh): readonly Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  const check = (what: { namespace: string; name: string; port: number | undefined; origin: Origin }): void => {
    const message = fault(mesh.service(what.namespace, what.name), what);
    if (message !== undefined) diagnostics.push(diagnosticAt(what.origin, "warning", message));
  };
  for (const route of mesh.routes) {
    for (const parent of route.parents) check(parent);
    for (const backend of backendRefsOf(route)) if (backend.otherKind === undefined) check(backend);
    diagnostics.push(...checkAttachments(route, mesh));
  }
  return diagnostics;
}

/** A route that does not decide where it says, and backends that must not have what it would send them. */
function checkAttachments(route: Route, mesh: Mesh): readonly Diagnostic[] {
  const messages: string[] = [];
  for (const parent of route.parents) {
    const service = mesh.service(parent.namespace, parent.name);
    if (service === undefined || missesPort(service, parent.port)) continue; // said of the reference
    const fault = attachmentFault(route, parent, service, mesh.routesOf(service));
    if (fault !== undefined) messages.push(fault.message);
    for (const backend of backendRefsOf(route))
      if (backend.otherKind === undefined && isRefused(route, backend, service))
        messages.push(refusalOf(route, backend));
  }
  return [...new Set(messages)].map((message) => diagnosticAt(route.origin, "warning", message));
}

function fault(
  service: Service | undefined,
  { namespace, name, port }: { namespace: string; name: string; port: number | undefined },
): string | undefined {
  if (service === undefined) return `there is no Service "${name}" in the namespace "${namespace}"`;
  if (!missesPort(service, port)) return undefined;
  const ports = service.ports.map((candidate) => candidate.port).join(", ");
  return `the Service "${name}" has no port ${port}; it has ${ports === "" ? "none" : ports}`;
}

function missesPort({ ports }: Service, port: number | undefined): boolean {
  return port !== undefined && !ports.some((candidate) => candidate.port === port);
}
