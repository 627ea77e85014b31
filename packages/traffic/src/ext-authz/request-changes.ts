import type { HeaderMap, RequestHead } from "@heddle/http";
import { FRAMING_FIELDS, fieldIsValid, type HeaderChange, isToken } from "./header-change.ts";
import type { MutationRules } from "./mutation-rules.ts";
import { changeQuery } from "./query-changes.ts";

/** What a service that allows a request wants changed of it. */
export interface RequestChanges {
  readonly headers: readonly HeaderChange[];
  readonly headersToRemove: readonly string[];
  readonly queryParametersToSet: readonly (readonly [name: string, value: string])[];
  readonly queryParametersToRemove: readonly string[];
}

/** What a listener allows a request to be. */
export interface RequestLimits {
  readonly maxHeaders: number;
  readonly maxBytes: number;
}

/**
 * Changes the head as a service says. "invalid": the answer asks for what no request may be, or what the rules forbid, and is not to
 * be followed at all; the head may be half changed. `rules`: undefined where there are none, and then all but framing may be
 * changed, target, method and authority with it, as in Envoy; what that makes is held to what a request may be.
 */
export function applyRequestChanges(
  head: RequestHead,
  changes: RequestChanges,
  rules: MutationRules | undefined,
  limits: RequestLimits,
): "applied" | "invalid" | "too-large" {
  for (const change of changes.headers) {
    const operation = change.action === "append-to-existing" ? "append" : "set";
    const verdict = rules?.check(operation, change.name, change.value) ?? "ok";
    if (verdict === "fail") return "invalid";
    if (verdict === "ok" && !applyHeader(head, change)) return "invalid";
  }
  for (const name of changes.headersToRemove) {
    const verdict = rules?.check("remove", name, "") ?? "ok";
    if (verdict === "fail") return "invalid";
    const isRemovable = !name.startsWith(":") && name !== "host" && !FRAMING_FIELDS.has(name);
    if (verdict === "ok" && isRemovable) head.headers.remove(name);
  }
  if (!changeQuery(head, changes.queryParametersToSet, changes.queryParametersToRemove)) return "invalid";
  return isWithin(head, limits) ? "applied" : "too-large";
}

/** False: that cannot be. */
function applyHeader(head: RequestHead, change: HeaderChange): boolean {
  const { name, value } = change;
  if (name.startsWith(":") || name === "host") return applyPseudoHeader(head, change);
  if (!fieldIsValid(name, value)) return false;
  if (!FRAMING_FIELDS.has(name)) applyField(head.headers, change);
  return true;
}

export function applyField(headers: HeaderMap, { name, value, action }: HeaderChange): void {
  switch (action) {
    case "set":
      headers.set(name, value);
      return;
    case "append-to-existing": {
      const { fields } = headers;
      const at = fields.findIndex((field, index) => index % 2 === 0 && field === name);
      if (at !== -1) fields[at + 1] = `${fields[at + 1]},${value}`;
      return;
    }
    case "add":
      headers.append(name, value);
      return;
    case "add-if-absent":
      if (!headers.has(name)) headers.append(name, value);
      return;
    case "overwrite-if-exists":
      if (headers.has(name)) headers.set(name, value);
      return;
    default:
      throw new Error(`unknown action ${JSON.stringify(action satisfies never)}`);
  }
}

/**
 * They are always there, and only once. A CONNECT stays one, and a HEAD: what the answer is made of depends on the method as the
 * client has sent it.
 */
function applyPseudoHeader(head: RequestHead, { name, value, action }: HeaderChange): boolean {
  if (action === "append-to-existing" || action === "add") return false;
  if (action === "add-if-absent") return true;
  switch (name) {
    case ":path":
      if (head.method === "CONNECT" || !TARGET.test(value)) return false;
      head.path = value;
      return true;
    case ":method":
      if (!isToken(value) || FIXED_METHODS.has(value) || FIXED_METHODS.has(head.method)) return value === head.method;
      head.method = value;
      return true;
    case ":authority":
    case "host":
      if (!AUTHORITY.test(value)) return false;
      head.authority = value;
      return true;
    case ":scheme":
      if (value !== "http" && value !== "https") return false;
      head.scheme = value;
      return true;
    default:
      return false;
  }
}

const FIXED_METHODS: ReadonlySet<string> = new Set(["CONNECT", "HEAD"]);
/** Of origin-form (RFC 9112 §3.2.1): nothing that ends it, and no fragment. */
const TARGET = /^\/[\x21\x22\x24-\x7e\x80-\xff]*$/;
/** RFC 3986 §3.2 without user info. */
const AUTHORITY = /^[A-Za-z0-9._~%!$&'()*+,;=:[\]-]+$/;

function isWithin({ headers, path, authority, method }: RequestHead, { maxHeaders, maxBytes }: RequestLimits): boolean {
  let bytes = path.length + authority.length + method.length;
  for (const field of headers.fields) bytes += field.length;
  return headers.size <= maxHeaders && bytes <= maxBytes;
}
