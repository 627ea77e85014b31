import type { ReferenceGrant } from "../model/reference-grant.ts";
import { ROUTE_KINDS, type RouteKind } from "../model/route.ts";
import type { Field } from "./field.ts";
import { readMetadata } from "./metadata.ts";

const GATEWAY = "gateway.networking.k8s.io";

/**
 * Reads a `ReferenceGrant` (gateway.networking.k8s.io/v1, v1beta1). What it grants of other kinds, Secrets to Gateways say, is
 * for others. Undefined: it is of no use here, which is no fault.
 */
export function readReferenceGrant(document: Field): ReferenceGrant | undefined {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec");
  const { namespace, name } = readMetadata(metadata, "subdomain");
  const fields = spec.object("from", "to");
  for (const list of [fields.from, fields.to]) if (list.items().length === 0) list.error("is missing");
  const from = fields.from.items().flatMap((item) => readFrom(item) ?? []);
  const names = fields.to.items().flatMap((item) => readTo(item) ?? []);
  if (from.length === 0 || names.length === 0) return undefined;
  const to = names.includes("") ? "all" : names;
  return { kind: "reference-grant", namespace, name, from, to, origin: document.origin };
}

function readFrom(item: Field): ReferenceGrant["from"][number] | undefined {
  const fields = item.object("group", "kind", "namespace");
  const [group, kindName, namespace] = [
    fields.group.text(),
    fields.kind.requiredText(),
    fields.namespace.requiredText(),
  ];
  const kind = (Object.keys(ROUTE_KINDS) as RouteKind[]).find((one) => ROUTE_KINDS[one] === kindName);
  return group === GATEWAY && kind !== undefined && namespace !== "" ? { kind, namespace } : undefined;
}

/** "" is all. */
function readTo(item: Field): string | undefined {
  const fields = item.object("group", "kind", "name");
  const [group, kind, name] = [fields.group.text() ?? "", fields.kind.requiredText(), fields.name.text() ?? ""];
  return (group === "" || group === "core") && kind === "Service" ? name : undefined;
}
