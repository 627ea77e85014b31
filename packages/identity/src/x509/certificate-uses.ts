import { err, ok, type Result } from "@heddle/base";
import type { Certificate } from "./certificate.ts";
import { DerError, DerTag, derElement, derElements, oidText } from "./der.ts";

/** What a certificate may be used for (RFC 5280 §4.2.1). */
export interface CertificateUses {
  /** It may sign certificates, as far as its basic constraints go. */
  readonly isCa: boolean;
  /** How many certificates that sign may follow it on the way to a leaf; undefined: any number. */
  readonly maxPathLength: number | undefined;
  /** Undefined: the certificate does not say. */
  readonly keyUsage: KeyUsage | undefined;
  /** Object identifiers; undefined: the certificate does not say. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** DER of its name constraints. */
  readonly nameConstraints: Uint8Array | undefined;
  /** Critical extensions of kinds that nobody here understands: the certificate must not be used (RFC 5280 §4.2). */
  readonly notUnderstood: readonly string[];
}

export interface KeyUsage {
  readonly critical: boolean;
  readonly digitalSignature: boolean;
  readonly keyCertSign: boolean;
  readonly crlSign: boolean;
}

export const ExtendedKeyUsage = { ServerAuth: "1.3.6.1.5.5.7.3.1", ClientAuth: "1.3.6.1.5.5.7.3.2" } as const;

/** Reads what the extensions allow; an error says which of them is of no known form. */
export function certificateUses(certificate: Certificate): Result<CertificateUses, string> {
  if (certificate.malformed) return err("is no certificate that can be read");
  const uses: Mutable<CertificateUses> = {
    isCa: false,
    maxPathLength: undefined,
    keyUsage: undefined,
    extendedKeyUsage: undefined,
    nameConstraints: undefined,
    notUnderstood: [],
  };
  const notUnderstood: string[] = [];
  for (const { oid, critical, value } of certificate.extensions) {
    try {
      switch (oid) {
        case "2.5.29.19":
          readBasicConstraints(value, uses);
          break;
        case "2.5.29.15":
          uses.keyUsage = readKeyUsage(value, critical);
          break;
        case "2.5.29.37":
          uses.extendedKeyUsage = derElements(derElement(value, DerTag.Sequence).content).map(({ content }) =>
            oidText(content),
          );
          break;
        case "2.5.29.30":
          uses.nameConstraints = value;
          break;
        case "2.5.29.17":
          break; // the certificate has read its names itself
        default:
          if (critical) notUnderstood.push(oid);
      }
    } catch (error) {
      if (!(error instanceof DerError)) throw error;
      return err(`has an extension ${oid} that is ${error.message}`);
    }
  }
  uses.notUnderstood = notUnderstood;
  return ok(uses);
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** BasicConstraints: cA (left out for false), pathLenConstraint. */
function readBasicConstraints(value: Uint8Array, uses: Mutable<CertificateUses>): void {
  const parts = derElements(derElement(value, DerTag.Sequence).content);
  if (parts[0]?.tag === DerTag.Boolean) {
    const flag = parts.shift()!.content; // just seen
    // X.690 §11.1. OpenSSL takes every other byte for true: what is an authority to one must not be a workload to the other.
    if (flag.length !== 1 || (flag[0] !== 0 && flag[0] !== 0xff)) throw new DerError("no boolean");
    uses.isCa = flag[0] === 0xff;
  }
  const length = parts.shift();
  if (length === undefined) return;
  if (length.tag !== DerTag.Integer || length.content.length !== 1 || length.content[0]! > 0x7f || parts.length > 0)
    throw new DerError("no limit of a path");
  uses.maxPathLength = length.content[0]!; // one byte, as looked at
}

/** A bit string, the first bit the highest of the first byte. */
function readKeyUsage(value: Uint8Array, critical: boolean): KeyUsage {
  const { content } = derElement(value, DerTag.BitString);
  if (content.length < 1 || content[0]! > 7) throw new DerError("no list of bits");
  const bits = content[1] ?? 0;
  return {
    critical,
    digitalSignature: (bits & 0x80) !== 0,
    keyCertSign: (bits & 0x04) !== 0,
    crlSign: (bits & 0x02) !== 0,
  };
}
