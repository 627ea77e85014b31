import { X509Certificate } from "node:crypto";
import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import { trustDomainFault } from "./spiffe-id.ts";
import { Certificate } from "./x509/certificate.ts";
import { certificatesInPem } from "./x509/certificates-in-pem.ts";

/** The keys that speak for a trust domain (SPIFFE Trust Domain and Bundle §3). */
export interface TrustBundle {
  /** Lower case. The document itself does not say it: who fetches one knows whose it is (§3). */
  readonly trustDomain: string;
  /** DER. None: the domain has no X.509-SVIDs. */
  readonly x509Authorities: readonly Uint8Array[];
  /** JWK of JWT-SVIDs, as they were read: kept and passed on. */
  readonly jwtAuthorities: readonly JsonObject[];
  /** Grows with every change (§4.1.1); 0 where it is not said. Beyond 2^53 its last digits are lost. */
  readonly sequenceNumber: number;
  /** How often to look for a newer one (§4.1.2); 0 where it is not said. */
  readonly refreshHintSeconds: number;
}

/** Of a document: a hundred RSA-4096 certificates fit several times over. */
export const MAX_BUNDLE_BYTES = 1024 * 1024;
const MAX_KEYS = 256;

/** Reads the SPIFFE bundle format, a JWK Set (§4). The error says where in the document what is wrong. */
export function parseTrustBundle(trustDomain: string, text: string): Result<TrustBundle, string> {
  const fault = trustDomainFault(trustDomain);
  if (fault !== undefined) return err(fault);
  if (text.length > MAX_BUNDLE_BYTES) return err(`has more than ${MAX_BUNDLE_BYTES} bytes`);
  let document: Json;
  try {
    document = JSON.parse(text);
  } catch {
    return err("is no JSON");
  }
  if (!isJsonObject(document)) return err("is no object");
  const keys = document["keys"];
  if (!Array.isArray(keys)) return err("keys: is no list");
  if (keys.length > MAX_KEYS) return err(`keys: has more than ${MAX_KEYS}`);
  const sequenceNumber = wholeNumber(document["spiffe_sequence"]);
  if (sequenceNumber === undefined) return err("spiffe_sequence: is no whole number");
  const refreshHintSeconds = wholeNumber(document["spiffe_refresh_hint"]);
  if (refreshHintSeconds === undefined) return err("spiffe_refresh_hint: is no whole number");
  const x509Authorities: Uint8Array[] = [];
  const jwtAuthorities: JsonObject[] = [];
  for (const [index, key] of keys.entries()) {
    // §4.2.1 and §4.2.2: what is of an unknown kind or use is ignored.
    if (!isJsonObject(key) || typeof key["kty"] !== "string") continue;
    if (key["use"] === "jwt-svid") jwtAuthorities.push(key);
    if (key["use"] !== "x509-svid") continue;
    const x5c = key["x5c"];
    // X509-SVID §6.2: one without certificate is ignored, and so is every certificate behind the first.
    if (x5c === undefined || (Array.isArray(x5c) && x5c.length === 0)) continue;
    const authority = Array.isArray(x5c) ? certificateOf(x5c[0]) : undefined;
    if (authority === undefined) return err(`keys[${index}].x5c[0]: is no certificate`);
    x509Authorities.push(authority);
  }
  return ok({
    trustDomain,
    x509Authorities: distinct(x509Authorities),
    jwtAuthorities,
    sequenceNumber,
    refreshHintSeconds,
  });
}

/** Writes the SPIFFE bundle format: as a document, and not a byte differs between two writings of the same bundle. */
export function formatTrustBundle(bundle: TrustBundle): string {
  const { x509Authorities, jwtAuthorities, sequenceNumber, refreshHintSeconds } = bundle;
  const document = {
    keys: [...x509Authorities.map(x509Key), ...jwtAuthorities],
    spiffe_sequence: sequenceNumber,
    ...(refreshHintSeconds === 0 ? {} : { spiffe_refresh_hint: refreshHintSeconds }),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** A bundle of the certificates in a PEM file. The error says what is wrong. */
export function trustBundleFromPem(trustDomain: string, text: string): Result<TrustBundle, string> {
  const fault = trustDomainFault(trustDomain);
  if (fault !== undefined) return err(fault);
  if (text.length > MAX_BUNDLE_BYTES) return err(`has more than ${MAX_BUNDLE_BYTES} bytes`);
  let certificates: readonly Certificate[];
  try {
    certificates = certificatesInPem(text);
  } catch {
    return err("has a certificate that cannot be read");
  }
  if (certificates.length === 0) return err("has no certificate");
  if (certificates.length > MAX_KEYS) return err(`has more than ${MAX_KEYS} certificates`);
  if (certificates.some(({ malformed }) => malformed)) return err("has a certificate that cannot be read");
  const x509Authorities = distinct(certificates.map(({ der }) => der));
  return ok({ trustDomain, x509Authorities, jwtAuthorities: [], sequenceNumber: 0, refreshHintSeconds: 0 });
}

/** The same of certificates in DER, by the same rules. */
export function trustBundleFromDer(
  trustDomain: string,
  certificates: readonly Uint8Array[],
): Result<TrustBundle, string> {
  if (certificates.length > MAX_KEYS) return err(`has more than ${MAX_KEYS} certificates`);
  return trustBundleFromPem(trustDomain, certificates.map((der) => new Certificate(der).pem).join(""));
}

export function trustBundlePem({ x509Authorities }: TrustBundle): string {
  return x509Authorities.map((der) => new Certificate(der).pem).join("");
}

/** What is trusted by whom: a bundle for each trust domain, one's own first. Immutable. */
export class TrustBundles {
  readonly all: readonly TrustBundle[];
  readonly #authorities = new Map<string, readonly Certificate[]>();

  /** Of two of one domain the later counts. */
  constructor(bundles: Iterable<TrustBundle>) {
    this.all = [...new Map(Array.from(bundles, (bundle) => [bundle.trustDomain, bundle])).values()];
    for (const { trustDomain, x509Authorities } of this.all)
      this.#authorities.set(
        trustDomain,
        x509Authorities.map((der) => new Certificate(der)),
      );
  }

  get(trustDomain: string): TrustBundle | undefined {
    return this.all.find((bundle) => bundle.trustDomain === trustDomain);
  }

  /** Those that may vouch for an identity of that domain; none: nobody may. */
  authoritiesOf(trustDomain: string): readonly Certificate[] {
    return this.#authorities.get(trustDomain) ?? [];
  }
}

/** X509-SVID §6.1: exactly one certificate, and no key ID. */
function x509Key(der: Uint8Array): JsonObject {
  const { publicKey } = new X509Certificate(der);
  const parts = publicKey.export({ format: "jwk" }) as JsonObject; // of a public key: strings alone
  return { ...parts, use: "x509-svid", x5c: [Buffer.from(der).toString("base64")] };
}

function certificateOf(base64: Json | undefined): Uint8Array | undefined {
  // Node's reader skips what is no base64: nothing may be skipped in what is trusted.
  if (typeof base64 !== "string" || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  try {
    // Of a certificate with bytes behind it, the certificate alone.
    const der = new X509Certificate(Buffer.from(base64, "base64")).raw;
    return new Certificate(der).malformed ? undefined : der;
  } catch {
    return undefined;
  }
}

function wholeNumber(value: Json | undefined): number | undefined {
  if (value === undefined) return 0;
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 64 ? value : undefined;
}

function distinct(certificates: readonly Uint8Array[]): Uint8Array[] {
  return [...new Map(certificates.map((der) => [Buffer.from(der).toString("base64"), der])).values()];
}
