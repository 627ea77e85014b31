import { isIP } from "node:net";
import type { StreamRoute } from "../model/stream-route.ts";
import type { Field } from "./field.ts";
import { checkName, readMetadata } from "./metadata.ts";
import { checkWeights, readBackendRef, readParents } from "./read-route-ends.ts";

/** Reads a `TCPRoute` (gateway.networking.k8s.io/v1, v1alpha2). */
export function readTcpRoute(document: Field): StreamRoute {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { parentRefs, rules } = spec.object("parentRefs", "rules", "useDefaultGateways");
  return { ...readStreamRoute(document, metadata, parentRefs, rules), kind: "tcp-route", serverNames: [] };
}

/** Reads a `TLSRoute` (gateway.networking.k8s.io/v1, v1alpha3, v1alpha2). */
export function readTlsRoute(document: Field): StreamRoute {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { parentRefs, hostnames, rules } = spec.object("parentRefs", "hostnames", "rules", "useDefaultGateways");
  const serverNames = hostnames.items().map(readServerName);
  return { ...readStreamRoute(document, metadata, parentRefs, rules), kind: "tls-route", serverNames };
}

function readStreamRoute(
  document: Field,
  metadata: Field,
  parentRefs: Field,
  rules: Field,
): Omit<StreamRoute, "kind" | "serverNames"> {
  const { namespace, name, createdAtMs } = readMetadata(metadata, "subdomain");
  const parents = readParents(parentRefs, namespace);
  const [first, ...others] = rules.items();
  if (first === undefined) rules.error("is missing: one rule");
  for (const other of others) other.warn("has no effect: nothing tells its connections from those of the first rule");
  return { namespace, name, createdAtMs, parents, backends: readBackends(first, namespace), origin: document.origin };
}

function readBackends(rule: Field | undefined, namespace: string): StreamRoute["backends"] {
  if (rule === undefined) return [];
  const { name, backendRefs } = rule.object("name", "backendRefs");
  if (name.present) checkName(name, name.text() ?? "", "subdomain");
  const backends = backendRefs.items().flatMap((backend) => readBackendRef(backend, namespace) ?? []);
  checkWeights(backendRefs, backends);
  return backends;
}

/** "*.example.com" has at least one label more. */
function readServerName(field: Field): string {
  const name = field.requiredText();
  if (isIP(name) !== 0) field.error(`found "${name}", allowed: no address (RFC 6066 §3)`);
  else if (name !== "") checkName(field, name.replace(/^\*\./, ""), "subdomain");
  return name;
}
