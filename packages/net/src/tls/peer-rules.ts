import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { type Certificate, certificateUses, readSvid, type TrustBundles, verifySvid } from "@heddle/identity";
import { type DepthLimit, isWithin } from "./chain-depth.ts";
import type { LeafRevocation } from "./leaf-revocation.ts";

/** Whom a peer's certificate has to show (`CertificateValidationContext`), compiled. */
export interface PeerRules {
  /** The certificate has to lead to one of the trusted authorities. */
  readonly checksChain: boolean;
  /**
   * Beside that it has to be an SVID, and to lead to an authority of the trust domain that it names: what OpenSSL trusts is the
   * authorities of all of them. Undefined: it need not.
   */
  readonly trust: TrustBundles | undefined;
  /** Undefined: its authority may be as far as OpenSSL lets it be. */
  readonly depth?: DepthLimit;
  /** Of the certificate alone, where OpenSSL is not asked about revocation. */
  readonly revocation?: LeafRevocation;
  /** Of a server with an RSA key: its certificate, where it says what the key is for, has to say signatures. */
  readonly enforcesRsaKeyUsage?: boolean;
  /** One of them has to fit, if there are any. */
  readonly names: readonly NameRule[];
  /** SHA-256 of the certificate, lower-case hexadecimal; of the key, base64. One of either list has to fit, if there are any. */
  readonly certificateHashes: readonly string[];
  readonly keyHashes: readonly string[];
  /** A peer that fails is served all the same, and is not called verified (`ACCEPT_UNTRUSTED`). */
  readonly acceptsUntrusted: boolean;
}

export interface NameRule {
  readonly type: "EMAIL" | "DNS" | "URI" | "IP_ADDRESS" | "OTHER_NAME";
  /** Of an OTHER_NAME. */
  readonly oid: string;
  /** A DNS name, in lower case, that the certificate has to stand for, perhaps by a wildcard. Undefined: `matches` decides. */
  readonly host: string | undefined;
  matches(name: string): boolean;
}

/** The certificate has to stand for exactly that name or address. */
export function hostRule(host: string): NameRule {
  const wanted = host.toLowerCase();
  const isAddress = isIP(host) !== 0;
  return {
    type: isAddress ? "IP_ADDRESS" : "DNS",
    oid: "",
    host: isAddress ? undefined : wanted,
    matches: (name) => name === wanted,
  };
}

/** Nobody is asked who they are. */
export const ANYBODY: PeerRules = {
  checksChain: false,
  trust: undefined,
  names: [],
  certificateHashes: [],
  keyHashes: [],
  acceptsUntrusted: false,
};

/** `fail_verify_*` of Envoy's statistics. */
export type PeerFault = "no-certificate" | "chain" | "name" | "hash";

export type PeerVerdict =
  | { readonly type: "accepted"; readonly verified: boolean }
  | { readonly type: "refused"; readonly fault: PeerFault; readonly detail: string };

/** What a handshake has shown of the peer. */
export interface PeerEvidence {
  readonly certificate: Certificate | undefined;
  /** OpenSSL's, "" for none. It is remembered within a session, so a resumed one tells what the first found. */
  readonly chainError: string;
  /** What stood beside the certificate. Undefined: this very end has judged it, before the session was resumed. */
  readonly issuers: readonly Certificate[] | undefined;
}

/**
 * Judges a peer after its handshake, whether it was a full one or has resumed a session: what OpenSSL found out about the
 * chain, and all that changes without it (time, names).
 */
export function judgePeer(evidence: PeerEvidence, rules: PeerRules, nowMs: number): PeerVerdict {
  const { certificate } = evidence;
  if (certificate === undefined) {
    const wanted = asksAnything(rules);
    return { type: "refused", fault: "no-certificate", detail: wanted ? "no certificate was shown" : "no certificate" };
  }
  const refusal = refusalOf(certificate, evidence, rules, nowMs);
  if (refusal === undefined) return { type: "accepted", verified: asksAnything(rules) };
  return rules.acceptsUntrusted ? { type: "accepted", verified: false } : refusal;
}

/** Whether a certificate that passes has shown anything. */
function asksAnything({ checksChain, certificateHashes, keyHashes }: PeerRules): boolean {
  return checksChain || certificateHashes.length > 0 || keyHashes.length > 0;
}

function refusalOf(
  certificate: Certificate,
  { chainError, issuers }: PeerEvidence,
  rules: PeerRules,
  nowMs: number,
): (PeerVerdict & { readonly type: "refused" }) | undefined {
  if (rules.checksChain) {
    if (chainError !== "") return refused("chain", chainError);
    if (certificate.malformed) return refused("chain", "the certificate cannot be read");
    // Written so that a date that is none fails both.
    if (!(nowMs >= certificate.validFromMs)) return refused("chain", "CERT_NOT_YET_VALID");
    if (!(nowMs <= certificate.validToMs)) return refused("chain", "CERT_HAS_EXPIRED");
  }
  if (rules.depth !== undefined && issuers !== undefined && !isWithin(rules.depth, certificate, issuers)) {
    return refused("chain", "CERT_CHAIN_TOO_LONG");
  }
  const revoked = issuers && rules.revocation?.fault(certificate, issuers, nowMs);
  if (revoked !== undefined) return refused("chain", revoked);
  if (rules.enforcesRsaKeyUsage === true && !maySign(certificate)) return refused("chain", "KEY_USAGE_BIT_INCORRECT");
  const svidFault = rules.trust && faultOfSvid(certificate, issuers, rules.trust, nowMs);
  if (svidFault !== undefined) return refused("chain", svidFault);
  const { names, certificateHashes, keyHashes } = rules;
  if (names.length > 0 && !names.some((rule) => fits(rule, certificate))) {
    return refused("name", "no name of the certificate is one that is asked for");
  }
  if (certificateHashes.length + keyHashes.length === 0) return undefined;
  const known = certificateHashes.includes(certificate.fingerprintSha256) || keyHashes.includes(certificate.spkiSha256);
  return known ? undefined : refused("hash", "neither the certificate nor its key is one that is asked for");
}

/**
 * `enforce_rsa_key_usage`: in TLS 1.3, and in TLS 1.2 with a key exchange that is forward secret, an RSA key signs. (Of its other use,
 * decryption, RFC 5246 §7.4.2, there is none with the ciphers that are on by default.)
 */
function maySign(certificate: Certificate): boolean {
  if (new X509Certificate(certificate.der).publicKey.asymmetricKeyType !== "rsa") return true;
  const uses = certificateUses(certificate);
  return uses.ok && uses.value.keyUsage?.digitalSignature !== false;
}

/** Why it is no SVID of a trust domain that is trusted, or undefined. */
function faultOfSvid(
  certificate: Certificate,
  issuers: PeerEvidence["issuers"],
  trust: TrustBundles,
  nowMs: number,
): string | undefined {
  const svid = readSvid(certificate);
  if (!svid.ok) return `the certificate ${svid.error}`;
  const authorities = trust.authoritiesOf(svid.value.trustDomain);
  if (authorities.length === 0) return "the certificate is of a trust domain that is not trusted here";
  // A bundle may say by mistake that a workload's own certificate is an authority, which OpenSSL then believes.
  if (authorities.some((authority) => Buffer.compare(authority.der, certificate.der) === 0)) {
    return "the certificate is an authority of its trust domain";
  }
  // With one trust domain, those whom OpenSSL trusts are its authorities.
  if (trust.all.length < 2 || issuers === undefined) return undefined;
  const verified = verifySvid([certificate.der, ...issuers.map(({ der }) => der)], trust, nowMs);
  return verified.ok ? undefined : verified.error;
}

function refused(fault: PeerFault, detail: string): PeerVerdict & { readonly type: "refused" } {
  return { type: "refused", fault, detail };
}

function fits(rule: NameRule, certificate: Certificate): boolean {
  switch (rule.type) {
    case "EMAIL":
      return certificate.emailSans.some((name) => rule.matches(name));
    case "URI":
      return certificate.uriSans.some((name) => rule.matches(name));
    case "IP_ADDRESS":
      return certificate.ipSans.some((name) => rule.matches(name));
    case "OTHER_NAME":
      return certificate.otherNames.some(({ oid, value }) => oid === rule.oid && value !== "" && rule.matches(value));
    case "DNS":
      return certificate.dnsSans.some((name) =>
        rule.host === undefined ? rule.matches(name) : standsFor(name, rule.host),
      );
    default:
      throw new Error(`unknown kind of name ${String(rule.type satisfies never)}`);
  }
}

/**
 * Whether a DNS name of a certificate stands for a host: the same name, or "*" in place of its first label and nothing
 * less (RFC 6125 §6.4.3; partial wildcards are no wildcards).
 */
export function standsFor(pattern: string, host: string): boolean {
  const name = pattern.toLowerCase();
  if (name === host) return true;
  if (!name.startsWith("*.")) return false;
  const dot = host.indexOf(".");
  return dot > 0 && name.indexOf(".", 2) !== -1 && host.slice(dot) === name.slice(1);
}
