import type { StringMatcherConfig } from "../match/string-matcher.ts";

/*
 * The TLS transport sockets of Envoy (`envoy.extensions.transport_sockets.tls.v3`), decoded. Plain JSON data: it crosses to the
 * workers, private keys included, and is shown to nobody as it is.
 */

/** `envoy.config.core.v3.DataSource`. */
export interface DataConfig {
  readonly source: "inline_string" | "inline_bytes" | "filename" | "environment_variable";
  /** The path of the file or the name of the variable; "" for what is given inline. */
  readonly name: string;
  /** One character a byte. Undefined: it lies elsewhere, and whoever has read this configuration does not look there. */
  readonly content: string | undefined;
}

/** `CommonTlsContext` */
export interface CommonTlsConfig {
  readonly params: TlsParamsConfig;
  readonly certificates: readonly TlsCertificateConfig[];
  /** Undefined: nobody is asked who they are. */
  readonly validation: TlsValidationConfig | undefined;
  readonly alpnProtocols: readonly string[];
}

/** `TlsParameters`. Empty lists: the library's own. */
export interface TlsParamsConfig {
  readonly minimumVersion: TlsVersionName;
  readonly maximumVersion: TlsVersionName;
  /** One name each, without brackets. */
  readonly cipherSuites: readonly string[];
  readonly ecdhCurves: readonly string[];
  readonly signatureAlgorithms: readonly string[];
}

/** "TLS_AUTO": 1.2 as a minimum, 1.3 as a maximum. */
export type TlsVersionName = "TLS_AUTO" | "TLSv1_0" | "TLSv1_1" | "TLSv1_2" | "TLSv1_3";

/** `TlsCertificate` */
export interface TlsCertificateConfig {
  readonly certificateChain: DataConfig;
  readonly privateKey: DataConfig;
  readonly password: DataConfig | undefined;
}

/** `CertificateValidationContext` */
export interface TlsValidationConfig {
  readonly trustedCa: DataConfig | undefined;
  /** The authorities that the system trusts (`system_root_certs`). */
  readonly systemRoots: boolean;
  readonly crl: DataConfig | undefined;
  readonly sanMatchers: readonly SanMatcherConfig[];
  /** SHA-256 of the key, base64. */
  readonly spkiHashes: readonly string[];
  /** SHA-256 of the certificate, lower-case hexadecimal without colons. */
  readonly certificateHashes: readonly string[];
  readonly trustChainVerification: "VERIFY_TRUST_CHAIN" | "ACCEPT_UNTRUSTED";
}

/** `SubjectAltNameMatcher` */
export interface SanMatcherConfig {
  readonly type: "EMAIL" | "DNS" | "URI" | "IP_ADDRESS" | "OTHER_NAME";
  readonly matcher: StringMatcherConfig;
  /** Of an OTHER_NAME, else "". */
  readonly oid: string;
}

/** `DownstreamTlsContext` */
export interface DownstreamTlsConfig {
  readonly common: CommonTlsConfig;
  readonly requireClientCertificate: boolean;
  readonly requireSni: boolean;
  readonly disableStatelessSessionResumption: boolean;
  /** Undefined: the library's. */
  readonly sessionTimeoutSeconds: number | undefined;
  readonly fullScanCertsOnSniMismatch: boolean;
  readonly preferClientCiphers: boolean;
}

/** `UpstreamTlsContext` */
export interface UpstreamTlsConfig {
  readonly common: CommonTlsConfig;
  readonly sni: string;
  /** The name of the endpoint, where it has one, counts more than `sni`. */
  readonly autoHostSni: boolean;
  /** The certificate has to stand for the name that was asked for. */
  readonly autoSniSanValidation: boolean;
  readonly maxSessionKeys: number; // 1
}
