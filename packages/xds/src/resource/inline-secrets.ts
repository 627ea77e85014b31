import type { Json } from "@heddle/base";
import { isHeaderValue, isNamedAsCredential, isSensitive, protoName } from "./redact-secrets.ts";

/** Marked sensitive, and no secret between proxies: keys that signatures are checked with, and what an authorizer is told of a route. */
const PUBLIC: ReadonlySet<string> = new Set(["local_jwks", "context_extensions"]);

/** Where a secret stands in a field that is marked sensitive, if it does not stand there at once. */
const INLINE: ReadonlySet<string> = new Set(["inline_string", "inline_bytes", "key"]);

/**
 * Whether a resource other than a Secret has a secret in itself, such as the key of a listener's certificate or the token of a header
 * that is added, rather than the name of a file or of a Secret. Names in either case. Whatever it is here `redactSecrets` hides.
 */
export function holdsInlineSecrets(json: Json): boolean {
  if (Array.isArray(json)) return json.some(holdsInlineSecrets);
  if (typeof json !== "object" || json === null) return false;
  const isCredential = isNamedAsCredential(json as { readonly [key: string]: Json });
  return Object.entries(json).some(([name, value]: [string, Json]) => {
    const field = protoName(name);
    if (isCredential && isHeaderValue(name) && isLiteral(value)) return true;
    if (field === "initial_metadata" && Array.isArray(value) && value.some(hasValue)) return true;
    return (isSensitive(field) && !PUBLIC.has(field) && isInline(value)) || holdsInlineSecrets(value);
  });
}

function hasValue(header: Json): boolean {
  if (typeof header !== "object" || header === null) return false;
  return Object.entries(header).some(([name, value]: [string, Json]) => isHeaderValue(name) && isLiteral(value));
}

/** "Bearer %REQ(x-token)%" has what the request has brought. */
function isLiteral(value: Json): boolean {
  if (typeof value !== "string") return false;
  return (
    value
      .replaceAll(/%[A-Z][^%]*%/g, "")
      .replace(/^\s*(basic|bearer)\b/i, "")
      .trim() !== ""
  );
}

function isInline(value: Json): boolean {
  if (Array.isArray(value)) return value.some(isInline);
  if (typeof value === "string") return value !== "";
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([name, inner]: [string, Json]) =>
    typeof inner === "string" ? INLINE.has(protoName(name)) && inner !== "" : isInline(inner),
  );
}
