import { createHmac, generateKeyPairSync, type KeyObject, sign as signBytes } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Json, type JsonObject, systemClock } from "@heddle/base";
import type { ScriptedExchange } from "@heddle/filter/testing";

/* For tests: issuers of tokens, made by node:crypto alone, so that what is tested does not judge itself. */

export const ISSUER = "https://issuer.example";

export class TestIssuer {
  readonly algorithm: string;
  readonly keyId: string;
  readonly #private: KeyObject;
  readonly #public: KeyObject;

  constructor(
    algorithm: "ES256" | "ES384" | "ES512" | "RS256" | "RS384" | "RS512" | "PS256" | "PS512" | "EdDSA",
    keyId = "",
  ) {
    this.algorithm = algorithm;
    this.keyId = keyId;
    const pair =
      algorithm === "EdDSA"
        ? generateKeyPairSync("ed25519")
        : isElliptic(algorithm)
          ? generateKeyPairSync("ec", { namedCurve: CURVES[algorithm] ?? "" })
          : generateKeyPairSync("rsa", { modulusLength: 2048 });
    this.#private = pair.privateKey;
    this.#public = pair.publicKey;
  }

  /** Its public key. `more`: members beside what the key itself needs. */
  jwk(more: JsonObject = {}): JsonObject {
    const id = this.keyId === "" ? {} : { kid: this.keyId };
    return { ...(this.#public.export({ format: "jwk" }) as JsonObject), ...id, ...more };
  }

  pem(): string {
    return String(this.#public.export({ format: "pem", type: "spki" }));
  }

  /** A token. What stands in `header` counts instead of what is written otherwise; null takes it out. */
  token(payload: JsonObject | string, header: JsonObject = {}): string {
    const written = { alg: this.algorithm, ...(this.keyId !== "" && { kid: this.keyId }), ...header };
    const kept = Object.fromEntries(Object.entries(written).filter(([, value]) => value !== null));
    const signed = `${encoded(kept)}.${encoded(payload)}`;
    return `${signed}.${this.signature(signed).toString("base64url")}`;
  }

  /** In the form of JOSE: of ECDSA both numbers beside each other (RFC 7518 §3.4). */
  signature(signed: string): Buffer {
    const { algorithm } = this;
    const digest = algorithm === "EdDSA" ? null : `sha${algorithm.slice(2)}`;
    return signBytes(digest, Buffer.from(signed), {
      key: this.#private,
      ...(isElliptic(algorithm) && { dsaEncoding: "ieee-p1363" as const }),
      ...(algorithm.startsWith("PS") && { padding: 6, saltLength: Number(algorithm.slice(2)) / 8 }),
    });
  }
}

/** A token that a shared secret has signed. */
export function secretToken(
  secret: string | Buffer,
  payload: JsonObject,
  header: JsonObject & { alg?: string } = {},
): string {
  const { alg = "HS256", ...rest } = header;
  const signed = `${encoded({ alg, ...rest })}.${encoded(payload)}`;
  const digest = `sha${alg.slice(2)}`;
  return `${signed}.${createHmac(digest, secret).update(signed).digest("base64url")}`;
}

/** JSON as it stands in a token; text is taken for JSON already. */
export function encoded(json: Json): string {
  return Buffer.from(typeof json === "string" ? json : JSON.stringify(json)).toString("base64url");
}

export function jwks(...keys: readonly JsonObject[]): { readonly inlineString: string } {
  return { inlineString: JSON.stringify({ keys }) };
}

/** How the request was decided, once it is: signatures are verified by other threads. */
export async function decided(exchange: ScriptedExchange): Promise<string> {
  const deadline = systemClock.now() + 20_000;
  while (exchange.atClient.head === undefined && exchange.atUpstream.head === undefined) {
    if (systemClock.now() > deadline) throw new Error("the request has not been decided");
    await nextTurn();
  }
  const { head } = exchange.atClient;
  return head === undefined ? "passed" : `${head.status} ${exchange.responseCodeDetails}`;
}

function isElliptic(algorithm: string): boolean {
  return algorithm.startsWith("ES");
}

const CURVES: { readonly [algorithm: string]: string } = { ES256: "P-256", ES384: "P-384", ES512: "P-521" };
