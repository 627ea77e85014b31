export { Acceptor, type AcceptorEvents, type AcceptorOptions } from "./acceptor.ts";
export type { Connection, ConnectionHandler } from "./connection.ts";
export { type ConnectionMover, connectionMover } from "./connection-mover.ts";
export { forbidCoreDumps } from "./core-dumps.ts";
export { DatagramConnection, type DatagramEvents, DatagramListener } from "./datagram-socket.ts";
export { type DialCallbacks, type Dialling, type DialOptions, dial } from "./dial.ts";
export { type LockOutcome, lockFile } from "./file-lock.ts";
export { asCallback } from "./flush-queue.ts";
export { isLeftBehind } from "./is-left-behind.ts";
export { reusePortOpener, type SocketOpener, socketOpener } from "./listen-socket.ts";
export type { ListenOptions, ListenSocket, ListenTarget } from "./listen-target.ts";
export {
  type ConnectionSide,
  connectionFailure,
  dialFailure,
  HandshakeError,
  SECRET_NOT_SUPPLIED,
  tlsFailureText,
  transportFailureReason,
} from "./node-errors.ts";
export { knowsOriginalDestination, type OriginalDestination, originalDestination } from "./original-destination.ts";
export { loadPeerProcess, type PeerProcess, type PeerProcessOf } from "./peer-process.ts";
export { encodeProxyHeader } from "./proxy-protocol/encode-proxy-header.ts";
export { type ProxyHeaderParse, parseProxyHeader } from "./proxy-protocol/parse-proxy-header.ts";
export type { ProxyAddresses, ProxyHeader, ProxyTlv } from "./proxy-protocol/proxy-header.ts";
export { memoryReleaser } from "./release-memory.ts";
export {
  type LookupFamily,
  NameResolver,
  queryDns,
  type Resolution,
  type ResolverEnvironment,
  systemEnvironment,
} from "./resolve.ts";
export { parseResolvConf, type ResolvConf } from "./resolve-files.ts";
export { testRewrap } from "./rewrap.ts";
export { loadSend } from "./send-now.ts";
export { formatAddress, formatHostPort, type SocketAddress } from "./socket-address.ts";
export { type ConnectionOptions, SocketConnection } from "./socket-connection.ts";
export { type SocketSource, sourceKey } from "./socket-source.ts";
export { type AcceptedTls, type AcceptTlsOptions, acceptTls } from "./tls/accept-tls.ts";
export { type DepthLimit, depthLimit } from "./tls/chain-depth.ts";
export { type ClientCredentials, clientCredentials } from "./tls/client-credentials.ts";
export { type ClientHelloParse, parseClientHello } from "./tls/client-hello.ts";
export type { HandshakeCallbacks, HandshakeFailure, HandshakeOptions, Handshaking } from "./tls/handshake.ts";
export { LeafRevocation } from "./tls/leaf-revocation.ts";
export { isAbout, type OcspResponse, parseOcspResponse } from "./tls/ocsp-response.ts";
export { ANYBODY, hostRule, type NameRule, type PeerFault, type PeerRules } from "./tls/peer-rules.ts";
export type { TlsCertificate, TlsSettings, TlsVersion } from "./tls/secure-context.ts";
export type { ShownPeer } from "./tls/shown-peer.ts";
export { mustStaple, type StaplePolicy } from "./tls/stapling.ts";
export { TlsClient, type TlsClientSettings, type TlsTarget } from "./tls/tls-client.ts";
export type { CertificateFacts, TlsInfo } from "./tls/tls-info.ts";
export { type TicketKeySource, TlsServer, type TlsServerSettings } from "./tls/tls-server.ts";
export { TurnClock } from "./turn-clock.ts";
