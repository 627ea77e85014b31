import { createHash, X509Certificate } from "node:crypto";
import {
  createSecureContext,
  DEFAULT_CIPHERS,
  getCACertificates,
  type SecureContext,
  type SecureContextOptions,
} from "node:tls";
import type { PeerRules } from "./peer-rules.ts";

/** What both ends of TLS have in common (`CommonTlsContext`), with everything read. PEM is text. */
export interface TlsSettings {
  readonly certificates: readonly TlsCertificate[];
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** OpenSSL's names, for TLS 1.2 and older. Empty: `TLS12_SUITES`. */
  readonly cipherSuites: readonly string[];
  /** Empty: OpenSSL's. */
  readonly curves: readonly string[];
  readonly signatureAlgorithms: readonly string[];
  readonly alpnProtocols: readonly string[];
  readonly authorities: TrustedAuthorities;
  readonly rules: PeerRules;
  /** All that decides whom we believe, in a canonical form: sessions are resumed only where it is the same. */
  readonly trustKey: string;
}

export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

/** A certificate with those that lead from it to its authority, and its key. */
export interface TlsCertificate {
  readonly chain: string;
  readonly key: string;
  readonly password: string | undefined;
  /** DER of what its authority has said of it (OCSP), for clients that ask. */
  readonly ocspStaple?: Uint8Array;
}

export interface TrustedAuthorities {
  /** PEM of one or more certificates. Undefined: nobody. */
  readonly trusted: string | undefined;
  /** Instead of these: what the system trusts. */
  readonly trustsSystem: boolean;
  /** PEM; undefined: nobody is asked who has been revoked. */
  readonly revoked: string | undefined;
}

/**
 * OpenSSL's context of these settings with some of their certificates, at most one for each type of key. Throws what
 * OpenSSL throws: a key that does not belong to its certificate, PEM that cannot be read, a cipher that is not known.
 */
export function secureContext(
  settings: TlsSettings,
  certificates: readonly TlsCertificate[],
  more: SecureContextOptions = {},
): SecureContext {
  const { minVersion, maxVersion, cipherSuites, curves, signatureAlgorithms, authorities } = settings;
  return createSecureContext({
    minVersion,
    maxVersion,
    cert: certificates.map(({ chain }) => chain),
    key: certificates.map(({ key, password }) => ({
      pem: key,
      ...(password !== undefined && { passphrase: password }),
    })),
    // Nobody is trusted unless it is said. (Left out, Node trusts the authorities of the web.)
    ca: authorities.trustsSystem ? getCACertificates("system") : (authorities.trusted ?? []),
    // As in Envoy an authority that is trusted need not be a root.
    allowPartialTrustChain: true,
    ...(authorities.revoked !== undefined && { crl: authorities.revoked }),
    ciphers: [...(cipherSuites.length > 0 ? cipherSuites : TLS12_SUITES), ...TLS13_SUITES].join(":"),
    ...(curves.length > 0 && { ecdhCurve: curves.join(":") }),
    ...(signatureAlgorithms.length > 0 && { sigalgs: signatureAlgorithms.join(":") }),
    sessionIdContext: hashOf(settings.trustKey).slice(0, 32), // OpenSSL takes at most 32 bytes
    ...more,
  });
}

/** Envoy's defaults (`TlsParameters.cipher_suites`): forward secret and AEAD. Node's have CBC (Lucky 13) and RSA key exchange. */
const TLS12_SUITES = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
];

/** A list of ciphers is only of TLS 1.2's; Node takes one without any of TLS 1.3's for a wish to do without that. */
const TLS13_SUITES = DEFAULT_CIPHERS.split(":").filter((name) => name.startsWith("TLS_"));

export function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The first certificate of a chain. */
export function leafOf({ chain }: TlsCertificate): X509Certificate {
  return new X509Certificate(chain);
}
