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
    const portName = fields.sectionName.text() ?? "";
    if (name !== "") parents.push({ namespace, name, port, ...(portName !== "" && { portName }), origin: item.origin });
  }
  return parents;
}

/**
 * Reads `backendRefs` of a rule that has filters.
 *
 * @param otherKind of a filter of the rule: see `ReadFilters`. Such a one makes a backend one that nobody knows.
 */
export function readBackends(
  list: Field,
  routeNamespace: string,
  types: FilterTypes,
  otherKind: string | undefined,
): readonly Backend[] {
  const backends = list.items().flatMap((backend) => {
    const fields = backend.object(...REF_FIELDS, "filters");
    const own = readFilters(fields.filters, "backend", types);
    const ref = readRef(backend, fields, routeNamespace);
    if (ref === undefined) return [];
    const unknown = ref.otherKind ?? own.otherKind ?? otherKind;
    return { ...ref, ...(unknown !== undefined && { otherKind: unknown }), filters: own.filters };
  });
  checkWeights(list, backends);
  return backends;
}

/** Reads one of `backendRefs` of a rule of connections. */
export function readBackendRef(backend: Field, routeNamespace: string): BackendRef | undefined {
  return readRef(backend, backend.object(...REF_FIELDS), routeNamespace);
}

/** Envoy adds the weights of `WeightedCluster` up in 32 bits: a sidecar refuses all routes for one where they are more. */
export function checkWeights(list: Field, backends: readonly BackendRef[]): void {
  const sum = backends.reduce((before, { weight }) => before + weight, 0);
  if (sum > 0xffffffff) list.error(`has weights of ${sum} together, allowed: ${0xffffffff}`);
}

const REF_FIELDS = ["group", "kind", "name", "namespace", "port", "weight"] as const;

type RefFields = Readonly<Record<(typeof REF_FIELDS)[number], Field>>;

function readRef(backend: Field, fields: RefFields, routeNamespace: string): BackendRef | undefined {
  const kind = fields.kind.text() ?? "Service";
  const group = fields.group.text() ?? "";
  const name = fields.name.requiredText();
  const port = fields.port.integer(1, 65_535);
  const weight = fields.weight.integer(0, 1_000_000) ?? 1;
  const namespace = fields.namespace.text() ?? routeNamespace;
  if (kind !== "Service" || (group !== "" && group !== "core")) {
    // No fault of the route: what it says beside has its effect, and what would go there must not go elsewhere (BackendRef).
    const otherKind = `${group === "" ? "" : `${group}/`}${kind}`;
    fields.kind.warn(
      `found ${otherKind}, known: Service; nothing is sent there, and its share is answered with an error`,
    );
    return { namespace, name, port: port ?? 0, weight, otherKind, origin: backend.origin };
  }
  if (!fields.port.present) fields.port.error("is missing: a Service needs it");
  if (name === "" || port === undefined) return undefined;
  return { namespace, name, port, weight, origin: backend.origin };
}
