import type { Json } from "@heddle/base";
import { isSensitive, protoName } from "./redact-secrets.ts";

/** Marked sensitive, and public all the same: keys that signatures are checked with. */
const PUBLIC: ReadonlySet<string> = new Set(["local_jwks"]);

/** Where a secret stands in a field that is marked sensitive, if it does not stand there at once. */
const INLINE: ReadonlySet<string> = new Set(["inline_string", "inline_bytes", "key"]);

/**
 * Whether a resource other than a Secret has a secret in itself, such as the key of a listener's certificate, rather than the
 * name of a file or of a Secret. Names in either case.
 */
export function holdsInlineSecrets(json: Json): boolean {
  if (Array.isArray(json)) return json.some(holdsInlineSecrets);
  if (typeof json !== "object" || json === null) return false;
  return Object.entries(json).some(([name, value]: [string, Json]) => {
    const field = protoName(name);
    return (isSensitive(field) && !PUBLIC.has(field) && isInline(value)) || holdsInlineSecrets(value);
  });
}

function isInline(value: Json): boolean {
  if (Array.isArray(value)) return value.some(isInline);
  if (typeof value === "string") return value !== "";
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([name, inner]: [string, Json]) =>
    typeof inner === "string" ? INLINE.has(protoName(name)) && inner !== "" : isInline(inner),
  );
}
