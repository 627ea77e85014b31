/**
 * What an access log can tell of one exchange or connection. Whoever has such adapts them to this. Text is as it came over
 * the wire (header values: latin1); the format makes it safe. Undefined is written as "-", and so is "", but for a header
 * that is empty and `localReplyBody`.
 *
 * The same source serves `local_reply_config` and header values, so an exchange may be asked before it has ended.
 */
export interface AccessLogSource {
  readonly environment: FormatEnvironment;
  readonly logType: AccessLogType;
  /** Milliseconds since the Unix epoch. */
  readonly startWallMs: number;
  /** From the first byte of the request to the last of the response; -1 before the end. */
  readonly durationMs: number;
  /** The same, but before the end: until now. */
  readonly elapsedMs: number;
  /** Milliseconds from the start, or -1 where it has not happened. */
  timeOf(point: TimePoint): number;
  /** By lower-case name; ":method", ":path", ":authority" and ":scheme" too. */
  requestHeader(name: string): string | undefined;
  /** As `requestHeader`, but all values of a repeated field: what matchers look at. */
  requestHeaderValues(name: string): readonly string[];
  responseHeader(name: string): string | undefined;
  responseTrailer(name: string): string | undefined;
  /** Names and values without what stands between them, the pseudo-headers with them (Envoy's uncompressed size). */
  headersBytes(of: "request" | "response" | "response-trailers"): number;
  /** "HTTP/1.1" */
  readonly protocol: string;
  readonly upstreamProtocol: string;
  /** 0 where there was no response. */
  readonly responseCode: number;
  /** Bits of `ResponseFlag`. */
  readonly responseFlags: number;
  readonly responseCodeDetails: string;
  readonly connectionTerminationDetails: string;
  /** The body of an answer that was made here. */
  readonly localReplyBody: string;
  /** Bytes of bodies. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** With framing and heads; -1 where nobody counts. */
  wireBytes(of: WireBytes): number;
  /** "ip:port" */
  readonly upstreamHost: string;
  /** Its name where it has one. */
  readonly upstreamHostName: string;
  /** `alt_stat_name` where the cluster has one. */
  readonly upstreamCluster: string;
  readonly upstreamClusterRaw: string;
  readonly upstreamLocalAddress: string;
  /** 0: none. */
  readonly upstreamConnectionId: number;
  readonly upstreamTransportFailureReason: string;
  /** Attempts begun. */
  readonly upstreamAttempts: number;
  readonly downstreamRemoteAddress: string;
  readonly downstreamRemotePort: number;
  readonly downstreamDirectRemoteAddress: string;
  readonly downstreamDirectRemotePort: number;
  readonly downstreamLocalAddress: string;
  readonly downstreamLocalPort: number;
  readonly downstreamDirectLocalAddress: string;
  readonly downstreamDirectLocalPort: number;
  readonly connectionId: number;
  readonly requestedServerName: string;
  /** Undefined: plaintext. */
  readonly downstreamTls: TlsToLog | undefined;
  readonly upstreamTls: TlsToLog | undefined;
  /** "" where the handshake came to its end. */
  readonly downstreamTransportFailureReason: string;
  readonly routeName: string;
  readonly virtualHost: string;
  readonly virtualCluster: string;
  readonly filterChainName: string;
  readonly requestId: string;
  readonly traceId: string;
  readonly spanId: string;
  /** The client, or somebody before it, forces a trace (Envoy's `x-envoy-force-trace`). */
  readonly traceForced: boolean;
  readonly healthCheck: boolean;
  /** A value by namespace and path; undefined where there is none. */
  metadata(of: MetadataOf, namespace: string, path: readonly string[]): unknown;
}

/** What formats take from the process rather than from an exchange. */
export interface FormatEnvironment {
  readonly hostname: string;
  /** A variable of the process's environment. */
  variable(name: string): string | undefined;
  /** Milliseconds since the Unix epoch. */
  wallNow(): number;
  uuid(): string;
}

/** `envoy.data.accesslog.v3.AccessLogType`: when the line is made. */
export type AccessLogType =
  | "NotSet"
  | "TcpUpstreamConnected"
  | "TcpPeriodic"
  | "TcpConnectionEnd"
  | "DownstreamStart"
  | "DownstreamPeriodic"
  | "DownstreamEnd"
  | "UpstreamPoolReady"
  | "UpstreamPeriodic"
  | "UpstreamEnd"
  | "DownstreamTunnelSuccessfullyEstablished"
  | "UdpTunnelUpstreamConnected"
  | "UdpPeriodic"
  | "UdpSessionEnd";

/** The points of `%COMMON_DURATION%`, by Envoy's names. */
export const TIME_POINTS = [
  "DS_RX_BEG",
  "DS_RX_END",
  "US_CX_BEG",
  "US_CX_END",
  "US_HS_END",
  "US_TX_BEG",
  "US_TX_END",
  "US_RX_BEG",
  "US_RX_BODY_BEG",
  "US_RX_END",
  "DS_TX_BEG",
  "DS_TX_END",
  "DS_CX_BEG",
  "DS_CX_END",
] as const;
export type TimePoint = (typeof TIME_POINTS)[number];

export type WireBytes = "downstream-received" | "downstream-sent" | "upstream-received" | "upstream-sent";

/** Whose metadata; `%METADATA(TYPE:…)%` names them in upper case. */
export type MetadataOf =
  | "DYNAMIC"
  | "CLUSTER"
  | "ROUTE"
  | "UPSTREAM_HOST"
  | "LISTENER"
  | "LISTENER_FILTER_CHAIN"
  | "VIRTUAL_HOST";

/** What TLS has settled, as logs ask for it (`TlsInfo` of net). */
export interface TlsToLog {
  readonly version: string;
  readonly cipher: string;
  readonly group: string;
  readonly sessionId: string;
  readonly serverName: string;
  readonly peer: CertificateToLog | undefined;
  readonly peerChain: readonly CertificateToLog[];
  readonly local: CertificateToLog | undefined;
}

export interface CertificateToLog {
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  readonly emailSans: readonly string[];
  readonly ipSans: readonly string[];
  readonly validFromMs: number;
  readonly validToMs: number;
  readonly fingerprintSha256: string;
  readonly fingerprintSha1: string;
  readonly pem: string;
}
