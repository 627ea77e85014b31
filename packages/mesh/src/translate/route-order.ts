import type { GrpcMethod, HttpRoute, RequestMatch, RouteRule } from "../model/http-route.ts";
import type { Route } from "../model/route.ts";

/** One match of one rule of one route: what becomes one route entry. */
export interface OrderedMatch {
  readonly route: HttpRoute;
  readonly rule: RouteRule;
  readonly match: RequestMatch;
  readonly matchIndex: number;
}

/**
 * All matches of all routes of a service, which are of one kind, in the order in which they are tried; the first that matches
 * wins.
 *
 * Gateway API's precedence (HTTPRouteRule.matches): exact path, longest prefix, method, most headers, most query
 * parameters; among equals the oldest route, then the first by namespace and name, then the first in its list. Regular
 * expressions are left to implementations: here after exact paths and before prefixes, longer ones first.
 *
 * Of a GRPCRoute (GRPCRouteRule.matches): the longer service, the longer method, most headers; patterns here after names.
 */
export function orderMatches(routes: readonly HttpRoute[]): readonly OrderedMatch[] {
  const byAge = [...routes].sort(byAgeThenName);
  const matches = byAge.flatMap((route) =>
    route.rules.flatMap((rule) => rule.matches.map((match, matchIndex) => ({ route, rule, match, matchIndex }))),
  );
  return matches.sort((a, b) => bySpecificity(a.match, b.match)); // stable: equals stay in the order of before
}

const PATH_RANK: Readonly<Record<RequestMatch["path"]["type"], number>> = { exact: 2, regex: 1, prefix: 0 };

function bySpecificity(a: RequestMatch, b: RequestMatch): number {
  if (a.grpc !== undefined && b.grpc !== undefined)
    return byMethod(a.grpc, b.grpc) || b.headers.length - a.headers.length;
  return (
    PATH_RANK[b.path.type] - PATH_RANK[a.path.type] ||
    // All exact paths that match a request are the same, so their length decides nothing.
    (a.path.type === "exact" ? 0 : b.path.value.length - a.path.value.length) ||
    Number(b.method !== undefined) - Number(a.method !== undefined) ||
    b.headers.length - a.headers.length ||
    b.queryParameters.length - a.queryParameters.length
  );
}

function byMethod(a: GrpcMethod, b: GrpcMethod): number {
  return rankOf(a) - rankOf(b) || b.service.length - a.service.length || b.method.length - a.method.length;
}

function rankOf({ type, service, method }: GrpcMethod): number {
  if (service === "" && method === "") return 2;
  return type === "regex" ? 1 : 0;
}

/** Which of two routes decides where nothing else tells them apart. */
export function byAgeThenName(a: Route, b: Route): number {
  const [olderA, olderB] = [a.createdAtMs ?? Number.MAX_SAFE_INTEGER, b.createdAtMs ?? Number.MAX_SAFE_INTEGER];
  if (olderA !== olderB) return olderA - olderB;
  const [nameA, nameB] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  return nameA < nameB ? -1 : nameA > nameB ? 1 : 0;
}
