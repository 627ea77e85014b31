import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { Json } from "./envoy-config.ts";

/** Signs JSON Web Tokens (ES256), by node:crypto alone. */
export class TokenIssuer {
  readonly name: string;
  #current: { readonly id: string; readonly publicKey: KeyObject; readonly privateKey: KeyObject } | undefined;

  constructor(name: string) {
    this.name = name;
    this.rotate("first");
  }

  /** From now on it has that key alone. */
  rotate(id: string): void {
    this.#current = { id, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) };
  }

  /** Its keys (RFC 7517). */
  jwks(): string {
    assert.ok(this.#current !== undefined);
    const { id, publicKey } = this.#current;
    return JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: id }] });
  }

  token(claims: Json): string {
    assert.ok(this.#current !== undefined);
    const { id, privateKey } = this.#current;
    const part = (json: Json): string => Buffer.from(JSON.stringify(json)).toString("base64url");
    const signed = `${part({ alg: "ES256", kid: id })}.${part({ iss: this.name, ...claims })}`;
    const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  }
}
