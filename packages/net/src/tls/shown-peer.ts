import type { X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { Certificate } from "@heddle/identity";
import { sessionPeer } from "./session-facts.ts";

/** The certificates of a peer. */
export interface ShownPeer {
  readonly certificate: Certificate;
  /** What it has sent beside its own, in its order. Undefined: a session was resumed, which knows the first alone. */
  readonly issuers: readonly Certificate[] | undefined;
}

/** More are not looked at. OpenSSL takes what fits into 100 KB. */
const MAX_ISSUERS = 16;

/**
 * What the peer of a socket has shown in its handshake. To be asked once: `getPeerX509Certificate` takes the issuers out of
 * OpenSSL's list (Node 24), and whoever asks after it finds the peer's own certificate alone.
 */
export function shownPeer(socket: TLSSocket): ShownPeer | undefined {
  const shown = socket.getPeerX509Certificate();
  if (shown === undefined) {
    const der = socket.isSessionReused() ? sessionPeer(socket) : undefined;
    return der && { certificate: new Certificate(der), issuers: undefined };
  }
  const issuers: Certificate[] = [];
  let next: X509Certificate | undefined = shown.issuerCertificate;
  for (; next !== undefined && issuers.length < MAX_ISSUERS; next = next.issuerCertificate) {
    issuers.push(new Certificate(next.raw));
  }
  return { certificate: new Certificate(shown.raw), issuers: socket.isSessionReused() ? undefined : issuers };
}

/** The same of what Node hands to `checkServerIdentity`. */
export function shownToNode(shown: DetailedPeerCertificate): ShownPeer {
  const issuers: Certificate[] = [];
  const seen = new Set([shown]);
  // A root is linked to itself.
  for (let next = shown.issuerCertificate; next?.raw !== undefined && !seen.has(next); next = next.issuerCertificate) {
    seen.add(next);
    issuers.push(new Certificate(next.raw));
  }
  return { certificate: new Certificate(shown.raw), issuers };
}
