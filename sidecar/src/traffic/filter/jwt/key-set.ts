import type { CryptoKey } from "jose";
import { JwtStatus } from "./jwt-status.ts";
import type { Algorithm, Jwt } from "./parse-jwt.ts";
import type { VerificationKey } from "./read-jwks.ts";

/** More are tried for no token: each costs some 50 µs. */
const MAX_TRIED = 100;

/** The keys of one provider, as they are at one time. Imported when they are first needed. */
export class KeySet {
  readonly #keys: readonly VerificationKey[];
  readonly #imported = new Map<string, Promise<CryptoKey | Uint8Array | undefined>>();

  constructor(keys: readonly VerificationKey[]) {
    this.#keys = keys;
  }

  get size(): number {
    return this.#keys.length;
  }

  /** The places of the keys that may have signed the token: by the id that both name, and by what the key is for. */
  candidates({ keyId, algorithm }: Jwt): readonly number[] {
    const places: number[] = [];
    for (let i = 0; i < this.#keys.length && places.length < MAX_TRIED; i++) {
      const { id, algorithms } = this.#keys[i]!; // i is below the length
      if (keyId !== "" && id !== "" && id !== keyId) continue;
      if (algorithms.includes(algorithm)) places.push(i);
    }
    return places;
  }

  /** Whether one of the keys has signed the token. Never rejects. */
  async verify(jwt: Jwt): Promise<JwtStatus> {
    const places = this.candidates(jwt);
    if (places.length === 0) return JwtStatus.noMatchingKey;
    const { algorithm } = jwt;
    if (algorithm === "EdDSA" && jwt.signatureBytes !== ED25519_BYTES) return JwtStatus.ed25519Length;
    for (const place of places) {
      const key = await this.#key(place, algorithm);
      if (key !== undefined && (await isSigned(jwt.text, key, algorithm))) return JwtStatus.ok;
    }
    return JwtStatus.verificationFails;
  }

  /** Undefined: it is no such key (an RSA key of less than 2048 bits, a point that is not on its curve). */
  #key(place: number, algorithm: Algorithm): Promise<CryptoKey | Uint8Array | undefined> {
    const name = `${place} ${algorithm}`;
    let key = this.#imported.get(name);
    if (key === undefined) {
      key = importKey(this.#keys[place]!, algorithm); // a place of `candidates`
      this.#imported.set(name, key);
    }
    return key;
  }
}

async function importKey({ jwk }: VerificationKey, algorithm: Algorithm): Promise<CryptoKey | Uint8Array | undefined> {
  const { importJWK } = await import("jose/key/import");
  try {
    const key = await importJWK({ ...jwk }, algorithm);
    return isLongEnough(key) ? key : undefined;
  } catch {
    return undefined;
  }
}

/** RFC 7518 §3.3. */
const MIN_RSA_BITS = 2048;

function isLongEnough(key: CryptoKey | Uint8Array): boolean {
  if (key instanceof Uint8Array) return key.length > 0;
  const { modulusLength } = key.algorithm as { readonly modulusLength?: number };
  return modulusLength === undefined || modulusLength >= MIN_RSA_BITS;
}

async function isSigned(token: string, key: CryptoKey | Uint8Array, algorithm: Algorithm): Promise<boolean> {
  const { compactVerify } = await import("jose/jws/compact/verify");
  try {
    await compactVerify(token, key, { algorithms: [algorithm] });
    return true;
  } catch {
    return false; // whatever is wrong with it
  }
}

const ED25519_BYTES = 64;
