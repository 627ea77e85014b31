import { err, ok, type Result } from "@heddle/base";
import { parseSpiffeId, type SpiffeId } from "./spiffe-id.ts";
import type { Certificate } from "./x509/certificate.ts";
import { certificateUses, ExtendedKeyUsage } from "./x509/certificate-uses.ts";

/*
 * What the standard asks of one certificate (X509-SVID §2 to §5.2). Whether anybody vouches for it is asked in
 * verify-svid.ts.
 *
 * That the key usage is marked critical (§4.3) is asked of what we issue, and not of what others show: §5.2 does not ask
 * validators to, and certificates made by hand often are not.
 */

/** Whom a leaf certificate names, if it may stand for a workload; else why not. */
export function readSvid(leaf: Certificate): Result<SpiffeId, string> {
  const read = certificateUses(leaf);
  if (!read.ok) return read;
  const { isCa, keyUsage, extendedKeyUsage, notUnderstood } = read.value;
  if (notUnderstood.length > 0) return err(notUnderstoodText(notUnderstood));
  if (isCa)
    return err("is a certificate that signs others (its basic constraints say CA), which stands for no workload");
  if (keyUsage === undefined) return err("says nothing on what its key is for (key usage)");
  if (keyUsage.keyCertSign || keyUsage.crlSign)
    return err("has a key that signs certificates or revocation lists, which stands for no workload");
  if (!keyUsage.digitalSignature) return err("has a key that is not for digital signatures (key usage)");
  if (extendedKeyUsage !== undefined && !BOTH_SIDES.every((usage) => extendedKeyUsage.includes(usage)))
    return err("has extended key usages without both serverAuth and clientAuth");
  const id = onlySpiffeId(leaf);
  if (!id.ok) return id;
  if (id.value === undefined) return err("has no URI among its names");
  if (id.value.path === "") return err("names a trust domain and no workload in it");
  return ok(id.value);
}

/** Why a certificate may not sign SVIDs of this trust domain, or undefined. */
export function signingCertificateFault(certificate: Certificate, trustDomain: string): string | undefined {
  const read = certificateUses(certificate);
  if (!read.ok) return read.error;
  const { isCa, keyUsage, notUnderstood } = read.value;
  if (notUnderstood.length > 0) return notUnderstoodText(notUnderstood);
  if (!isCa) return "is no certificate that signs others (its basic constraints do not say CA)";
  if (keyUsage === undefined) return "says nothing on what its key is for (key usage)";
  if (!keyUsage.keyCertSign) return "has a key that is not for signing certificates (key usage)";
  return signingNameFault(certificate, trustDomain);
}

/** §3.2: what signs is named after no workload, and after no other trust domain than the one that is given. */
export function signingNameFault(certificate: Certificate, trustDomain: string | undefined): string | undefined {
  // Authorities of other standards have URIs of their own, which say nothing here.
  const ids = certificate.uriSans.filter((uri) => /^spiffe:/i.test(uri)).map(parseSpiffeId);
  for (const id of ids) {
    if (!id.ok) return `has a SPIFFE ID that ${id.error}`;
    if (id.value.path !== "") return "is named after a workload, and signs";
    if (trustDomain !== undefined && id.value.trustDomain !== trustDomain) return "is named after another trust domain";
  }
  return undefined;
}

const BOTH_SIDES = [ExtendedKeyUsage.ServerAuth, ExtendedKeyUsage.ClientAuth];

/** Of other names there may be any number; of URIs one (§2). */
function onlySpiffeId(certificate: Certificate): Result<SpiffeId | undefined, string> {
  const { uriSans } = certificate;
  if (uriSans.length > 1) return err("has more than one URI among its names");
  const [uri] = uriSans;
  if (uri === undefined) return ok(undefined);
  const id = parseSpiffeId(uri);
  return id.ok ? id : err(`has a URI that is no SPIFFE ID: it ${id.error}`);
}

function notUnderstoodText(oids: readonly string[]): string {
  return `has critical extensions that are not understood: ${oids.slice(0, 4).join(", ")}`;
}
