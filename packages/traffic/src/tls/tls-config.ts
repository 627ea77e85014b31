import type { StringMatcherConfig } from "../match/string-matcher.ts";
import type { ConfigSource } from "../source/config-source.ts";

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

/** `CommonTlsContext`. `withSecrets` puts what its secrets hold into it. */
export interface CommonTlsConfig {
  readonly params: TlsParamsConfig;
  readonly certificates: readonly TlsCertificateConfig[];
  /** Where the certificates are found instead. Left out: they stand here. */
  readonly certificateSecrets?: readonly SecretReference[];
  /** Undefined, and no `validationSecret`: nobody is asked who they are. */
  readonly validation: TlsValidationConfig | undefined;
  /** Holds what else decides who is let in; `validation` is what it is added to (`combined_validation_context`). */
  readonly validationSecret?: SecretReference;
  readonly alpnProtocols: readonly string[];
}

/** `SdsSecretConfig`: a secret by its name. */
export interface SecretReference {
  /** static: one of the bootstrap's. sds: it comes from elsewhere, and may change at any time. */
  readonly from: "static" | "sds";
  readonly name: string;
  /** Of sds. Left out: the aggregated stream. */
  readonly source?: ConfigSource;
}

/** `Secret`. Like the contexts above it is shown to nobody as it is. */
export type SecretConfig =
  | { readonly type: "certificate"; readonly name: string; readonly certificate: TlsCertificateConfig }
  | { readonly type: "validation"; readonly name: string; readonly validation: TlsValidationConfig }
  | { readonly type: "ticket-keys"; readonly name: string; readonly keys: readonly DataConfig[] }
  /** For filters; nothing here reads it. */
  | { readonly type: "generic"; readonly name: string; readonly secret: DataConfig | undefined };

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
  /** DER of an OCSP response. */
  readonly ocspStaple?: DataConfig;
  /** Of a secret by SDS: where a change of its files shows. Left out: in the folders of the files themselves. */
  readonly watchedDirectory?: string;
}

/** `CertificateValidationContext` */
export interface TlsValidationConfig {
  readonly trustedCa: DataConfig | undefined;
  /** The authorities that the system trusts (`system_root_certs`). */
  readonly systemRoots: boolean;
  readonly crl: DataConfig | undefined;
  /** Lists of revoked certificates are about the peer's own alone. Left out: about each of its chain. */
  readonly onlyLeafCrl?: boolean;
  readonly sanMatchers: readonly SanMatcherConfig[];
  /** SHA-256 of the key, base64. */
  readonly spkiHashes: readonly string[];
  /** SHA-256 of the certificate, lower-case hexadecimal without colons. */
  readonly certificateHashes: readonly string[];
  readonly trustChainVerification: "VERIFY_TRUST_CHAIN" | "ACCEPT_UNTRUSTED";
  /** How many certificates above the peer's there may be, its authority included. Left out: any number. */
  readonly maxVerifyDepth?: number;
  /** Certificates have to be SVIDs; nothing else is asked who attests them (`custom_validator_config`). */
  readonly spiffe?: SpiffeValidatorConfig;
  /** As that of a certificate. */
  readonly watchedDirectory?: string;
}

/** `SPIFFECertValidatorConfig`: the authorities of each trust domain, which speak for that one alone. */
export interface SpiffeValidatorConfig {
  readonly trustDomains: readonly { readonly name: string; readonly bundle: DataConfig }[];
  /** `trust_bundles`: all of them in one, as JSON ({"trust_domains": {"example.org": {"keys": […]}}}); it counts instead. */
  readonly bundleMap?: DataConfig;
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
  /** Left out: LENIENT_STAPLING. */
  readonly ocspStaplePolicy?: "STRICT_STAPLING" | "MUST_STAPLE";
  /** What session tickets are encrypted with. Left out: each worker makes its own keys. */
  readonly ticketKeys?: readonly DataConfig[] | SecretReference;
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
  /** Left out: false. */
  readonly enforceRsaKeyUsage?: boolean;
}
