import { err, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import { decodeBase64url } from "./base64url.ts";
import { JwtStatus } from "./jwt-status.ts";
import { readStrictJson } from "./strict-json.ts";

/** A token (RFC 7519) as it says it is. Nothing of it has been verified. */
export interface Jwt {
  /** As it came: `header.payload.signature`. */
  readonly text: string;
  readonly header: JsonObject;
  readonly payload: JsonObject;
  /** The payload as it stands in the text. */
  readonly encodedPayload: string;
  readonly algorithm: Algorithm;
  /** "" where there is none. */
  readonly keyId: string;
  readonly signatureBytes: number;
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
  /** Seconds since the epoch; undefined where it does not say. */
  readonly notBefore: number | undefined;
  readonly expires: number | undefined;
}

/** What Envoy verifies (RFC 7518 §3.1, RFC 8037). `none` is not among them. */
export type Algorithm = keyof typeof ALGORITHMS;

/** The type of key that belongs to each, and its curve: by this alone a key is chosen, never by what the token wishes. */
export const ALGORITHMS = {
  ES256: { keyType: "EC", curve: "P-256" },
  ES384: { keyType: "EC", curve: "P-384" },
  ES512: { keyType: "EC", curve: "P-521" },
  RS256: { keyType: "RSA" },
  RS384: { keyType: "RSA" },
  RS512: { keyType: "RSA" },
  PS256: { keyType: "RSA" },
  PS384: { keyType: "RSA" },
  PS512: { keyType: "RSA" },
  HS256: { keyType: "oct" },
  HS384: { keyType: "oct" },
  HS512: { keyType: "oct" },
  EdDSA: { keyType: "OKP", curve: "Ed25519" },
} as const satisfies { readonly [name: string]: { readonly keyType: string; readonly curve?: string } };

/** A head of a request is bounded long before (`max_request_headers_kb`); this bounds it where that has been raised. */
const MAX_TOKEN_CHARACTERS = 64 * 1024;

/** Reads a token, strictly: what two readers could understand differently is none. */
export function parseJwt(text: string): Result<Jwt, JwtStatus> {
  const parts = text.length > MAX_TOKEN_CHARACTERS ? [] : text.split(".", 4);
  const [encodedHeader = "", encodedPayload = "", encodedSignature = ""] = parts;
  if (parts.length !== 3 || parts.includes("")) return err(JwtStatus.badFormat);

  const headerBytes = decodeBase64url(encodedHeader);
  if (headerBytes === undefined) return err(JwtStatus.headerBadBase64);
  const header = readStrictJson(headerBytes);
  if (header === undefined) return err(JwtStatus.headerBadJson);
  const { alg, kid = "" } = header;
  if (typeof alg !== "string") return err(JwtStatus.headerBadAlg);
  if (!isAlgorithm(alg)) return err(JwtStatus.headerUnknownAlg);
  if (typeof kid !== "string") return err(JwtStatus.headerBadKid);
  // What has to be understood is not (RFC 7515 §4.1.11). Keys that come along (jku, jwk, x5u, x5c) are looked at by nobody.
  if (header["crit"] !== undefined) return err(JwtStatus.verificationFails);

  const payloadBytes = decodeBase64url(encodedPayload);
  if (payloadBytes === undefined) return err(JwtStatus.payloadBadBase64);
  const payload = readStrictJson(payloadBytes);
  if (payload === undefined) return err(JwtStatus.payloadBadJson);
  const wrong = checkClaims(payload);
  if (wrong !== undefined) return err(wrong);

  const signature = decodeBase64url(encodedSignature);
  if (signature === undefined) return err(JwtStatus.signatureBadBase64);
  return ok({
    text,
    header,
    payload,
    encodedPayload,
    algorithm: alg,
    keyId: kid,
    signatureBytes: signature.length,
    issuer: stringOf(payload["iss"]),
    subject: stringOf(payload["sub"]),
    audiences: audiencesOf(payload["aud"]),
    notBefore: payload["nbf"] as number | undefined,
    expires: payload["exp"] as number | undefined,
  });
}

function isAlgorithm(name: string): name is Algorithm {
  return Object.hasOwn(ALGORITHMS, name);
}

/** The first of the registered claims (RFC 7519 §4.1) that is of another type than it has to be. */
function checkClaims(payload: JsonObject): JwtStatus | undefined {
  const { iss, sub, iat, nbf, exp, jti, aud } = payload;
  if (!isOptionalString(iss)) return JwtStatus.issNotString;
  if (!isOptionalString(sub)) return JwtStatus.subNotString;
  return (
    checkTime(iat, JwtStatus.iatNotInteger, JwtStatus.iatOutOfRange) ??
    checkTime(nbf, JwtStatus.nbfNotInteger, JwtStatus.nbfOutOfRange) ??
    checkTime(exp, JwtStatus.expNotInteger, JwtStatus.expOutOfRange) ??
    (isOptionalString(jti) ? undefined : JwtStatus.jtiNotString) ??
    (isAudience(aud) ? undefined : JwtStatus.audNotString)
  );
}

function isOptionalString(claim: Json | undefined): boolean {
  return claim === undefined || typeof claim === "string";
}

/** Fractions are allowed (`NumericDate`). */
function checkTime(claim: Json | undefined, wrongType: JwtStatus, outOfRange: JwtStatus): JwtStatus | undefined {
  if (claim === undefined) return undefined;
  if (typeof claim !== "number") return wrongType;
  return claim >= 0 && claim < 2 ** 63 ? undefined : outOfRange;
}

function isAudience(claim: Json | undefined): boolean {
  if (Array.isArray(claim)) return claim.every((one: Json) => typeof one === "string");
  return isOptionalString(claim);
}

function audiencesOf(claim: Json | undefined): readonly string[] {
  if (Array.isArray(claim)) return claim as readonly string[];
  return typeof claim === "string" ? [claim] : [];
}

function stringOf(claim: Json | undefined): string {
  return typeof claim === "string" ? claim : "";
}
