import type {
  CommonTlsConfig,
  DownstreamTlsConfig,
  SanMatcherConfig,
  TlsCertificateConfig,
  TlsParamsConfig,
  TlsValidationConfig,
  TlsVersionName,
  UpstreamTlsConfig,
} from "@heddle/traffic";
import { checkCertificate, checkServerOrClient, checkValidation } from "./check-tls.ts";
import { type DataReader, decodeData, encodeData } from "./data-source.ts";
import { duration, type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";
import { decodeStringMatcher, encodeStringMatcher } from "./string-matcher.ts";

export const DOWNSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
export const UPSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/** `DownstreamTlsContext`. With a reader, all that is wrong with certificates and keys is found here. */
export function decodeDownstreamTls(fields: Fields, reader: DataReader | undefined): DownstreamTlsConfig {
  const errorsBefore = fields.findings.errorCount;
  const { common, validation } = decodeCommon(fields, reader);
  if (common.certificates.length === 0 && fields.findings.errorCount === errorsBefore) {
    fields.fail("common_tls_context", "holds no certificate; a server needs one in tls_certificates");
  }
  const staple = fields.enumName("ocsp_staple_policy");
  if (staple !== "LENIENT_STAPLING") {
    fields.fail(
      "ocsp_staple_policy",
      `found ${staple}; OCSP responses are not stapled, so allowed is LENIENT_STAPLING`,
    );
  }
  const timeoutMs = fields.durationMs("session_timeout", undefined);
  fields.flag("disable_stateful_session_resumption"); // there is no such store
  const required = fields.wrappedFlag("require_client_certificate", false);
  if (required && validation === undefined) {
    fields.report("require_client_certificate", "any certificate will do, since no validation_context says which");
  }
  const config: DownstreamTlsConfig = {
    common,
    requireClientCertificate: required,
    requireSni: fields.wrappedFlag("require_sni", false),
    disableStatelessSessionResumption: fields.flag("disable_stateless_session_resumption"),
    sessionTimeoutSeconds: timeoutMs === undefined ? undefined : Math.floor(timeoutMs / 1000),
    fullScanCertsOnSniMismatch: fields.wrappedFlag("full_scan_certs_on_sni_mismatch", false),
    preferClientCiphers: fields.flag("prefer_client_ciphers"),
  };
  if (reader !== undefined && fields.findings.errorCount === errorsBefore) {
    checkServerOrClient({ type: "server", config }, fields);
  }
  return config;
}

/** `UpstreamTlsContext` */
export function decodeUpstreamTls(fields: Fields, reader: DataReader | undefined): UpstreamTlsConfig {
  const errorsBefore = fields.findings.errorCount;
  const { common, validation } = decodeCommon(fields, reader);
  if (common.certificates.length > 1) {
    fields.fail("common_tls_context.tls_certificates", "found more than 1, of which a client shows only one");
  }
  const config: UpstreamTlsConfig = {
    common,
    sni: fields.text("sni"),
    autoHostSni: fields.flag("auto_host_sni"),
    autoSniSanValidation: fields.flag("auto_sni_san_validation"),
    maxSessionKeys: fields.wrappedNumber("max_session_keys", 1),
  };
  if (config.autoSniSanValidation && !hasAuthorities(common.validation)) {
    fields.fail("auto_sni_san_validation", "needs a trusted_ca: a name that nobody has attested says nothing");
  }
  if (validation === undefined) {
    fields.report("common_tls_context", "has no validation_context, so whoever answers is believed to be the upstream");
  }
  if (reader !== undefined && fields.findings.errorCount === errorsBefore) {
    checkServerOrClient({ type: "client", config }, fields);
  }
  return config;
}

function decodeCommon(
  context: Fields,
  reader: DataReader | undefined,
): { readonly common: CommonTlsConfig; readonly validation: Fields | undefined } {
  const fields = context.message("common_tls_context");
  const validation = fields?.message("validation_context");
  return {
    validation,
    common: {
      params: decodeParams(fields?.message("tls_params")),
      certificates: fields?.messages("tls_certificates").flatMap((one) => decodeCertificate(one, reader)) ?? [],
      validation: validation && decodeValidation(validation, reader),
      alpnProtocols: fields === undefined ? [] : decodeAlpn(fields),
    },
  };
}

/** RFC 7301 §3.1: a name has 1 to 255 bytes. */
function decodeAlpn(fields: Fields): readonly string[] {
  const names = fields.texts("alpn_protocols");
  for (const [index, name] of names.entries()) {
    const bytes = Buffer.byteLength(name);
    if (bytes === 0 || bytes > 255) fields.fail(`alpn_protocols[${index}]`, `has ${bytes} bytes, allowed are 1 to 255`);
  }
  return names;
}

function decodeParams(fields: Fields | undefined): TlsParamsConfig {
  const version = (name: string): TlsVersionName => (fields?.enumName(name) ?? "TLS_AUTO") as TlsVersionName;
  const minimumVersion = version("tls_minimum_protocol_version");
  const maximumVersion = version("tls_maximum_protocol_version");
  const least = minimumVersion === "TLS_AUTO" ? "TLSv1_2" : minimumVersion;
  if (maximumVersion !== "TLS_AUTO" && VERSIONS.indexOf(least) > VERSIONS.indexOf(maximumVersion)) {
    fields?.fail("tls_maximum_protocol_version", `found ${maximumVersion}, allowed is ${least} or later`);
  }
  return {
    minimumVersion,
    maximumVersion,
    // "[A|B]": as good as each other, which OpenSSL has no word for.
    cipherSuites: (fields?.texts("cipher_suites") ?? []).flatMap((text) => text.replaceAll(/[[\]]/g, "").split(/[|:]/)),
    ecdhCurves: fields?.texts("ecdh_curves") ?? [],
    signatureAlgorithms: fields?.texts("signature_algorithms") ?? [],
  };
}

const VERSIONS: readonly TlsVersionName[] = ["TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"];

function decodeCertificate(fields: Fields, reader: DataReader | undefined): readonly TlsCertificateConfig[] {
  const chain = fields.message("certificate_chain");
  const key = fields.message("private_key");
  const password = fields.message("password");
  if (chain === undefined) fields.fail("certificate_chain", "must be set");
  if (key === undefined) fields.fail("private_key", "must be set");
  const certificateChain = chain && decodeData(chain, reader);
  const privateKey = key && decodeData(key, reader);
  if (certificateChain === undefined || privateKey === undefined) return [];
  const config = { certificateChain, privateKey, password: password && decodeData(password, reader) };
  checkCertificate(config, fields);
  return [config];
}

/** `CertificateValidationContext` */
function decodeValidation(fields: Fields, reader: DataReader | undefined): TlsValidationConfig {
  const data = (name: string): TlsValidationConfig["trustedCa"] => {
    const source = fields.message(name);
    return source && decodeData(source, reader);
  };
  const config: TlsValidationConfig = {
    trustedCa: data("trusted_ca"),
    systemRoots: fields.message("system_root_certs") !== undefined,
    crl: data("crl"),
    sanMatchers: [
      ...fields.messages("match_typed_subject_alt_names").map(decodeSanMatcher),
      // The older form, which asks for no kind of name: any will do.
      ...fields.messages("match_subject_alt_names").flatMap((matcher) => {
        const decoded = decodeStringMatcher(matcher);
        return ANY_KIND.map((type) => ({ type, matcher: decoded, oid: "" }));
      }),
    ],
    spkiHashes: fields.texts("verify_certificate_spki"),
    certificateHashes: fields.texts("verify_certificate_hash").map((hash) => hash.replaceAll(":", "").toLowerCase()),
    trustChainVerification: fields.enumName(
      "trust_chain_verification",
    ) as TlsValidationConfig["trustChainVerification"],
  };
  if (!hasAuthorities(config)) {
    // As in Envoy: whoever makes up a certificate makes up its names.
    if (config.sanMatchers.length > 0) fields.fail("match_typed_subject_alt_names", "needs a trusted_ca");
    if (config.crl !== undefined) fields.fail("crl", "needs a trusted_ca");
  }
  checkValidation(config, fields);
  return config;
}

function hasAuthorities(config: TlsValidationConfig | undefined): boolean {
  return config !== undefined && (config.trustedCa !== undefined || config.systemRoots);
}

const ANY_KIND = ["DNS", "URI", "EMAIL", "IP_ADDRESS"] as const;

function decodeSanMatcher(fields: Fields): SanMatcherConfig {
  const matcher = fields.message("matcher");
  const type = fields.enumName("san_type") as SanMatcherConfig["type"];
  const oid = fields.text("oid");
  if (type === "OTHER_NAME" && oid === "") fields.fail("oid", "must be set for OTHER_NAME");
  return {
    type,
    oid,
    matcher: matcher ? decodeStringMatcher(matcher) : { type: "exact", value: "", ignoreCase: false },
  };
}

export function encodeDownstreamTls(config: DownstreamTlsConfig): LooseJsonObject {
  const { sessionTimeoutSeconds } = config;
  return {
    "@type": `type.googleapis.com/${DOWNSTREAM_TLS}`,
    common_tls_context: encodeCommon(config.common),
    require_client_certificate: unless(false, config.requireClientCertificate),
    require_sni: unless(false, config.requireSni),
    disable_stateless_session_resumption: unless(false, config.disableStatelessSessionResumption),
    session_timeout: sessionTimeoutSeconds === undefined ? undefined : duration(sessionTimeoutSeconds * 1000),
    full_scan_certs_on_sni_mismatch: unless(false, config.fullScanCertsOnSniMismatch),
    prefer_client_ciphers: unless(false, config.preferClientCiphers),
  };
}

export function encodeUpstreamTls(config: UpstreamTlsConfig): LooseJsonObject {
  return {
    "@type": `type.googleapis.com/${UPSTREAM_TLS}`,
    common_tls_context: encodeCommon(config.common),
    sni: unless("", config.sni),
    auto_host_sni: unless(false, config.autoHostSni),
    auto_sni_san_validation: unless(false, config.autoSniSanValidation),
    max_session_keys: unless(1, config.maxSessionKeys),
  };
}

function encodeCommon({ params, certificates, validation, alpnProtocols }: CommonTlsConfig): LooseJsonObject {
  return {
    tls_params: {
      tls_minimum_protocol_version: unless("TLS_AUTO", params.minimumVersion),
      tls_maximum_protocol_version: unless("TLS_AUTO", params.maximumVersion),
      cipher_suites: list(params.cipherSuites),
      ecdh_curves: list(params.ecdhCurves),
      signature_algorithms: list(params.signatureAlgorithms),
    },
    tls_certificates: list(
      certificates.map(({ certificateChain, privateKey, password }) => ({
        certificate_chain: encodeData(certificateChain),
        private_key: encodeData(privateKey),
        password: encodeData(password),
      })),
    ),
    validation_context: validation && encodeValidation(validation),
    alpn_protocols: list(alpnProtocols),
  };
}

function encodeValidation(config: TlsValidationConfig): LooseJsonObject {
  return {
    trusted_ca: encodeData(config.trustedCa),
    system_root_certs: config.systemRoots ? {} : undefined,
    crl: encodeData(config.crl),
    match_typed_subject_alt_names: list(
      config.sanMatchers.map(({ type, matcher, oid }) => ({
        san_type: type,
        matcher: encodeStringMatcher(matcher),
        oid: unless("", oid),
      })),
    ),
    verify_certificate_spki: list(config.spkiHashes),
    verify_certificate_hash: list(config.certificateHashes),
    trust_chain_verification: unless("VERIFY_TRUST_CHAIN", config.trustChainVerification),
  };
}
