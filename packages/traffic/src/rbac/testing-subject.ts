import { HeaderMap, RequestHead } from "@heddle/http";
import type { CertificateFacts, TlsInfo } from "@heddle/net";
import { AccessSubject, type ConnectionFacts, type DynamicMetadata } from "./access-subject.ts";

/** What a test says of a request; the rest is a GET of / by a plain client. */
export interface TestRequest {
  readonly method?: string;
  readonly path?: string;
  readonly authority?: string;
  /** Names and values in turn. */
  readonly headers?: readonly string[];
  readonly connection?: Partial<ConnectionFacts>;
  readonly metadata?: DynamicMetadata;
  /** The peer's certificate, verified. */
  readonly peer?: Partial<CertificateFacts>;
  /** Nobody vouches for it. */
  readonly unverified?: true;
  readonly upgrade?: string;
}

export function testSubject(request: TestRequest): AccessSubject {
  const { method = "GET", authority = "shop.example", path = "/", headers = [], metadata, peer, upgrade } = request;
  const head = new RequestHead(method, "http", authority, path, new HeaderMap([...headers]), "1.1", upgrade);
  const tls = peer && testTls(peer, request.unverified !== true);
  const connection: ConnectionFacts = {
    directRemoteAddress: "192.0.2.1",
    remoteAddress: "192.0.2.1",
    remotePort: 40_000,
    localAddress: "192.0.2.2",
    localPort: 8080,
    connectionId: 7,
    ...(tls && { tls }),
    ...request.connection,
  };
  return new AccessSubject().set(connection, metadata, head, { requestId: "id-1", startWallMs: 1_767_225_600_000 });
}

function testTls(peer: Partial<CertificateFacts>, peerVerified: boolean): TlsInfo {
  const facts: CertificateFacts = {
    subject: "CN=shop",
    issuer: "CN=ca",
    serialNumber: "01",
    uriSans: [],
    dnsSans: [],
    emailSans: [],
    ipSans: [],
    validFromMs: 0,
    validToMs: 0,
    fingerprintSha256: "",
    fingerprintSha1: "",
    pem: "",
    ...peer,
  };
  return {
    version: "TLSv1.3",
    cipher: "TLS_AES_128_GCM_SHA256",
    group: "X25519",
    serverName: "shop.example",
    sessionId: "",
    resumed: false,
    peer: facts,
    peerVerified,
    peerChain: [facts],
    local: facts,
  };
}
