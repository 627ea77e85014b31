import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { Certificate } from "@heddle/identity";
import { sessionId } from "./session-facts.ts";
import type { CertificateFacts, TlsInfo } from "./tls-info.ts";

/**
 * What a TLS socket's handshake has settled. Names and numbers are read at once, since a socket forgets them when it is
 * destroyed and logs come later; certificates are kept as bytes.
 */
export class SocketTlsInfo implements TlsInfo {
  readonly version: string;
  readonly cipher: string;
  readonly group: string;
  readonly serverName: string;
  readonly resumed: boolean;
  readonly peer: Certificate | undefined;
  readonly peerVerified: boolean;
  readonly #socket: TLSSocket;
  #local: Certificate | undefined = undefined;
  #sessionId: string | undefined = undefined;
  #chain: readonly CertificateFacts[] | undefined = undefined;

  constructor(socket: TLSSocket, serverName: string, peer: Certificate | undefined, peerVerified: boolean) {
    this.#socket = socket;
    this.version = socket.getProtocol() ?? "";
    this.cipher = socket.getCipher()?.name ?? "";
    const key = socket.getEphemeralKeyInfo();
    this.group = (key !== null && "name" in key && typeof key.name === "string" && key.name) || "";
    this.serverName = serverName;
    this.resumed = socket.isSessionReused();
    this.peer = peer;
    this.peerVerified = peerVerified;
  }

  get sessionId(): string {
    this.#sessionId ??= sessionId(this.#socket);
    return this.#sessionId;
  }

  get peerChain(): readonly CertificateFacts[] {
    this.#chain ??= this.peer === undefined ? [] : [this.peer, ...issuersOf(this.#socket)];
    return this.#chain;
  }

  get local(): CertificateFacts | undefined {
    this.#local ??= localCertificate(this.#socket);
    return this.#local;
  }
}

/** What the peer has sent beside its own certificate. */
function issuersOf(socket: TLSSocket): Certificate[] {
  const found: Certificate[] = [];
  if (socket.destroyed) return found;
  const seen = new Set<DetailedPeerCertificate>();
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (next !== undefined && next.raw !== undefined && !seen.has(next)) {
    seen.add(next);
    if (seen.size > 1) found.push(new Certificate(next.raw));
    next = next.issuerCertificate;
  }
  return found;
}

function localCertificate(socket: TLSSocket): Certificate | undefined {
  const shown = socket.getX509Certificate();
  return shown === undefined ? undefined : new Certificate(shown.raw);
}
