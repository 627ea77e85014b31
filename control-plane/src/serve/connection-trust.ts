import { type TrustBundles, type VerifiedSvid, verifySvid } from "@heddle/identity";

/** Streams end by themselves when the certificate does, with a reason; a connection waits so long for them. */
const AFTER_STREAMS_MS = 1000;

/**
 * When a connection ends whose client has shown that certificate at the handshake, wall time: with the certificate, or,
 * where it had ended already and was taken for renewal alone, with the time in which it may be renewed.
 */
export function connectionEndMs({ leaf, validToMs }: VerifiedSvid, renewalGraceMs: number, nowMs: number): number {
  return AFTER_STREAMS_MS + (nowMs <= validToMs ? validToMs : leaf.validToMs + renewalGraceMs);
}

/** Whether somebody in the bundles still vouches for it. Cheap where the authority that did is still there. */
export function isStillTrusted(
  { spiffeId, leaf, issuers }: VerifiedSvid,
  bundles: TrustBundles,
  nowMs: number,
): boolean {
  const authority = issuers.at(-1)?.fingerprintSha256;
  const known = bundles.authoritiesOf(spiffeId.trustDomain);
  if (known.some(({ fingerprintSha256 }) => fingerprintSha256 === authority)) return true;
  const chain = [leaf, ...issuers].map(({ der }) => der);
  // Time is looked at elsewhere.
  return verifySvid(chain, bundles, Math.min(nowMs, leaf.validToMs)).ok;
}
