import type { GrpcMethod, HttpRoute, RequestMatch, RouteRule } from "../model/http-route.ts";
import { checkRouteSize } from "./check-route-size.ts";
import type { Field } from "./field.ts";
import { checkName, readMetadata } from "./metadata.ts";
import { DEFAULT_RULE as DEFAULT_HTTP_RULE, MATCH_ALL as MATCH_ALL_REQUESTS } from "./read-http-route.ts";
import { readBackends, readParents } from "./read-route-ends.ts";
import { GRPC_FILTERS, readFilters } from "./read-route-filters.ts";
import { checkRegex, readValueMatches } from "./read-value-matches.ts";

// As the resource definition has them.
const SERVICE = /^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i;
const METHOD = /^[a-z_][a-z_0-9]*$/i;

/**
 * Reads a `GRPCRoute` (gateway.networking.k8s.io/v1): an HTTPRoute by another name, since a call of gRPC is a request whose
 * path is `/<service>/<method>`. What does not say that it is gRPC is not kept out: gRPC-Web and Connect have the same paths.
 */
export function readGrpcRoute(document: Field): HttpRoute {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { namespace, name, createdAtMs } = readMetadata(metadata, "subdomain");
  const fields = spec.object("parentRefs", "hostnames", "rules", "useDefaultGateways");
  const parents = readParents(fields.parentRefs, namespace);
  if (fields.hostnames.present && parents.length > 0)
    fields.hostnames.warn("has no effect on a route whose parent is a Service");
  checkRouteSize(fields.rules, parents.length);
  const items = fields.rules.items();
  const rules = items.length > 0 ? items.map((rule, index) => readRule(rule, index, namespace)) : [DEFAULT_RULE];
  return { kind: "grpc-route", namespace, name, createdAtMs, parents, rules, origin: document.origin };
}

const MATCH_ALL: RequestMatch = { ...MATCH_ALL_REQUESTS, grpc: { type: "exact", service: "", method: "" } };

/** A route without rules has no backends either. */
const DEFAULT_RULE: RouteRule = { ...DEFAULT_HTTP_RULE, matches: [MATCH_ALL] };

function readRule(rule: Field, index: number, routeNamespace: string): RouteRule {
  const fields = rule.object("name", "matches", "filters", "backendRefs", "sessionPersistence");
  const name = fields.name.text() ?? String(index);
  if (fields.name.present) checkName(fields.name, name, "subdomain");
  if (fields.sessionPersistence.present) fields.sessionPersistence.warn("has no effect yet");
  const matches = fields.matches.items().map(readMatch);
  const { filters, otherKind } = readFilters(fields.filters, "rule", GRPC_FILTERS);
  return {
    name,
    matches: matches.length > 0 ? matches : [MATCH_ALL],
    filters,
    backends: readBackends(fields.backendRefs, routeNamespace, GRPC_FILTERS, otherKind),
    requestTimeoutMs: undefined,
    backendRequestTimeoutMs: undefined,
  };
}

function readMatch(match: Field): RequestMatch {
  const fields = match.object("method", "headers");
  const grpc = readMethod(fields.method);
  const headers = readValueMatches(fields.headers, "header");
  return { path: pathOf(grpc), method: undefined, grpc, headers, queryParameters: [] };
}

function readMethod(field: Field): GrpcMethod {
  const fields = field.object("type", "service", "method");
  const type = fields.type.oneOf("Exact", "RegularExpression") ?? "Exact";
  const service = fields.service.text() ?? "";
  const method = fields.method.text() ?? "";
  if (field.present && service === "" && method === "") field.error("matches nothing: give service or method");
  if (type === "RegularExpression") {
    if (service !== "") checkRegex(fields.service, service);
    if (method !== "") checkRegex(fields.method, method);
    checkRegex(field, regexOf(service, method)); // a quotation that one of them leaves open goes on in the other
    return { type: "regex", service, method };
  }
  if (service !== "" && !SERVICE.test(service))
    fields.service.error(`found "${service}", allowed: a name of letters, digits, "_" and "."`);
  if (method !== "" && !METHOD.test(method))
    fields.method.error(`found "${method}", allowed: a name of letters, digits and "_"`);
  return { type: "exact", service, method };
}

function pathOf({ type, service, method }: GrpcMethod): RequestMatch["path"] {
  if (service === "" && method === "") return MATCH_ALL.path;
  if (type === "regex") return { type: "regex", value: regexOf(service, method) };
  if (service === "") return { type: "regex", value: regexOf("", method) };
  return method === "" ? { type: "prefix", value: `/${service}` } : { type: "exact", value: `/${service}/${method}` };
}

/** The whole path, as patterns of routes match it. */
function regexOf(service: string, method: string): string {
  const part = (pattern: string): string => (pattern === "" ? "[^/]+" : `(?:${pattern})`);
  return `/${part(service)}/${part(method)}`;
}
