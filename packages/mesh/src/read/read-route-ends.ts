import type { Backend } from "../model/http-route.ts";
import type { BackendRef, ParentService } from "../model/route-ends.ts";
import type { Field } from "./field.ts";
import { type FilterTypes, readFilters } from "./read-route-filters.ts";

/* Where a route of any kind begins and ends: its parents and its backends. */

/** Reads `parentRefs`. Parents that are no Services belong to a gateway and are left out. */
export function readParents(field: Field, routeNamespace: string): readonly ParentService[] {
  const parents: ParentService[] = [];
  if (field.items().length === 0) field.warn("is missing: the route has no effect");
  for (const item of field.items()) {
    const fields = item.object("group", "kind", "name", "namespace", "port", "sectionName");
    const group = fields.group.text() ?? "gateway.networking.k8s.io";
    const kind = fields.kind.text() ?? "Gateway";
    const name = fields.name.requiredText();
    const namespace = fields.namespace.text() ?? routeNamespace;
    const port = fields.port.integer(1, 65_535);
    if ((group !== "" && group !== "core") || kind !== "Service") {
      item.warn(`${kind} has no effect here: only a parent of group "" and kind Service is part of the mesh`);
      continue;
    }
    if (fields.sectionName.present) fields.sectionName.error("is not for Services; say the port");
    if (name !== "") parents.push({ namespace, name, port, origin: item.origin });
  }
  return parents;
}

/** Reads one of `backendRefs` of a rule that has filters. */
export function readBackend(backend: Field, routeNamespace: string, types: FilterTypes): Backend | undefined {
  const fields = backend.object(...REF_FIELDS, "filters");
  const filters = readFilters(fields.filters, "backend", types);
  const ref = readRef(backend, fields, routeNamespace);
  return ref && { ...ref, filters };
}

/** Reads one of `backendRefs` of a rule of connections. */
export function readBackendRef(backend: Field, routeNamespace: string): BackendRef | undefined {
  return readRef(backend, backend.object(...REF_FIELDS), routeNamespace);
}

const REF_FIELDS = ["group", "kind", "name", "namespace", "port", "weight"] as const;

type RefFields = Readonly<Record<(typeof REF_FIELDS)[number], Field>>;

function readRef(backend: Field, fields: RefFields, routeNamespace: string): BackendRef | undefined {
  const kind = fields.kind.text() ?? "Service";
  const group = fields.group.text() ?? "";
  const name = fields.name.requiredText();
  const port = fields.port.integer(1, 65_535);
  const weight = fields.weight.integer(0, 1_000_000) ?? 1;
  if (kind !== "Service" || (group !== "" && group !== "core")) {
    fields.kind.error(`found ${group === "" ? "" : `${group}/`}${kind}, allowed: Service`);
    return undefined;
  }
  if (!fields.port.present) fields.port.error("is missing: a Service needs it");
  if (name === "" || port === undefined) return undefined;
  return { namespace: fields.namespace.text() ?? routeNamespace, name, port, weight, origin: backend.origin };
}
