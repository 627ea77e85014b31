import type { StaplePolicy } from "@heddle/net";
import {
  asksNoUri,
  type CommonTlsConfig,
  type DataConfig,
  type DownstreamTlsConfig,
  hasAuthorities,
  type SanMatcherConfig,
  secretsOf,
  type TlsCertificateConfig,
  type TlsParamsConfig,
  type TlsValidationConfig,
  type TlsVersionName,
  type UpstreamTlsConfig,
} from "@heddle/traffic";
import { checkCertificate, checkServerOrClient, checkStaplePolicy, checkValidation } from "./check-tls.ts";
import { type DataReader, decodeData, encodeData } from "./data-source.ts";
import { duration, type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";
import { decodeSecretReference, encodeSecretReference } from "./secret-reference.ts";
import { decodeCustomValidator, encodeCustomValidator } from "./spiffe-validator.ts";
import { decodeStringMatcher, encodeStringMatcher } from "./string-matcher.ts";

export const DOWNSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
export const UPSTREAM_TLS = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/** `DownstreamTlsContext`. With a reader, all that is wrong with certificates and keys is found here. */
export function decodeDownstreamTls(fields: Fields, reader: DataReader | undefined): DownstreamTlsConfig {
  const errorsBefore = fields.findings.errorCount;
  const common = decodeCommon(fields, reader);
  const hasNone = common.certificates.length === 0 && common.certificateSecrets === undefined;
  if (hasNone && fields.findings.errorCount === errorsBefore) {
    fields.fail(
      "common_tls_context",
      "holds no certificate; a server needs one in tls_certificates or tls_certificate_sds_secret_configs",
    );
  }
  const policy = fields.enumName("ocsp_staple_policy") as StaplePolicy;
  const timeoutMs = fields.durationMs("session_timeout", undefined);
  fields.flag("disable_stateful_session_resumption"); // there is no such store
  const required = fields.wrappedFlag("require_client_certificate", false);
  if (required && !asksWho(common)) {
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
    ...(policy !== "LENIENT_STAPLING" && { ocspStaplePolicy: policy }),
    ...decodeTicketKeySource(fields, reader),
  };
  for (const [index, certificate] of common.certificates.entries()) {
    checkStaplePolicy(certificate, policy, fields, `common_tls_context.tls_certificates[${index}]`);
  }
  if (reader !== undefined && isWhole(config) && fields.findings.errorCount === errorsBefore) {
    checkServerOrClient({ type: "server", config }, fields);
  }
  return config;
}

/** `UpstreamTlsContext` */
export function decodeUpstreamTls(fields: Fields, reader: DataReader | undefined): UpstreamTlsConfig {
  const errorsBefore = fields.findings.errorCount;
  const common = decodeCommon(fields, reader);
  for (const [name, { length }] of [
    ["tls_certificates", common.certificates],
    ["tls_certificate_sds_secret_configs", common.certificateSecrets ?? []],
  ] as const) {
    if (length > 1) fields.fail(`common_tls_context.${name}`, "found more than 1, of which a client shows only one");
  }
  const config: UpstreamTlsConfig = {
    common,
    sni: fields.text("sni"),
    autoHostSni: fields.flag("auto_host_sni"),
    autoSniSanValidation: fields.flag("auto_sni_san_validation"),
    maxSessionKeys: fields.wrappedNumber("max_session_keys", 1),
    ...(fields.wrappedFlag("enforce_rsa_key_usage", false) && { enforceRsaKeyUsage: true }),
  };
  // What a secret holds is looked at when it has come.
  const mayHaveAuthorities = hasAuthorities(common.validation) || common.validationSecret !== undefined;
  if (config.autoSniSanValidation && !mayHaveAuthorities) {
    fields.fail("auto_sni_san_validation", "needs a trusted_ca: a name that nobody has attested says nothing");
  }
  if (!asksWho(common)) {
    fields.report("common_tls_context", "has no validation_context, so whoever answers is believed to be the upstream");
  }
  if (reader !== undefined && isWhole(config) && fields.findings.errorCount === errorsBefore) {
    checkServerOrClient({ type: "client", config }, fields);
  }
  return config;
}

/** Whether everything stands in the context itself. */
function isWhole(config: DownstreamTlsConfig | UpstreamTlsConfig): boolean {
  return secretsOf(config).length === 0;
}

function asksWho({ validation, validationSecret }: CommonTlsConfig): boolean {
  return validation !== undefined || validationSecret !== undefined;
}

function decodeCommon(context: Fields, reader: DataReader | undefined): CommonTlsConfig {
  const fields = context.message("common_tls_context");
  const certificates = fields?.messages("tls_certificates") ?? [];
  const secrets = fields?.messages("tls_certificate_sds_secret_configs") ?? [];
  if (certificates.length > 0 && secrets.length > 0) {
    fields?.fail("tls_certificate_sds_secret_configs", "found beside tls_certificates, of which only one is allowed");
  }
  const references = secrets.map((one) => decodeSecretReference(one, "certificate", reader));
  return {
    params: decodeParams(fields?.message("tls_params")),
    certificates: certificates.flatMap((one) => {
      if (one.has("watched_directory")) one.report("watched_directory", READ_ONCE);
      return decodeCertificate(one, reader);
    }),
    ...(references.length > 0 && { certificateSecrets: references }),
    ...decodeWho(fields, reader),
    alpnProtocols: fields === undefined ? [] : decodeAlpn(fields),
  };
}

/** As in Envoy only what comes by SDS is read again when its files change. */
const READ_ONCE = "a file is read once, with the configuration; one that a secret by SDS names is watched";

/** The three shapes of `validation_context_type`. */
function decodeWho(
  fields: Fields | undefined,
  reader: DataReader | undefined,
): Pick<CommonTlsConfig, "validation" | "validationSecret"> {
  const combined = fields?.message("combined_validation_context");
  const own = fields?.message("validation_context");
  const standard = combined?.message("default_validation_context");
  const secret = (combined ?? fields)?.message("validation_context_sds_secret_config");
  const reference = secret && decodeSecretReference(secret, "validation", reader);
  for (const one of [own, standard]) {
    if (one?.has("watched_directory") === true) one.report("watched_directory", READ_ONCE);
  }
  return {
    // Who attests the names of the default may stand in the secret.
    validation: (own && decodeValidation(own, reader)) ?? (standard && decodeValidation(standard, reader, "a default")),
    ...(reference && { validationSecret: reference }),
  };
}

/** `session_ticket_keys_type` */
function decodeTicketKeySource(
  fields: Fields,
  reader: DataReader | undefined,
): Pick<DownstreamTlsConfig, "ticketKeys"> {
  const keys = fields.message("session_ticket_keys");
  if (keys !== undefined) return { ticketKeys: decodeTicketKeys(keys, reader) };
  const secret = fields.message("session_ticket_keys_sds_secret_config");
  return secret === undefined ? {} : { ticketKeys: decodeSecretReference(secret, "ticket-keys", reader) };
}

/** `TlsSessionTicketKeys`. As Envoy we take keys of 80 bytes alone. */
export function decodeTicketKeys(fields: Fields, reader: DataReader | undefined): readonly DataConfig[] {
  const sources = fields.messages("keys");
  if (sources.length > 1) fields.report("keys", "only the first is used; sessions under another one are not resumed");
  return sources.flatMap((source) => {
    const key = decodeData(source, reader);
    if (key === undefined) return [];
    const { content } = key;
    if (content !== undefined && content.length !== 80) {
      source.fail("", `has ${content.length} bytes, allowed are 80`);
    }
    return [key];
  });
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

/** `TlsCertificate` */
export function decodeCertificate(fields: Fields, reader: DataReader | undefined): readonly TlsCertificateConfig[] {
  const chain = fields.message("certificate_chain");
  const key = fields.message("private_key");
  const password = fields.message("password");
  if (chain === undefined) fields.fail("certificate_chain", "must be set");
  if (key === undefined) fields.fail("private_key", "must be set");
  const certificateChain = chain && decodeData(chain, reader);
  const privateKey = key && decodeData(key, reader);
  if (certificateChain === undefined || privateKey === undefined) return [];
  const response = fields.message("ocsp_staple");
  const ocspStaple = response && decodeData(response, reader);
  const config = {
    certificateChain,
    privateKey,
    password: password && decodeData(password, reader),
    ...(ocspStaple && { ocspStaple }),
    ...decodeWatched(fields),
  };
  checkCertificate(config, fields);
  return [config];
}

/** `watched_directory` */
function decodeWatched(fields: Fields): { readonly watchedDirectory?: string } {
  const watched = fields.message("watched_directory")?.text("path") ?? "";
  return watched === "" ? {} : { watchedDirectory: watched };
}

/** `CertificateValidationContext`. A default and a secret need not say who attests names: the other of the two may. */
export function decodeValidation(
  fields: Fields,
  reader: DataReader | undefined,
  extent: "the whole" | "a default" | "a secret" = "the whole",
): TlsValidationConfig {
  const data = (name: string): TlsValidationConfig["trustedCa"] => {
    const source = fields.message(name);
    return source && decodeData(source, reader);
  };
  const maxVerifyDepth = fields.wrappedNumber("max_verify_depth", undefined);
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
    ...(fields.flag("only_verify_leaf_cert_crl") && { onlyLeafCrl: true }),
    ...(maxVerifyDepth !== undefined && { maxVerifyDepth }),
    ...decodeCustomValidator(fields, reader),
    ...decodeWatched(fields),
  };
  if (extent !== "a default" && verifiesNothing(config)) {
    fields.findings.report(
      fields.path,
      "says nothing by which anybody could be verified, so whoever comes is believed",
    );
  }
  if (extent === "the whole" && !hasAuthorities(config)) {
    // As in Envoy: whoever makes up a certificate makes up its names.
    if (config.sanMatchers.length > 0) fields.fail("match_typed_subject_alt_names", "needs a trusted_ca");
    if (config.crl !== undefined) fields.fail("crl", "needs a trusted_ca");
  }
  if (extent === "the whole" && asksNoUri(config)) {
    fields.fail("match_typed_subject_alt_names", "has no san_type URI, and of an SVID the URI alone is matched");
  }
  checkValidation(config, fields);
  return config;
}

function verifiesNothing(config: TlsValidationConfig): boolean {
  const { sanMatchers, spkiHashes, certificateHashes, trustChainVerification } = config;
  if (hasAuthorities(config) || trustChainVerification !== "VERIFY_TRUST_CHAIN") return false;
  return sanMatchers.length + spkiHashes.length + certificateHashes.length === 0;
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
    ocsp_staple_policy: config.ocspStaplePolicy,
    ...encodeTicketKeySource(config.ticketKeys),
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
    enforce_rsa_key_usage: config.enforceRsaKeyUsage,
  };
}

function encodeTicketKeySource(keys: DownstreamTlsConfig["ticketKeys"]): LooseJsonObject {
  if (keys === undefined) return {};
  if ("from" in keys) return { session_ticket_keys_sds_secret_config: encodeSecretReference(keys) };
  return { session_ticket_keys: encodeTicketKeys(keys) };
}

export function encodeTicketKeys(keys: readonly DataConfig[]): LooseJsonObject {
  return { keys: keys.map(encodeData) };
}

function encodeCommon(common: CommonTlsConfig): LooseJsonObject {
  const { params, certificates, certificateSecrets = [], alpnProtocols } = common;
  return {
    tls_params: {
      tls_minimum_protocol_version: unless("TLS_AUTO", params.minimumVersion),
      tls_maximum_protocol_version: unless("TLS_AUTO", params.maximumVersion),
      cipher_suites: list(params.cipherSuites),
      ecdh_curves: list(params.ecdhCurves),
      signature_algorithms: list(params.signatureAlgorithms),
    },
    tls_certificates: list(certificates.map(encodeCertificate)),
    tls_certificate_sds_secret_configs: list(certificateSecrets.map(encodeSecretReference)),
    ...encodeWho(common),
    alpn_protocols: list(alpnProtocols),
  };
}

function encodeWho({ validation, validationSecret }: CommonTlsConfig): LooseJsonObject {
  if (validationSecret === undefined) return { validation_context: validation && encodeValidation(validation) };
  const validation_context_sds_secret_config = encodeSecretReference(validationSecret);
  if (validation === undefined) return { validation_context_sds_secret_config };
  return {
    combined_validation_context: {
      default_validation_context: encodeValidation(validation),
      validation_context_sds_secret_config,
    },
  };
}

export function encodeCertificate(certificate: TlsCertificateConfig): LooseJsonObject {
  const { certificateChain, privateKey, password, ocspStaple, watchedDirectory } = certificate;
  return {
    certificate_chain: encodeData(certificateChain),
    private_key: encodeData(privateKey),
    password: encodeData(password),
    ocsp_staple: encodeData(ocspStaple),
    watched_directory: watchedDirectory === undefined ? undefined : { path: watchedDirectory },
  };
}

export function encodeValidation(config: TlsValidationConfig): LooseJsonObject {
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
    only_verify_leaf_cert_crl: config.onlyLeafCrl,
    max_verify_depth: config.maxVerifyDepth,
    custom_validator_config: encodeCustomValidator(config.spiffe),
    watched_directory: config.watchedDirectory === undefined ? undefined : { path: config.watchedDirectory },
  };
}
