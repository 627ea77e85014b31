import type { Result } from "@heddle/base";
import { err, ok } from "@heddle/base";
import { Certificate, readSvid, type SpiffeId } from "@heddle/identity";

/** The identity that a connection's certificate shows. It was verified at the handshake (serve-tls.ts). */
export interface PeerSvid {
  readonly spiffeId: SpiffeId;
  /** Wall time. */
  readonly notAfterMs: number;
  readonly certificate: Certificate;
}

/** A gRPC call, as far as its connection's certificate is concerned. */
export interface CallWithPeer {
  getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Uint8Array } };
}

/**
 * Whose certificate the connection of a call has; undefined: it has none, or is plaintext. It may have ended since the
 * handshake, or, for renewal, shortly before it: whoever asks looks at `notAfterMs`.
 */
export function peerSvidOf(call: CallWithPeer): PeerSvid | undefined {
  const raw = call.getAuthContext().sslPeerCertificate?.raw;
  if (raw === undefined) return undefined;
  const certificate = new Certificate(raw);
  const id = readSvid(certificate);
  return id.ok ? { spiffeId: id.value, notAfterMs: certificate.validToMs, certificate } : undefined;
}

/** The same, of one who is who the certificate says now: nobody, once it has ended. */
export function currentPeerOf(call: CallWithPeer, nowMs: number): Result<PeerSvid, string> {
  const peer = peerSvidOf(call);
  if (peer === undefined) return err("the connection has no certificate");
  return nowMs > peer.notAfterMs ? err("the certificate of the connection has ended") : ok(peer);
}
