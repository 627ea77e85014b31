import { createHash } from "node:crypto";

/** 128 bits of SHA-256, 22 letters: names content, in lanes and as a version. */
export function contentHash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest().subarray(0, 16).toString("base64url");
}

/** JSON with sorted keys: equal values give equal text. Fields that are undefined are left out, as in JSON. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`).join(",")}}`;
}
