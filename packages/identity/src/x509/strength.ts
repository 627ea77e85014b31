import type { KeyObject } from "node:crypto";
import type { Certificate } from "./certificate.ts";

/** The curves whose keys are strong enough here, as Node names them. */
const CURVES: ReadonlySet<string> = new Set(["prime256v1", "secp384r1", "secp521r1"]);
const MIN_RSA_BITS = 2048;
/** A check of a signature grows with the size of the key; nobody needs more. */
const MAX_RSA_BITS = 8192;

/** Why a public key is too weak (or of no known kind) to vouch for anything, or undefined. */
export function weakKeyFault({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string | undefined {
  switch (asymmetricKeyType) {
    case "ec":
      return CURVES.has(asymmetricKeyDetails?.namedCurve ?? "") ? undefined : "has a key on a curve that is not taken";
    case "rsa":
    case "rsa-pss": {
      const bits = asymmetricKeyDetails?.modulusLength ?? 0;
      return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS
        ? undefined
        : `has an RSA key with fewer than ${MIN_RSA_BITS} or more than ${MAX_RSA_BITS} bits`;
    }
    case "ed25519":
      return undefined;
    default:
      return "has a key of a kind that is not taken";
  }
}

/** Why nothing follows from a certificate's signature, if it fits: MD5 and SHA-1 can be forged. Or undefined. */
export function weakSignatureFault({ signatureAlgorithm }: Certificate): string | undefined {
  return STRONG.has(signatureAlgorithm) ? undefined : "is signed with an algorithm that is not taken";
}

const STRONG: ReadonlySet<string> = new Set([
  "1.2.840.10045.4.3.2", // ecdsa-with-SHA256
  "1.2.840.10045.4.3.3", // ecdsa-with-SHA384
  "1.2.840.10045.4.3.4", // ecdsa-with-SHA512
  "1.2.840.113549.1.1.11", // sha256WithRSAEncryption
  "1.2.840.113549.1.1.12", // sha384WithRSAEncryption
  "1.2.840.113549.1.1.13", // sha512WithRSAEncryption
  "1.3.101.112", // Ed25519
]);
