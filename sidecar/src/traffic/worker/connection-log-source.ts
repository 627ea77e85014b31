import { tlsFailureText, transportFailureReason } from "@heddle/net";
import type {
  AccessLogSource,
  AccessLogType,
  FormatEnvironment,
  MetadataOf,
  TimePoint,
  TlsToLog,
  WireBytes,
} from "@heddle/telemetry";
import { valueAt } from "../http/exchange-log-source.ts";
import type { EndedConnection } from "../listener/connection-logger.ts";

/**
 * Shows connections to access-log formats: what belongs to a request is empty, as in Envoy's listener-level logs. One
 * object serves all connections of a worker, one after the other: set `connection`, then format.
 */
export class ConnectionLogSource implements AccessLogSource {
  readonly environment: FormatEnvironment;
  connection!: EndedConnection; // set before each use

  readonly protocol = "";
  readonly upstreamProtocol = "";
  readonly responseCode = 0;
  readonly localReplyBody = "";
  readonly routeName = "";
  readonly virtualHost = "";
  readonly virtualCluster = "";
  readonly requestId = "";
  readonly traceId = "";
  readonly spanId = "";
  readonly traceForced = false;
  readonly healthCheck = false;

  constructor(environment: FormatEnvironment) {
    this.environment = environment;
  }

  get connectionTerminationDetails(): string {
    return this.connection.terminationDetails ?? "";
  }

  get requestedServerName(): string {
    return this.connection.downstream.serverName ?? "";
  }

  get downstreamTls(): TlsToLog | undefined {
    return this.connection.downstream.tls;
  }

  get upstreamTls(): TlsToLog | undefined {
    return this.connection.upstream?.tls;
  }

  get downstreamTransportFailureReason(): string {
    const { tlsFailure } = this.connection.downstream;
    return tlsFailure === undefined ? "" : tlsFailureText(tlsFailure);
  }

  /** A filter that forwards says where to; a listener's own log is of no type, as in Envoy. */
  get logType(): AccessLogType {
    return this.connection.logType ?? (this.connection.upstream === undefined ? "NotSet" : "TcpConnectionEnd");
  }

  get startWallMs(): number {
    return this.connection.startWallMs;
  }

  get durationMs(): number {
    return this.connection.durationMs;
  }

  get elapsedMs(): number {
    return this.connection.durationMs;
  }

  timeOf(point: TimePoint): number {
    if (point === "DS_CX_BEG") return 0;
    return point === "DS_CX_END" ? this.connection.durationMs : -1;
  }

  headersBytes(): number {
    return 0;
  }

  get bytesReceived(): number {
    return this.connection.bytesReceived;
  }

  get bytesSent(): number {
    return this.connection.bytesSent;
  }

  wireBytes(of: WireBytes): number {
    switch (of) {
      case "downstream-received":
        return this.connection.bytesReceived;
      case "downstream-sent":
        return this.connection.bytesSent;
      default:
        return -1;
    }
  }

  get responseFlags(): number {
    return this.connection.responseFlags;
  }

  get responseCodeDetails(): string {
    return this.connection.details;
  }

  get upstreamHost(): string {
    return this.connection.upstream?.address ?? "";
  }

  get upstreamHostName(): string {
    return this.connection.upstream?.endpoint?.hostname ?? "";
  }

  get upstreamCluster(): string {
    return this.connection.upstream?.cluster ?? "";
  }

  get upstreamClusterRaw(): string {
    return this.connection.upstream?.cluster ?? "";
  }

  get upstreamLocalAddress(): string {
    return this.connection.upstream?.localAddress ?? "";
  }

  get upstreamConnectionId(): number {
    return this.connection.upstream?.connectionId ?? 0;
  }

  get upstreamTransportFailureReason(): string {
    const failure = this.connection.upstream?.failure;
    return failure === undefined ? "" : transportFailureReason(failure);
  }

  get upstreamAttempts(): number {
    return this.connection.upstream?.attempts ?? 0;
  }

  get downstreamRemoteAddress(): string {
    return this.connection.downstream.remoteAddress;
  }

  get downstreamRemotePort(): number {
    return this.connection.downstream.remotePort;
  }

  get downstreamDirectRemoteAddress(): string {
    return this.connection.downstream.directRemoteAddress;
  }

  get downstreamDirectRemotePort(): number {
    return this.connection.downstream.direct?.remotePort ?? this.connection.downstream.remotePort;
  }

  get downstreamLocalAddress(): string {
    return this.connection.downstream.localAddress;
  }

  get downstreamLocalPort(): number {
    return this.connection.downstream.localPort;
  }

  get downstreamDirectLocalAddress(): string {
    return this.connection.downstream.direct?.localAddress ?? this.connection.downstream.localAddress;
  }

  get downstreamDirectLocalPort(): number {
    return this.connection.downstream.direct?.localPort ?? this.connection.downstream.localPort;
  }

  get connectionId(): number {
    return this.connection.downstream.connectionId;
  }

  get filterChainName(): string {
    return this.connection.downstream.filterChain;
  }

  requestHeader(): undefined {
    return undefined;
  }

  requestHeaderValues(): readonly string[] {
    return [];
  }

  responseHeader(): undefined {
    return undefined;
  }

  responseTrailer(): undefined {
    return undefined;
  }

  metadata(of: MetadataOf, namespace: string, path: readonly string[]): unknown {
    const { downstream, upstream } = this.connection;
    if (of === "UPSTREAM_HOST") return valueAt(upstream?.endpoint?.config.metadata, [namespace, ...path]);
    if (of !== "DYNAMIC") return undefined;
    const values = downstream.metadata?.get(namespace);
    return valueAt(values && Object.fromEntries(values), path);
  }
}
