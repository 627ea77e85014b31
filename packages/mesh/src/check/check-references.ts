import type { Diagnostic } from "@heddle/config";
import type { Mesh } from "../model/mesh.ts";
import { diagnosticAt, type Origin } from "../model/origin.ts";
import type { Service } from "../model/service.ts";

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
    for (const rule of route.rules) for (const backend of rule.backends) check(backend);
  }
  return diagnostics;
}

function fault(
  service: Service | undefined,
  { namespace, name, port }: { namespace: string; name: string; port: number | undefined },
): string | undefined {
  if (service === undefined) return `there is no Service "${name}" in the namespace "${namespace}"`;
  if (port === undefined || service.ports.some((candidate) => candidate.port === port)) return undefined;
  const ports = service.ports.map((candidate) => candidate.port).join(", ");
  return `the Service "${name}" has no port ${port}; it has ${ports === "" ? "none" : ports}`;
}
