import type { LogCommand } from "./access-log-command-type.ts";
import type { AccessLogSource, TimePoint } from "./access-log-source.ts";
import { OF_TLS_CONNECTIONS, underscored } from "./access-log-tls-commands.ts";
import { grpcStatusOfCall } from "./grpc-status.ts";
import { formatResponseFlags, formatResponseFlagsLong } from "./response-flags.ts";

/** Commands without an argument (Envoy: config/advanced/substitution_formatter). */
export const PLAIN: Readonly<Record<string, LogCommand>> = {
  ...OF_TLS_CONNECTIONS,

  // The message
  PROTOCOL: (s) => s.protocol || "-", // a dash in JSON as well
  UPSTREAM_PROTOCOL: (s) => s.upstreamProtocol || "-",
  RESPONSE_CODE: (s) => s.responseCode,
  RESPONSE_FLAGS: (s) => formatResponseFlags(s.responseFlags),
  RESPONSE_FLAGS_LONG: (s) => formatResponseFlagsLong(s.responseFlags),
  CONNECTION_TERMINATION_DETAILS: (s) => s.connectionTerminationDetails || undefined,
  LOCAL_REPLY_BODY: (s) => s.localReplyBody,
  GRPC_STATUS_NUMBER: grpcStatusOfCall,
  ACCESS_LOG_TYPE: (s) => s.logType,

  // Bytes
  BYTES_RECEIVED: (s) => s.bytesReceived,
  BYTES_SENT: (s) => s.bytesSent,
  REQUEST_HEADERS_BYTES: (s) => s.headersBytes("request"),
  RESPONSE_HEADERS_BYTES: (s) => s.headersBytes("response"),
  RESPONSE_TRAILERS_BYTES: (s) => s.headersBytes("response-trailers"),
  DOWNSTREAM_WIRE_BYTES_RECEIVED: (s) => counted(s.wireBytes("downstream-received")),
  DOWNSTREAM_WIRE_BYTES_SENT: (s) => counted(s.wireBytes("downstream-sent")),
  UPSTREAM_WIRE_BYTES_RECEIVED: (s) => counted(s.wireBytes("upstream-received")),
  UPSTREAM_WIRE_BYTES_SENT: (s) => counted(s.wireBytes("upstream-sent")),
  // Of QUIC alone; Envoy writes 0 for every other protocol.
  BYTES_RETRANSMITTED: () => 0,
  PACKETS_RETRANSMITTED: () => 0,
  ROUNDTRIP_DURATION: () => undefined,

  // Time, in whole ms
  DURATION: (s) => (s.durationMs < 0 ? undefined : Math.floor(s.durationMs)),
  REQUEST_DURATION: (s) => passed(s, "DS_RX_END"),
  REQUEST_TX_DURATION: (s) => passed(s, "US_TX_END"),
  RESPONSE_DURATION: (s) => passed(s, "US_RX_BEG"),
  RESPONSE_TX_DURATION: (s) => {
    const begun = s.timeOf("US_RX_BEG");
    return begun < 0 || s.durationMs < 0 ? undefined : Math.floor(s.durationMs - begun);
  },

  // Upstream
  UPSTREAM_HOST: (s) => s.upstreamHost || undefined,
  UPSTREAM_HOST_NAME: (s) => s.upstreamHostName || s.upstreamHost || undefined,
  UPSTREAM_HOST_NAME_WITHOUT_PORT: (s) => s.upstreamHostName || addressOf(s.upstreamHost) || undefined,
  UPSTREAM_CLUSTER: (s) => s.upstreamCluster || undefined,
  UPSTREAM_CLUSTER_RAW: (s) => s.upstreamClusterRaw || undefined,
  UPSTREAM_LOCAL_ADDRESS: (s) => s.upstreamLocalAddress || undefined,
  UPSTREAM_LOCAL_PORT: (s) => portOf(s.upstreamLocalAddress),
  UPSTREAM_REMOTE_ADDRESS: (s) => s.upstreamHost || undefined,
  UPSTREAM_REMOTE_PORT: (s) => portOf(s.upstreamHost),
  UPSTREAM_CONNECTION_ID: (s) => s.upstreamConnectionId || undefined,
  UPSTREAM_TRANSPORT_FAILURE_REASON: (s) => underscored(s.upstreamTransportFailureReason),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: (s) => s.upstreamAttempts,

  // Downstream
  DOWNSTREAM_REMOTE_ADDRESS: (s) => withPort(s.downstreamRemoteAddress, s.downstreamRemotePort),
  DOWNSTREAM_REMOTE_PORT: (s) => s.downstreamRemotePort,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: (s) => withPort(s.downstreamDirectRemoteAddress, s.downstreamDirectRemotePort),
  DOWNSTREAM_DIRECT_REMOTE_PORT: (s) => s.downstreamDirectRemotePort,
  DOWNSTREAM_LOCAL_ADDRESS: (s) => withPort(s.downstreamLocalAddress, s.downstreamLocalPort),
  DOWNSTREAM_LOCAL_PORT: (s) => s.downstreamLocalPort,
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS: (s) => withPort(s.downstreamDirectLocalAddress, s.downstreamDirectLocalPort),
  DOWNSTREAM_DIRECT_LOCAL_PORT: (s) => s.downstreamDirectLocalPort,
  CONNECTION_ID: (s) => s.connectionId,

  // What was chosen for it
  ROUTE_NAME: (s) => s.routeName || undefined,
  VIRTUAL_HOST_NAME: (s) => s.virtualHost || undefined,
  VIRTUAL_CLUSTER_NAME: (s) => s.virtualCluster || undefined,
  FILTER_CHAIN_NAME: (s) => s.filterChainName || undefined,
  STREAM_ID: (s) => s.requestId || undefined,
  TRACE_ID: (s) => s.traceId || undefined,
  SPAN_ID: (s) => s.spanId || undefined,
  CUSTOM_FLAGS: () => undefined, // no filter has any
};

const CEL = "expressions (CEL) are not evaluated";
const FILTER_STATE = "filters leave dynamic metadata, and no filter state";
const NOT_KEPT = "it is not recorded";

/** Commands that Envoy has and that are always "-" here, with the reason. Configurations that have them are told. */
export const UNFILLED: ReadonlyMap<string, string> = new Map([
  ...["CEL", "TYPED_CEL"].map((name) => [name, CEL] as const),
  ...["FILTER_STATE", "UPSTREAM_FILTER_STATE"].map((name) => [name, FILTER_STATE] as const),
  ...["DOWNSTREAM", "UPSTREAM"].flatMap((side) =>
    ["HEADER_BYTES", "DECOMPRESSED_HEADER_BYTES"].flatMap((what) =>
      ["SENT", "RECEIVED"].map((way) => [`${side}_${what}_${way}`, NOT_KEPT] as const),
    ),
  ),
  ...[
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
  ].map((name) => [name, NOT_KEPT] as const),
  ...["UPSTREAM_REMOTE", "DOWNSTREAM_LOCAL", "DOWNSTREAM_DIRECT_LOCAL"].map(
    (what) => [`${what}_ADDRESS_ENDPOINT_ID`, "there are no internal listeners"] as const,
  ),
  ...["TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT"].map((name) => [name, "fingerprints are not taken"] as const),
]);

/** The address of "ip:port" or "[ip]:port". Something else (a path) is its own. */
export function addressOf(text: string): string {
  const colon = portColon(text);
  if (colon === -1) return text;
  return text.startsWith("[") ? text.slice(1, colon - 1) : text.slice(0, colon);
}

function portOf(text: string): number | undefined {
  const colon = portColon(text);
  return colon === -1 ? undefined : Number(text.slice(colon + 1));
}

function portColon(text: string): number {
  const colon = text.lastIndexOf(":");
  return colon === -1 || text.startsWith("/") || text.startsWith("@") ? -1 : colon;
}

function withPort(address: string, port: number): string | undefined {
  if (address === "" || port === 0) return address || undefined;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function counted(bytes: number): number | undefined {
  return bytes < 0 ? undefined : bytes;
}

function passed(source: AccessLogSource, point: TimePoint): number | undefined {
  const ms = source.timeOf(point);
  return ms < 0 ? undefined : Math.floor(ms);
}
