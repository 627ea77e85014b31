import type { TLSSocket } from "node:tls";
import { Certificate } from "@heddle/identity";
import { sessionId } from "./session-facts.ts";
import type { ShownPeer } from "./shown-peer.ts";
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
  readonly peerChain: readonly Certificate[];

  constructor(socket: TLSSocket, serverName: string, peer: ShownPeer | undefined, peerVerified: boolean) {
    this.#socket = socket;
    this.version = socket.getProtocol() ?? "";
    this.cipher = socket.getCipher()?.name ?? "";
    const key = socket.getEphemeralKeyInfo();
    this.group = (key !== null && "name" in key && typeof key.name === "string" && key.name) || "";
    this.serverName = serverName;
    this.resumed = socket.isSessionReused();
    this.peer = peer?.certificate;
    this.peerChain = peer === undefined ? [] : [peer.certificate, ...(peer.issuers ?? [])];
    this.peerVerified = peerVerified;
  }

  get sessionId(): string {
    this.#sessionId ??= sessionId(this.#socket);
    return this.#sessionId;
  }

  get local(): CertificateFacts | undefined {
    this.#local ??= localCertificate(this.#socket);
    return this.#local;
  }
}

function localCertificate(socket: TLSSocket): Certificate | undefined {
  const shown = socket.getX509Certificate();
  return shown === undefined ? undefined : new Certificate(shown.raw);
}
