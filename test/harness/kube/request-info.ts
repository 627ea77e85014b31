import type { Kind, Kinds } from "./kinds.ts";
import { noSuchPath } from "./status-error.ts";

/** What a request's path and query ask for. */
export interface ResourceRequest {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string;
  readonly query: URLSearchParams;
  /** As RBAC names it: get, list, watch, create, update, patch, delete, deletecollection. */
  readonly verb: string;
}

/** Reads `/api/v1/namespaces/x/pods/y/status`. Undefined: the path is none of a resource. Throws 404 for a kind that is not there. */
export function resourceRequest(method: string, url: URL, kinds: Kinds): ResourceRequest | undefined {
  const parts = url.pathname
    .split("/")
    .filter((part) => part !== "")
    .map(decodeURIComponent);
  const prefix = parts.shift();
  if (prefix !== "api" && prefix !== "apis") return undefined;
  if (parts.length < (prefix === "api" ? 2 : 3)) return undefined;
  const group = prefix === "api" ? "" : parts.shift()!;
  const version = parts.shift()!;
  const isOldWatch = parts[0] === "watch";
  if (isOldWatch) parts.shift();
  let namespace: string | undefined;
  // `namespaces/x/pods` is of pods; `namespaces/x` and `namespaces/x/status` are of the namespace.
  if (parts[0] === "namespaces" && parts.length > 2 && kinds.find(group, version, parts[2]!) !== undefined) {
    namespace = parts[1];
    parts.splice(0, 2);
  }
  const [plural = "", name, ...sub] = parts;
  const kind = kinds.find(group, version, plural);
  if (kind === undefined) throw noSuchPath();
  if (kind.namespaced && namespace === undefined && name !== undefined) throw noSuchPath();
  const isWatch = isOldWatch || isTrue(url.searchParams, "watch");
  return {
    kind,
    namespace,
    name,
    subresource: sub.join("/"),
    query: url.searchParams,
    verb: verbOf(method, name, isWatch),
  };
}

/** As Go reads booleans: the client for Python says "True". */
export function isTrue(query: URLSearchParams, name: string): boolean {
  return ["1", "t", "T", "true", "True", "TRUE"].includes(query.get(name) ?? "");
}

function verbOf(method: string, name: string | undefined, isWatch: boolean): string {
  switch (method) {
    case "GET":
    case "HEAD":
      return isWatch ? "watch" : name === undefined ? "list" : "get";
    case "POST":
      return "create";
    case "PUT":
      return "update";
    case "PATCH":
      return "patch";
    case "DELETE":
      return name === undefined ? "deletecollection" : "delete";
    default:
      return method.toLowerCase();
  }
}
