import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import { readHeaderMatcher } from "../match/read-header-matcher.ts";
import { readStringMatcher } from "../match/read-string-matcher.ts";
import { compileSafeRegex } from "../match/safe-regex.ts";
import type { QueryParameterMatcherConfig, RouteMatch } from "./route-config.ts";

/** One thing wrong, at a path within what was read. */
interface Issue {
  readonly path: string;
  readonly message: string;
}

/**
 * An `envoy.config.route.v3.RouteMatch` out of a filter's configuration, which filters get as proto JSON: the path, fields of
 * the head, and the query. What else a route may ask (gRPC, the client's certificate, chance) is refused, since the filters
 * of Envoy that have such a match do not ask it, and would let requests by that a reader of the configuration takes to be held.
 */
export function readRouteMatch(json: Json | undefined): Result<RouteMatch, readonly Issue[]> {
  const fields: JsonObject = isJsonObject(json) ? json : {};
  const issues: Issue[] = [];
  for (const name of ["grpc", "tlsContext", "runtimeFraction"]) {
    if (fields[name] !== undefined) issues.push({ path: name, message: "has no effect in a filter's match" });
  }
  const path = readPath(fields);
  if (!path.ok) issues.push(path.error);
  const headers = each(fields, "headers", issues, (one) => {
    const matcher = readHeaderMatcher(one);
    return matcher.ok ? matcher : err({ path: "", message: matcher.error });
  });
  const queryParameters = each(fields, "queryParameters", issues, readQueryParameter);
  if (issues.length > 0 || !path.ok) return err(issues);
  return ok({
    path: path.value,
    caseSensitive: fields["caseSensitive"] !== false,
    headers,
    queryParameters,
    grpc: false,
    runtimeFraction: undefined,
  });
}

function readPath(fields: JsonObject): Result<RouteMatch["path"], Issue> {
  const { prefix, path, pathSeparatedPrefix, safeRegex, connectMatcher } = fields;
  if (connectMatcher !== undefined) return ok({ type: "connect" });
  if (typeof prefix === "string") return ok({ type: "prefix", value: prefix });
  if (typeof path === "string") return ok({ type: "path", value: path });
  if (typeof pathSeparatedPrefix === "string") return ok({ type: "path-separated-prefix", value: pathSeparatedPrefix });
  if (!isJsonObject(safeRegex)) {
    return err({
      path: "",
      message: "needs one of prefix, path, path_separated_prefix, safe_regex and connect_matcher",
    });
  }
  const { regex = "" } = safeRegex as { readonly regex?: string };
  const compiled = compileSafeRegex(regex);
  return compiled.ok ? ok({ type: "safe-regex", regex }) : err({ path: "safeRegex.regex", message: compiled.error });
}

function readQueryParameter(json: Json): Result<QueryParameterMatcherConfig, Issue> {
  const { name, stringMatch } = (isJsonObject(json) ? json : {}) as {
    readonly name?: string;
    readonly stringMatch?: Json;
  };
  if (typeof name !== "string" || name === "") return err({ path: "name", message: "is missing" });
  if (stringMatch === undefined) return ok({ name, match: { type: "present" } });
  const matcher = readStringMatcher(stringMatch);
  if (!matcher.ok) return err({ path: "stringMatch", message: matcher.error });
  return ok({ name, match: { type: "string", matcher: matcher.value } });
}

function each<Read>(
  fields: JsonObject,
  name: string,
  issues: Issue[],
  read: (json: Json) => Result<Read, Issue>,
): readonly Read[] {
  const list = fields[name];
  if (!Array.isArray(list)) return [];
  return list.flatMap((json: Json, index) => {
    const result = read(json);
    if (result.ok) return [result.value];
    const { path, message } = result.error;
    issues.push({ path: `${name}[${index}]${path === "" ? "" : `.${path}`}`, message });
    return [];
  });
}
