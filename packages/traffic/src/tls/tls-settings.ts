import { hkdfSync } from "node:crypto";
import { getCACertificates } from "node:tls";
import { type TrustBundles, trustBundlePem } from "@heddle/identity";
import {
  type DepthLimit,
  depthLimit,
  LeafRevocation,
  type NameRule,
  type PeerRules,
  type TlsClientSettings,
  type TlsServerSettings,
  type TlsSettings,
  type TlsVersion,
} from "@heddle/net";
import { compileStringMatcher } from "../match/string-matcher.ts";
import { spiffeTrust } from "./spiffe-trust.ts";
import type {
  CommonTlsConfig,
  DataConfig,
  DownstreamTlsConfig,
  SanMatcherConfig,
  SpiffeValidatorConfig,
  TlsValidationConfig,
  TlsVersionName,
  UpstreamTlsConfig,
} from "./tls-config.ts";
import { hasAuthorities } from "./tls-secrets.ts";

/*
 * From configurations to what sockets are made with. Throws where a configuration only names what it was to hold: whoever
 * serves it has to have read it, and to have put its secrets into it (`withSecrets`).
 */

export function serverTlsSettings(config: DownstreamTlsConfig): TlsServerSettings {
  const { common, ticketKeys } = config;
  const settings = commonSettings(common);
  const { rules } = settings;
  // As in Envoy, names and hashes ask for a certificate by themselves.
  const asksForOne = rules.names.length + rules.certificateHashes.length + rules.keyHashes.length > 0;
  const requireClientCertificate = config.requireClientCertificate || (asksForOne && !rules.acceptsUntrusted);
  return {
    ...settings,
    trustKey: JSON.stringify([settings.trustKey, requireClientCertificate, config.requireSni]),
    requireClientCertificate,
    requireServerName: config.requireSni,
    asksClient: requireClientCertificate || asksForOne || rules.checksChain,
    issuesTickets: !config.disableStatelessSessionResumption,
    sessionTimeoutSeconds: config.sessionTimeoutSeconds,
    fullScanOnMismatch: config.fullScanCertsOnSniMismatch,
    preferClientCiphers: config.preferClientCiphers,
    ...(config.ocspStaplePolicy && { staplePolicy: config.ocspStaplePolicy }),
    ...(ticketKeys !== undefined && { ticketKeys: firstTicketKey(ticketKeys) }),
  };
}

export function clientTlsSettings(config: UpstreamTlsConfig): TlsClientSettings {
  const settings = commonSettings(config.common);
  const { enforceRsaKeyUsage } = config;
  return {
    ...settings,
    ...(enforceRsaKeyUsage === true && { rules: { ...settings.rules, enforcesRsaKeyUsage: true } }),
    maxSessionKeys: config.maxSessionKeys,
  };
}

/**
 * Envoy's keys have 80 bytes, OpenSSL's as Node has them 48, and only one: those of ours that have the same first key
 * resume each other's sessions, and no Envoy's.
 */
function firstTicketKey(keys: NonNullable<DownstreamTlsConfig["ticketKeys"]>): Uint8Array {
  const [first] = "from" in keys ? [] : keys;
  if (first === undefined) throw new TypeError("the keys of session tickets are still to come");
  const derived = hkdfSync("sha256", Buffer.from(contentOf(first), "latin1"), "", "heddle session tickets", 48);
  return new Uint8Array(derived);
}

function commonSettings({
  params,
  certificates,
  certificateSecrets = [],
  validation,
  validationSecret,
  alpnProtocols,
}: CommonTlsConfig): TlsSettings {
  // Without what they hold everybody would be let in.
  if (certificateSecrets.length > 0 || validationSecret !== undefined) throw new TypeError("secrets are still to come");
  const trust = validation?.spiffe && trustOf(validation.spiffe);
  return {
    certificates: certificates.map(({ certificateChain, privateKey, password, ocspStaple }) => ({
      chain: contentOf(certificateChain),
      key: contentOf(privateKey),
      // As in Envoy a file's last line break is no part of the password.
      password: password && contentOf(password).replace(/\r?\n$/, ""),
      ...(ocspStaple && { ocspStaple: Buffer.from(contentOf(ocspStaple), "latin1") }),
    })),
    minVersion: VERSION[params.minimumVersion] ?? "TLSv1.2",
    maxVersion: VERSION[params.maximumVersion] ?? "TLSv1.3",
    cipherSuites: params.cipherSuites,
    curves: params.ecdhCurves,
    signatureAlgorithms: params.signatureAlgorithms,
    alpnProtocols,
    authorities: {
      trusted: trust === undefined ? validation?.trustedCa && contentOf(validation.trustedCa) : pemOf(trust),
      trustsSystem: trust === undefined && validation?.systemRoots === true,
      revoked: validation?.onlyLeafCrl === true ? undefined : revokedIn(validation, trust),
    },
    rules: peerRules(validation, trust),
    trustKey: JSON.stringify(validation ?? null),
  };
}

function contentOf({ name, content }: DataConfig): string {
  if (content === undefined) throw new TypeError(`"${name}" has not been read`);
  return content;
}

const VERSION: Readonly<Record<TlsVersionName, TlsVersion | undefined>> = {
  TLS_AUTO: undefined,
  TLSv1_0: "TLSv1",
  TLSv1_1: "TLSv1.1",
  TLSv1_2: "TLSv1.2",
  TLSv1_3: "TLSv1.3",
};

/** A validator of trust domains alone says whom we believe; beside it `trusted_ca` says nothing, as in Envoy. */
function trustOf(spiffe: SpiffeValidatorConfig): TrustBundles {
  const { trustDomains, bundleMap } = spiffe;
  for (const { bundle } of trustDomains) contentOf(bundle); // throws where it has not been read
  if (bundleMap !== undefined) contentOf(bundleMap);
  const trust = spiffeTrust(spiffe);
  if (trust.ok) return trust.value;
  throw new TypeError(trust.error.map(({ where, message }) => `${where}: ${message}`).join("; "));
}

/** As in Envoy, lists may stand beside the authorities as well (`trusted_ca`). */
function revokedIn(validation: TlsValidationConfig | undefined, trust: TrustBundles | undefined): string | undefined {
  if (validation === undefined) return undefined;
  const { crl, trustedCa } = validation;
  const beside = trust === undefined && trustedCa !== undefined ? (contentOf(trustedCa).match(REVOCATIONS) ?? []) : [];
  const all = [...(crl === undefined ? [] : [contentOf(crl)]), ...beside];
  return all.length === 0 ? undefined : all.join("\n");
}

const REVOCATIONS = /-----BEGIN X509 CRL-----[\s\S]*?-----END X509 CRL-----/g;

function depthOf(validation: TlsValidationConfig, trust: TrustBundles | undefined): DepthLimit | undefined {
  const { maxVerifyDepth } = validation;
  return maxVerifyDepth === undefined ? undefined : depthLimit(maxVerifyDepth, authoritiesOf(validation, trust));
}

function authoritiesOf(
  { trustedCa, systemRoots }: TlsValidationConfig,
  trust: TrustBundles | undefined,
): readonly string[] {
  if (trust !== undefined) return [pemOf(trust)];
  return systemRoots ? getCACertificates("system") : [trustedCa ? contentOf(trustedCa) : ""];
}

function pemOf(trust: TrustBundles): string {
  return trust.all.map(trustBundlePem).join("");
}

function peerRules(validation: TlsValidationConfig | undefined, trust: TrustBundles | undefined): PeerRules {
  const matchers = validation?.sanMatchers ?? [];
  const depth = validation && hasAuthorities(validation) ? depthOf(validation, trust) : undefined;
  const lists = validation?.onlyLeafCrl === true ? revokedIn(validation, trust) : undefined;
  return {
    checksChain: hasAuthorities(validation),
    ...(depth && { depth }),
    ...(lists !== undefined &&
      validation && { revocation: new LeafRevocation(lists, authoritiesOf(validation, trust)) }),
    trust,
    // An SVID's name is its URI.
    names: (trust === undefined ? matchers : matchers.filter(({ type }) => type === "URI")).map(nameRule),
    certificateHashes: validation?.certificateHashes ?? [],
    keyHashes: validation?.spkiHashes ?? [],
    acceptsUntrusted: trust === undefined && validation?.trustChainVerification === "ACCEPT_UNTRUSTED",
  };
}

function nameRule({ type, matcher, oid }: SanMatcherConfig): NameRule {
  const compiled = compileStringMatcher(matcher);
  // Of a whole DNS name a wildcard certificate may be the proof.
  const host = type === "DNS" && matcher.type === "exact" ? matcher.value.toLowerCase() : undefined;
  return { type, oid, host, matches: (name) => compiled.test(name) };
}
