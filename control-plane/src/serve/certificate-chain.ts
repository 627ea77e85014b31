import type { DetailedPeerCertificate } from "node:tls";

/** DER, as the peer sent it and as far as it fits together, its own first; empty: it showed none. */
export function certificateChainOf(peer: DetailedPeerCertificate): Uint8Array[] {
  const chain: Uint8Array[] = [];
  const seen = new Set<DetailedPeerCertificate>();
  // Node answers an empty object where there is no certificate, and a root as its own issuer.
  for (let at: DetailedPeerCertificate | undefined = peer; at?.raw !== undefined && !seen.has(at); ) {
    seen.add(at);
    chain.push(at.raw);
    at = at.issuerCertificate;
  }
  return chain;
}
