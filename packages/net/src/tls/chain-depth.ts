import { X509Certificate } from "node:crypto";
import type { Certificate } from "@heddle/identity";

/** How far from a certificate its authority may be (`max_verify_depth`). */
export interface DepthLimit {
  /** How many certificates above it there may be, its authority included. */
  readonly most: number;
  readonly authorities: readonly X509Certificate[];
}

/** Of PEM: all the certificates in it. */
export function depthLimit(most: number, pem: readonly string[]): DepthLimit {
  const blocks = pem.flatMap((text) => text.match(CERTIFICATE) ?? []);
  return { most, authorities: blocks.map((block) => new X509Certificate(block)) };
}

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/**
 * Whether an authority is near enough, by what was shown beside the certificate. That the way there is a good one OpenSSL has
 * found out; its own limit cannot be set in Node.
 */
export function isWithin(limit: DepthLimit, certificate: Certificate, issuers: readonly Certificate[]): boolean {
  const shown = issuers.map(({ der }) => new X509Certificate(der));
  let reached = [new X509Certificate(certificate.der)];
  if (limit.authorities.some(({ fingerprint256 }) => fingerprint256 === reached[0]?.fingerprint256)) return true;
  for (let depth = 1; depth <= limit.most && reached.length > 0; depth++) {
    const below = reached;
    if (limit.authorities.some((authority) => below.some((one) => isIssuedBy(one, authority)))) return true;
    reached = shown.filter((issuer) => below.some((one) => one !== issuer && isIssuedBy(one, issuer)));
  }
  return false;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
