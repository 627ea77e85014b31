import type { HttpRoute, RequestMatch, RouteRetry, RouteRule } from "../model/http-route.ts";
import { checkRouteSize } from "./check-route-size.ts";
import type { Field } from "./field.ts";
import { checkName, readMetadata } from "./metadata.ts";
import { readDuration } from "./read-duration.ts";
import { readBackends, readParents } from "./read-route-ends.ts";
import { HTTP_FILTERS, readFilters } from "./read-route-filters.ts";
import { checkRegex, readValueMatches } from "./read-value-matches.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;

/** As the resource definition has it; Envoy refuses a whole route configuration for a prefix with "?". */
const PATH = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/;

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
  checkRouteSize(fields.rules, parents.length);
  const rules = fields.rules.present
    ? fields.rules.items().map((rule, index) => readRule(rule, index, namespace))
    : [DEFAULT_RULE];
  return { kind: "http-route", namespace, name, createdAtMs, parents, rules, origin: document.origin };
}

function readRule(rule: Field, index: number, routeNamespace: string): RouteRule {
  const fields = rule.object("name", "matches", "filters", "backendRefs", "timeouts", "retry", "sessionPersistence");
  const name = fields.name.text() ?? String(index);
  if (fields.name.present) checkName(fields.name, name, "subdomain");
  if (fields.sessionPersistence.present) fields.sessionPersistence.warn("has no effect yet");

  const matches = fields.matches.items().map(readMatch);
  const { filters, otherKind } = readFilters(fields.filters, "rule", HTTP_FILTERS);
  const backends = readBackends(fields.backendRefs, routeNamespace, HTTP_FILTERS, otherKind);
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
    ...(fields.retry.present && { retry: readRetry(fields.retry) }),
  };
}

export const MATCH_ALL: RequestMatch = {
  path: { type: "prefix", value: "/" },
  method: undefined,
  headers: [],
  queryParameters: [],
};

/** What the resource definition puts where `rules` is left out. */
export const DEFAULT_RULE: RouteRule = {
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
  else if (value.startsWith("/") && !PATH.test(value))
    fields.value.error(`found "${value}", allowed: a path as it stands in a URL (RFC 3986 §3.3), others as "%20"`);
  // "/abc/" and "/abc" are the same prefix: both match "/abc" and "/abc/d".
  return type === "Exact" ? { type: "exact", value } : { type: "prefix", value: value.replace(/\/+$/, "") || "/" };
}

/** Envoy's; "implementation-specific", says the standard. */
const DEFAULT_ATTEMPTS = 1;
const MAX_ATTEMPTS = 100;

function readRetry(field: Field): RouteRetry {
  const { codes, attempts, backoff } = field.object("codes", "attempts", "backoff");
  return {
    codes: codes.items().flatMap((code) => code.integer(400, 599) ?? []),
    attempts: attempts.integer(0, MAX_ATTEMPTS) ?? DEFAULT_ATTEMPTS,
    backoffMs: readDuration(backoff),
  };
}
