import type {
  ForwardAction,
  HeaderMatcherConfig,
  HeaderMutations,
  HeaderValueOption,
  QueryParameterMatcherConfig,
  RedirectAction,
  RetryPolicy,
  RouteMatch,
  StringMatcherConfig,
} from "@heddle/traffic";
import type {
  HeaderChanges,
  HeaderValue,
  PathChange,
  Redirect,
  RequestMatch,
  RouteFilters,
  RouteRetry,
  ValueMatch,
} from "../model/http-route.ts";

/* The parts of a Gateway API rule, each as the part of an Envoy route that means the same. Pure, one function a part. */

export function routeMatch(match: RequestMatch): RouteMatch {
  return {
    path: match.grpc === undefined ? pathMatch(match.path) : grpcPathMatch(match.path),
    caseSensitive: true,
    headers: [
      ...(match.method === undefined ? [] : [headerMatch({ name: ":method", type: "exact", value: match.method })]),
      ...match.headers.map(headerMatch),
    ],
    queryParameters: match.queryParameters.map(queryParameterMatch),
    grpc: false,
    runtimeFraction: undefined,
  };
}

/** A service has a slash behind it in each path; and clients of gRPC that follow xDS by themselves know no other prefix. */
function grpcPathMatch(path: RequestMatch["path"]): RouteMatch["path"] {
  if (path.type !== "prefix") return pathMatch(path);
  return { type: "prefix", value: path.value === "/" ? "/" : `${path.value}/` };
}

function pathMatch(path: RequestMatch["path"]): RouteMatch["path"] {
  switch (path.type) {
    case "exact":
      return { type: "path", value: path.value };
    case "regex":
      return { type: "safe-regex", regex: path.value };
    case "prefix":
      // "/" has no elements to separate, and Envoy refuses it as a separated prefix.
      return path.value === "/" ? { type: "prefix", value: "/" } : { type: "path-separated-prefix", value: path.value };
  }
}

function headerMatch(match: ValueMatch): HeaderMatcherConfig {
  return {
    name: match.name,
    match: { type: "string", matcher: stringMatcher(match) },
    invert: false,
    treatMissingHeaderAsEmpty: false,
  };
}

function queryParameterMatch(match: ValueMatch): QueryParameterMatcherConfig {
  return { name: match.name, match: { type: "string", matcher: stringMatcher(match) } };
}

function stringMatcher({ type, value }: ValueMatch): StringMatcherConfig {
  return type === "exact" ? { type: "exact", value, ignoreCase: false } : { type: "safe-regex", regex: value };
}

/** Nothing is added and nothing removed. */
export const NO_MUTATIONS: HeaderMutations = {
  requestHeadersToAdd: [],
  requestHeadersToRemove: [],
  responseHeadersToAdd: [],
  responseHeadersToRemove: [],
};

/** `NO_MUTATIONS` itself where the filters change no header. */
export function headerMutations({ requestHeaders, responseHeaders }: RouteFilters): HeaderMutations {
  if (requestHeaders === undefined && responseHeaders === undefined) return NO_MUTATIONS;
  return {
    requestHeadersToAdd: headersToAdd(requestHeaders),
    requestHeadersToRemove: requestHeaders?.remove ?? [],
    responseHeadersToAdd: headersToAdd(responseHeaders),
    responseHeadersToRemove: responseHeaders?.remove ?? [],
  };
}

function headersToAdd(changes: HeaderChanges | undefined): readonly HeaderValueOption[] {
  if (changes === undefined) return [];
  return [
    ...changes.set.map((header) => headerOption(header, "OVERWRITE_IF_EXISTS_OR_ADD")),
    ...changes.add.map((header) => headerOption(header, "APPEND_IF_EXISTS_OR_ADD")),
  ];
}

function headerOption(
  { name, value }: HeaderValue,
  appendAction: HeaderValueOption["appendAction"],
): HeaderValueOption {
  // A lone "%" would begin one of Envoy's commands; Gateway API has no such thing.
  return { name, value: value.replaceAll("%", "%%"), appendAction, keepEmptyValue: value === "" };
}

/** The rewrite of the path, given what the route matches. */
export function pathRewrite(
  change: PathChange,
  matched: RequestMatch["path"],
): Pick<ForwardAction, "prefixRewrite" | "regexRewrite"> {
  const regex = regexChange(change, matched);
  if (regex !== undefined) return { prefixRewrite: undefined, regexRewrite: regex };
  return { prefixRewrite: prefixChange(change, matched), regexRewrite: undefined };
}

export function redirectAction(redirect: Redirect, matched: RequestMatch["path"]): RedirectAction {
  const { scheme, hostname, port, path, statusCode } = redirect;
  const usual = (scheme === "http" && port === 80) || (scheme === "https" && port === 443);
  return {
    scheme,
    host: hostname,
    port: usual ? undefined : port, // a scheme's own port is not written into Location (HTTPRequestRedirectFilter.port)
    path: redirectPath(path, matched),
    responseCode: statusCode,
    stripQuery: false,
  };
}

function redirectPath(change: PathChange | undefined, matched: RequestMatch["path"]): RedirectAction["path"] {
  if (change === undefined) return { type: "keep" };
  if (change.type === "full") return { type: "path", value: change.value };
  const regex = regexChange(change, matched);
  return regex === undefined ? { type: "prefix", value: prefixChange(change, matched) } : { type: "regex", ...regex };
}

/**
 * Envoy replaces the matched prefix as text, so "/a" replaced by "/" would make "//b" of "/a/b", and Gateway API wants
 * "/b". Where the replacement ends with a slash, and where the whole path is replaced, a pattern says it.
 */
function regexChange(
  change: PathChange,
  matched: RequestMatch["path"],
): { readonly regex: string; readonly substitution: string } | undefined {
  if (change.type === "full") return { regex: "^/.*$", substitution: escapeSubstitution(change.value) };
  if (matched.value === "/" || !change.value.endsWith("/")) return undefined;
  return { regex: `^${escapeRegex(matched.value)}/*`, substitution: escapeSubstitution(change.value) };
}

function prefixChange(change: PathChange, matched: RequestMatch["path"]): string {
  // The prefix "/" takes the slash of what follows along: it has to be put back.
  return matched.value === "/" && !change.value.endsWith("/") ? `${change.value}/` : change.value;
}

function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** RE2's rewrite syntax knows only the backslash. */
function escapeSubstitution(text: string): string {
  return text.replaceAll("\\", "\\\\");
}

/** Envoy's. */
const BACKOFF_MS = 25;

/** GEP-1731: connection errors and attempts that took too long are tried again wherever there is `retry`. */
export function retryPolicy(
  { codes, attempts, backoffMs = BACKOFF_MS }: RouteRetry,
  perTryTimeoutMs: number,
): RetryPolicy {
  const baseIntervalMs = Math.max(1, backoffMs); // Envoy takes no 0
  return {
    retryOn: ["connect-failure", "refused-stream", "reset", ...(codes.length > 0 ? ["retriable-status-codes"] : [])],
    numRetries: attempts,
    perTryTimeoutMs,
    retriableStatusCodes: codes,
    baseIntervalMs,
    maxIntervalMs: 10 * baseIntervalMs,
  };
}
