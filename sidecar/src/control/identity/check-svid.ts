import { type KeyObject, X509Certificate } from "node:crypto";
import { err, ok, type Result } from "@heddle/base";
import {
  Certificate,
  formatSpiffeId,
  type TrustBundle,
  TrustBundles,
  type VerifiedSvid,
  verifySvid,
} from "@heddle/identity";
import type { OwnSvid } from "./own-identity.ts";

/** How far clocks may be apart: what begins within it has begun. */
const CLOCK_SKEW_MS = 5 * 60_000;

/** As peers take them. */
const MAX_CHAIN = 10;

/** As `verifySvid`, by a clock that may be behind that of whoever has issued it. */
export function verifyWithSkew(
  chain: readonly Uint8Array[],
  bundles: TrustBundles,
  nowMs: number,
): Result<VerifiedSvid, string> {
  const shown = chain.slice(0, 2).map((der) => new Certificate(der));
  const authorities = bundles.all.flatMap(({ trustDomain }) => bundles.authoritiesOf(trustDomain));
  const beginnings = [...shown, ...authorities]
    .map(({ validFromMs }) => validFromMs)
    .filter((fromMs) => fromMs > nowMs && fromMs <= nowMs + CLOCK_SKEW_MS);
  return verifySvid(chain, bundles, Math.max(nowMs, ...beginnings));
}

/**
 * What has been issued to us, if it may be used: it is an X.509-SVID that others will believe, of the key that we have. `before`:
 * who we have been so far, which does not change.
 */
export function checkOwnSvid(
  issued: { readonly chain: readonly Uint8Array[]; readonly key: KeyObject; readonly bundles: readonly TrustBundle[] },
  nowMs: number,
  before?: string,
): Result<OwnSvid, string> {
  const { chain, key, bundles } = issued;
  if (chain.length > MAX_CHAIN) return err(`it has more than ${MAX_CHAIN} certificates`);
  // What leads nowhere is passed over when a peer shows it; but all of this is what we show.
  if (chain.some((der) => !isReadable(der))) return err("it has a certificate that cannot be read");
  const verified = verifyWithSkew(chain, new TrustBundles(bundles), nowMs);
  if (!verified.ok) return verified;
  const { spiffeId, leaf, validToMs } = verified.value;
  if (!new X509Certificate(leaf.der).checkPrivateKey(key)) return err("the certificate is not of the key that we have");
  const id = formatSpiffeId(spiffeId);
  if (before !== undefined && id !== before) return err(`it names ${id}, and this sidecar has been ${before}`);
  return ok({
    id,
    trustDomain: spiffeId.trustDomain,
    chain,
    key: key.export({ type: "pkcs8", format: "pem" }) as string, // a PEM is a string
    validFromMs: leaf.validFromMs,
    validToMs,
  });
}

/** By OpenSSL, which has to show it, and by us. */
function isReadable(der: Uint8Array): boolean {
  try {
    return Buffer.compare(new X509Certificate(der).raw, der) === 0 && !new Certificate(der).malformed;
  } catch {
    return false;
  }
}
