import { X509Certificate } from "node:crypto";
import { err, ok, type Result } from "@heddle/base";
import type { SpiffeId } from "./spiffe-id.ts";
import type { TrustBundles } from "./trust-bundle.ts";
import { Certificate } from "./x509/certificate.ts";
import { type CertificateUses, certificateUses } from "./x509/certificate-uses.ts";
import { nameConstraintsFault } from "./x509/name-constraints.ts";
import { weakKeyFault, weakSignatureFault } from "./x509/strength.ts";
import { readSvid, signingNameFault } from "./x509-svid.ts";

/** An X.509-SVID that somebody vouches for. */
export interface VerifiedSvid {
  readonly spiffeId: SpiffeId;
  readonly leaf: Certificate;
  /** From the leaf's issuer up to the authority of the bundle, which is the last. */
  readonly issuers: readonly Certificate[];
  /** When the first of them all ends, wall time: from then on the identity is not shown any more. */
  readonly validToMs: number;
}

/** Of what a peer shows. A leaf and three that lead to an authority are many. */
const MAX_CHAIN = 10;

/** Certificates that all bear one name let a search try every order of them, a signature a step (CVE-2018-16875). */
const MAX_SIGNATURE_CHECKS = 32;

/**
 * Verifies what a peer has shown, its own certificate first (X509-SVID §5, RFC 5280 §6.1): that the leaf may stand for a
 * workload, and that a path of signatures leads to an authority of *the leaf's own trust domain*, every certificate on it
 * within its time, allowed to sign, and within what those above it allow. Revocation is not looked at.
 *
 * `chain` is DER. The error says what is wrong, and repeats no name from the certificates.
 */
export function verifySvid(
  chain: readonly Uint8Array[],
  bundles: TrustBundles,
  nowMs: number,
): Result<VerifiedSvid, string> {
  const [der, ...others] = chain;
  if (der === undefined) return err("no certificate was shown");
  if (chain.length > MAX_CHAIN) return err(`more than ${MAX_CHAIN} certificates were shown`);
  const leaf = new Certificate(der);
  const id = readSvid(leaf);
  if (!id.ok) return err(`the certificate ${id.error}`);
  const fault = dateFault(leaf, nowMs) ?? weakSignatureFault(leaf);
  if (fault !== undefined) return err(`the certificate ${fault}`);
  const authorities = bundles.authoritiesOf(id.value.trustDomain);
  if (authorities.length === 0) return err("the certificate is of a trust domain that is not trusted here");
  const node = linkOf(leaf);
  if (node === undefined) return err("the certificate has a key that cannot be read");
  const weak = weakKeyFault(node.x509.publicKey);
  if (weak !== undefined) return err(`the certificate ${weak}`);
  const search = new PathSearch(
    id.value,
    authorities.map(linkOf).filter((link) => link !== undefined),
    others.map((bytes) => linkOf(new Certificate(bytes))).filter((link) => link !== undefined),
    nowMs,
  );
  const issuers = search.from([node]);
  if (issuers === undefined) return err(search.fault);
  const validToMs = Math.min(leaf.validToMs, ...issuers.map((issuer) => issuer.validToMs));
  return ok({ spiffeId: id.value, leaf, issuers, validToMs });
}

/** A certificate on a path, as we read it and as OpenSSL does, which checks its signature. */
interface Link {
  readonly certificate: Certificate;
  readonly x509: X509Certificate;
}

class PathSearch {
  readonly #id: SpiffeId;
  readonly #authorities: readonly Link[];
  readonly #intermediates: readonly Link[];
  readonly #nowMs: number;
  #checksLeft = MAX_SIGNATURE_CHECKS;
  /** Of the way that came furthest. */
  fault = "the certificate leads to no authority of its trust domain";

  constructor(id: SpiffeId, authorities: readonly Link[], intermediates: readonly Link[], nowMs: number) {
    this.#id = id;
    this.#authorities = authorities;
    this.#intermediates = intermediates;
    this.#nowMs = nowMs;
  }

  /** Those that lead on from the end of `path` to an authority; undefined if none do. */
  from(path: readonly Link[]): Certificate[] | undefined {
    const last = path.at(-1)!; // begins with the leaf
    for (const authority of this.#authorities) {
      if (this.#mayFollow(authority, path, false)) return [...path.slice(1), authority].map((link) => link.certificate);
    }
    for (const link of this.#intermediates) {
      if (path.includes(link) || link.x509.fingerprint256 === last.x509.fingerprint256) continue;
      if (!this.#mayFollow(link, path, true)) continue;
      const found = this.from([...path, link]);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #mayFollow(issuer: Link, path: readonly Link[], between: boolean): boolean {
    const { x509 } = path.at(-1)!; // begins with the leaf
    if (!x509.checkIssued(issuer.x509)) return false; // names and key identifiers
    const fault = this.#issuerFault(issuer, path, between);
    if (fault !== undefined) {
      this.fault = `a certificate that leads to the authority ${fault}`;
      return false;
    }
    if (this.#checksLeft-- <= 0) {
      this.fault = "there are too many ways to an authority";
      return false;
    }
    if (x509.verify(issuer.x509.publicKey)) return true;
    this.fault = "a signature does not fit the authority whose name it has";
    return false;
  }

  #issuerFault({ certificate, x509 }: Link, path: readonly Link[], between: boolean): string | undefined {
    const uses = certificateUses(certificate);
    if (!uses.ok) return uses.error;
    return (
      usesFault(uses.value, path) ??
      dateFault(certificate, this.#nowMs) ??
      weakKeyFault(x509.publicKey) ??
      // Nobody signs for what the bundle itself vouches for.
      (between ? weakSignatureFault(certificate) : undefined) ??
      // An authority is in the bundle because this domain trusts it, whatever its own is called (a root that several share).
      signingNameFault(certificate, between ? this.#id.trustDomain : undefined) ??
      nameConstraintsFault(
        uses.value.nameConstraints,
        path.map((link) => link.certificate),
      )
    );
  }
}

/** RFC 5280 §6.1.4 (k) to (n). */
function usesFault(
  { isCa, maxPathLength, keyUsage, extendedKeyUsage, notUnderstood }: CertificateUses,
  path: readonly Link[],
): string | undefined {
  if (notUnderstood.length > 0) return "has critical extensions that are not understood";
  if (!isCa) return "is none that signs others";
  if (keyUsage !== undefined && !keyUsage.keyCertSign) return "has a key that is not for signing certificates";
  // Those that sign, between it and the leaf.
  if (maxPathLength !== undefined && path.length - 1 > maxPathLength) return "allows fewer certificates below it";
  // As OpenSSL has it, a list of usages above is a limit to those below.
  if (extendedKeyUsage !== undefined && !TLS_USAGES.some((usage) => extendedKeyUsage.includes(usage)))
    return "has a key that is not for TLS (extended key usages)";
  return undefined;
}

/** Either side's; and any. */
const TLS_USAGES = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "2.5.29.37.0"];

function dateFault({ validFromMs, validToMs }: Certificate, nowMs: number): string | undefined {
  // Written so that a date that is none fails both.
  if (!(nowMs >= validFromMs)) return "is not valid yet";
  if (!(nowMs <= validToMs)) return "has expired";
  return undefined;
}

/** Of authorities, which bundles keep: to read one again takes OpenSSL 0.1 ms, and a thousand peers come at once. */
const LINKS = new WeakMap<Certificate, Link>();

function linkOf(certificate: Certificate): Link | undefined {
  const known = LINKS.get(certificate);
  if (known !== undefined) return known;
  try {
    const x509 = new X509Certificate(certificate.der);
    if (x509.publicKey === undefined) return undefined; // asked for here, since a key of an unknown kind throws
    const link = { certificate, x509 };
    LINKS.set(certificate, link);
    return link;
  } catch {
    return undefined;
  }
}
