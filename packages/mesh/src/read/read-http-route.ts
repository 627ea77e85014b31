import { parseDurationMs } from "@heddle/base";
import { compileSafeRegex } from "@heddle/traffic";
import type { Backend, HttpRoute, ParentService, RequestMatch, RouteRule, ValueMatch } from "../model/http-route.ts";
import type { Field } from "./field.ts";
import { checkName, readMetadata } from "./metadata.ts";
import { readFilters } from "./read-route-filters.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;
/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Reads an `HTTPRoute` (gateway.networking.k8s.io/v1). Parents that are no Services belong to a gateway and are left out. */
export function readHttpRoute(document: Field): HttpRoute {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { namespace, name, createdAtMs } = readMetadata(metadata, "subdomain");
  const fields = spec.object("parentRefs", "hostnames", "rules", "useDefaultGateways");
  const parents = readParents(fields.parentRefs, namespace);
  // A mesh routes by the service that is called; GEP-1426 has implementations ignore hostnames there.
  if (fields.hostnames.present && parents.length > 0)
    fields.hostnames.warn("has no effect on a route whose parent is a Service");
  if (fields.rules.present && fields.rules.items().length === 0)
    fields.rules.error("is empty; leave it out, or give at least one rule");
  const rules = fields.rules.present
    ? fields.rules.items().map((rule, index) => readRule(rule, index, namespace))
    : [DEFAULT_RULE];
  return { kind: "http-route", namespace, name, createdAtMs, parents, rules, origin: document.origin };
}

function readParents(field: Field, routeNamespace: string): readonly ParentService[] {
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

function readRule(rule: Field, index: number, routeNamespace: string): RouteRule {
  const fields = rule.object("name", "matches", "filters", "backendRefs", "timeouts", "retry", "sessionPersistence");
  const name = fields.name.text() ?? String(index);
  if (fields.name.present) checkName(fields.name, name, "subdomain");
  for (const later of [fields.retry, fields.sessionPersistence]) if (later.present) later.warn("has no effect yet");

  const matches = fields.matches.items().map(readMatch);
  const filters = readFilters(fields.filters, "rule");
  const backends = fields.backendRefs.items().flatMap((backend) => readBackend(backend, routeNamespace) ?? []);
  if (filters.redirect !== undefined && backends.length > 0)
    fields.backendRefs.error("must be empty where the rule redirects: no request reaches a backend");
  for (const change of [filters.redirect?.path, filters.rewrite?.path]) {
    if (change?.type === "prefix" && (matches.length === 0 || matches.some(({ path }) => path.type !== "prefix")))
      fields.filters.error("ReplacePrefixMatch needs a PathPrefix in each of the rule's matches");
  }

  const timeouts = fields.timeouts.object("request", "backendRequest");
  const requestTimeoutMs = readDuration(timeouts.request);
  const backendRequestTimeoutMs = readDuration(timeouts.backendRequest);
  if (requestTimeoutMs !== undefined && requestTimeoutMs > 0 && (backendRequestTimeoutMs ?? 0) > requestTimeoutMs)
    timeouts.backendRequest.error("must not be longer than the timeout of the whole request");
  return {
    name,
    matches: matches.length > 0 ? matches : [MATCH_ALL],
    filters,
    backends,
    requestTimeoutMs,
    backendRequestTimeoutMs,
  };
}

const MATCH_ALL: RequestMatch = {
  path: { type: "prefix", value: "/" },
  method: undefined,
  headers: [],
  queryParameters: [],
};

/** What the resource definition puts where `rules` is left out. */
const DEFAULT_RULE: RouteRule = {
  name: "0",
  matches: [MATCH_ALL],
  filters: { requestHeaders: undefined, responseHeaders: undefined, redirect: undefined, rewrite: undefined },
  backends: [],
  requestTimeoutMs: undefined,
  backendRequestTimeoutMs: undefined,
};

function readMatch(match: Field): RequestMatch {
  const fields = match.object("path", "headers", "queryParams", "method");
  return {
    path: fields.path.present ? readPath(fields.path) : MATCH_ALL.path,
    method: fields.method.oneOf(...METHODS),
    headers: readValueMatches(fields.headers, "header"),
    queryParameters: readValueMatches(fields.queryParams, "query parameter"),
  };
}

function readPath(path: Field): RequestMatch["path"] {
  const fields = path.object("type", "value");
  const type = fields.type.oneOf("Exact", "PathPrefix", "RegularExpression") ?? "PathPrefix";
  const value = fields.value.text() ?? "/";
  if (type === "RegularExpression") {
    checkRegex(fields.value, value);
    return { type: "regex", value };
  }
  if (!value.startsWith("/")) fields.value.error(`found "${value}", allowed: a path that begins with "/"`);
  // What can never match a normalised path is a mistake (the CRD forbids these).
  if (/\/\/|\/\.\.?(\/|$)|%2f|#/i.test(value))
    fields.value.error(`found "${value}", allowed: a path without "//", "/./", "/../", "%2f" and "#"`);
  // "/abc/" and "/abc" are the same prefix: both match "/abc" and "/abc/d".
  return type === "Exact" ? { type: "exact", value } : { type: "prefix", value: value.replace(/\/+$/, "") || "/" };
}

function readValueMatches(list: Field, what: "header" | "query parameter"): readonly ValueMatch[] {
  const matches: ValueMatch[] = [];
  for (const item of list.items()) {
    const fields = item.object("type", "name", "value");
    const type = fields.type.oneOf("Exact", "RegularExpression") ?? "Exact";
    const written = fields.name.requiredText();
    if (written !== "" && !TOKEN.test(written)) fields.name.error(`"${written}" is not the name of a ${what}`);
    const name = what === "header" ? written.toLowerCase() : written;
    const value = fields.value.requiredText();
    if (type === "RegularExpression") checkRegex(fields.value, value);
    // "Only the first entry with an equivalent name MUST be considered" (HTTPHeaderMatch, HTTPQueryParamMatch).
    if (matches.some((other) => other.name === name))
      fields.name.warn(`"${written}" has been matched above; only the first counts`);
    else matches.push({ name, type: type === "Exact" ? "exact" : "regex", value });
  }
  return matches;
}

/** Regular expressions are RE2's, as in Envoy: they take linear time, whoever wrote them. */
function checkRegex(field: Field, value: string): void {
  const compiled = compileSafeRegex(value);
  if (!compiled.ok) field.error(compiled.error);
}

function readBackend(backend: Field, routeNamespace: string): Backend | undefined {
  const fields = backend.object("group", "kind", "name", "namespace", "port", "weight", "filters");
  const kind = fields.kind.text() ?? "Service";
  const group = fields.group.text() ?? "";
  const name = fields.name.requiredText();
  const port = fields.port.integer(1, 65_535);
  const weight = fields.weight.integer(0, 1_000_000) ?? 1;
  const filters = readFilters(fields.filters, "backend");
  if (kind !== "Service" || (group !== "" && group !== "core")) {
    fields.kind.error(`found ${group === "" ? "" : `${group}/`}${kind}, allowed: Service`);
    return undefined;
  }
  if (!fields.port.present) fields.port.error("is missing: a Service needs it");
  if (name === "" || port === undefined) return undefined;
  const namespace = fields.namespace.text() ?? routeNamespace;
  return { namespace, name, port, weight, filters, origin: backend.origin };
}

function readDuration(field: Field): number | undefined {
  const text = field.text();
  if (text === undefined) return undefined;
  const duration = parseDurationMs(text);
  if (!duration.ok) field.error(duration.error);
  return duration.ok ? duration.value : undefined;
}
