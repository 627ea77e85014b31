import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, type webcrypto } from "node:crypto";
import { err, ok, type Result } from "@heddle/base";
import { weakKeyFault } from "../x509/strength.ts";

/** The key of an authority, in the form that signs, with the algorithm that goes with it. */
export interface SigningKey {
  /** Not extractable. */
  readonly privateKey: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
  readonly algorithm: { readonly name: string; readonly hash?: string };
  /** PKCS #8. A secret, to be sealed before it is written anywhere. */
  exportPem(): string;
}

export function newSigningKey(curve: "P-256" | "P-384"): SigningKey {
  return signingKey(generateKeyPairSync("ec", { namedCurve: curve }).privateKey);
}

/** Reads a key from PEM. The error says what is wrong, and nothing of the key. */
export function signingKeyFromPem(pem: string): Result<SigningKey, string> {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    return err("is no private key in PEM, or is under a password");
  }
  const fault = weakKeyFault(key);
  if (fault !== undefined) return err(fault);
  if (key.asymmetricKeyType === "rsa-pss") return err("has a key of a kind that is not taken for signing");
  return ok(signingKey(key));
}

function signingKey(key: KeyObject): SigningKey {
  const algorithm = algorithmOf(key);
  return {
    privateKey: key.toCryptoKey(algorithm, false, ["sign"]),
    publicKey: createPublicKey(key).toCryptoKey(algorithm, true, ["verify"]),
    algorithm,
    exportPem: () => key.export({ type: "pkcs8", format: "pem" }) as string, // a PEM is a string
  };
}

/** For WebCrypto; the hash as long as the curve (RFC 5480 §4). */
function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): Algorithm {
  if (asymmetricKeyType === "ed25519") return { name: "Ed25519" };
  if (asymmetricKeyType === "rsa") return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  switch (asymmetricKeyDetails?.namedCurve) {
    case "prime256v1":
      return { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
    case "secp384r1":
      return { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" };
    case "secp521r1":
      return { name: "ECDSA", namedCurve: "P-521", hash: "SHA-512" };
    default:
      throw new Error("a key whose kind has not been looked at");
  }
}

interface Algorithm {
  readonly name: string;
  readonly namedCurve?: string;
  readonly hash?: string;
}
