import { X509Certificate } from "node:crypto";
import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import { ALGORITHMS, type Algorithm } from "./parse-jwt.ts";

/** One key of a set (RFC 7517), with what decides when it is used. */
export interface VerificationKey {
  /** "" where it has none: then it is tried for every token. */
  readonly id: string;
  /** What it verifies: the one that it names, else all that its type can do. */
  readonly algorithms: readonly Algorithm[];
  readonly jwk: { readonly kty: string; readonly [name: string]: string };
}

export const MAX_JWKS_BYTES = 1024 * 1024;
const MAX_KEYS = 1000;

/**
 * Reads a set of keys. Those that verify nothing that is known are left out. Of a set that is fetched one at least has to be left, and
 * symmetric keys do not count, since whoever can fetch it could sign with them. A local one may be empty: then no token is good.
 */
export function readJwks(text: string, from: "local" | "fetched"): Result<readonly VerificationKey[], string> {
  if (text.length > MAX_JWKS_BYTES) return err(`has ${text.length} characters, allowed are ${MAX_JWKS_BYTES}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return err("is no JSON");
  }
  if (!isJsonObject(json)) return err("is no object");
  const { keys } = json;
  const candidates = keys === undefined ? certificateKeys(json) : keys;
  if (!Array.isArray(candidates)) return err(keys === undefined ? "does not have [keys]" : "[keys] is not an array");
  if (candidates.length > MAX_KEYS) return err(`has ${candidates.length} keys, allowed are ${MAX_KEYS}`);
  const read = candidates.flatMap((key: Json) => (isJsonObject(key) ? (readKey(key, from === "local") ?? []) : []));
  return read.length === 0 && from === "fetched" ? err("doesn't have any valid public key") : ok(read);
}

/** What of a key is needed to import it, by its type. Private parts are left where they are. */
const MEMBERS: { readonly [type: string]: readonly string[] } = {
  EC: ["x", "y"],
  RSA: ["n", "e"],
  OKP: ["x"],
  oct: ["k"],
};

function readKey(key: JsonObject, secrets: boolean): VerificationKey | undefined {
  const { kty, kid = "", alg, use = "sig", key_ops: operations } = key;
  if (typeof kty !== "string" || typeof kid !== "string" || !Object.hasOwn(MEMBERS, kty)) return undefined;
  if ((kty === "oct" && !secrets) || use !== "sig") return undefined;
  if (Array.isArray(operations) && !operations.includes("verify")) return undefined; // RFC 7517 §4.3
  const members = (MEMBERS[kty] ?? []).map((name) => [name, key[name]] as const);
  if (members.some(([, value]) => typeof value !== "string" || value === "")) return undefined;
  const curve = curveOf(key);
  const possible = Object.entries(ALGORITHMS).filter(
    ([name, needs]) =>
      needs.keyType === kty && (!("curve" in needs) || needs.curve === curve) && (alg === undefined || alg === name),
  );
  if (possible.length === 0) return undefined;
  const jwk = { kty, ...(curve !== undefined && { crv: curve }), ...(Object.fromEntries(members) as { k: string }) };
  return { id: kid, algorithms: possible.map(([name]) => name as Algorithm), jwk };
}

/** A key on a curve that does not say on which is on the one that belongs to its algorithm, else on P-256 (as in Envoy). */
function curveOf({ kty, crv, alg }: JsonObject): string | undefined {
  if (kty !== "EC" && kty !== "OKP") return undefined;
  if (typeof crv === "string") return crv;
  if (kty !== "EC") return undefined;
  const needs = typeof alg === "string" && Object.hasOwn(ALGORITHMS, alg) ? ALGORITHMS[alg as Algorithm] : undefined;
  return needs !== undefined && "curve" in needs ? needs.curve : "P-256";
}

/** The older form of such sets: certificates in PEM, by the id of their key. Undefined: it is none. */
function certificateKeys(json: JsonObject): readonly JsonObject[] | undefined {
  const entries = Object.entries(json);
  if (entries.length === 0 || entries.length > MAX_KEYS) return undefined;
  try {
    return entries.map(([kid, pem]) => ({
      ...(new X509Certificate(typeof pem === "string" ? pem : "").publicKey.export({ format: "jwk" }) as JsonObject),
      kid,
    }));
  } catch {
    return undefined;
  }
}
