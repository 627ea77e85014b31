import type { HeaderMap } from "@heddle/http";
import { transportFailureReason } from "@heddle/net";
import type {
  AccessLogSource,
  AccessLogType,
  FormatEnvironment,
  MetadataOf,
  TimePoint,
  TlsToLog,
  WireBytes,
} from "@heddle/telemetry";
import { headerValue, headerValues } from "@heddle/traffic";
import type { HttpExchange } from "./http-exchange.ts";

/**
 * Shows exchanges to formats and filters of access logs, and to those of local replies. One object serves all exchanges of
 * a connection manager, one after the other: `HttpExchange.logSource` gives it to one.
 */
export class ExchangeLogSource implements AccessLogSource {
  readonly environment: FormatEnvironment;
  exchange!: HttpExchange; // set before each use
  logType: AccessLogType = "NotSet";

  readonly connectionTerminationDetails = "";
  /** Whose handshake fails has no exchange. */
  readonly downstreamTransportFailureReason = "";

  constructor(environment: FormatEnvironment) {
    this.environment = environment;
  }

  get requestedServerName(): string {
    return this.exchange.downstream.serverName ?? "";
  }

  get downstreamTls(): TlsToLog | undefined {
    return this.exchange.downstream.tls;
  }

  get upstreamTls(): TlsToLog | undefined {
    return this.exchange.upstream.tls;
  }

  get healthCheck(): boolean {
    return this.exchange.healthCheck;
  }

  get startWallMs(): number {
    return this.exchange.startWallMs;
  }

  get durationMs(): number {
    const { endMs, startMs } = this.exchange;
    return endMs < 0 ? -1 : endMs - startMs;
  }

  get elapsedMs(): number {
    const { exchange } = this;
    return (exchange.endMs < 0 ? exchange.now() : exchange.endMs) - exchange.startMs;
  }

  timeOf(point: TimePoint): number {
    const { exchange } = this;
    const { upstream } = exchange;
    switch (point) {
      case "DS_RX_BEG":
        return 0;
      case "DS_RX_END":
        return this.#sinceStart(exchange.requestEndMs);
      case "US_TX_BEG":
        return upstream.connectedMs; // the head goes out as soon as there is a connection
      case "US_TX_END":
        return upstream.sentMs;
      case "US_RX_BEG":
        return upstream.firstByteMs;
      case "US_RX_END":
        return upstream.lastByteMs;
      case "DS_TX_BEG":
        return this.#sinceStart(exchange.responseBeginMs);
      case "DS_TX_END":
        return this.durationMs;
      default:
        return -1; // of connections, or not looked at
    }
  }

  requestHeader(name: string): string | undefined {
    const { request } = this.exchange;
    if (!name.startsWith(":") && name !== "host") return request.headers.get(name);
    return headerValue(request, name) || undefined; // "": its head was never read
  }

  requestHeaderValues(name: string): readonly string[] {
    return headerValues(this.exchange.request, name);
  }

  responseHeader(name: string): string | undefined {
    const { response } = this.exchange;
    return name === ":status" ? response && String(response.status) : response?.headers.get(name);
  }

  responseTrailer(name: string): string | undefined {
    return this.exchange.responseTrailers?.get(name);
  }

  headersBytes(of: "request" | "response" | "response-trailers"): number {
    const { request, response, responseTrailers } = this.exchange;
    switch (of) {
      case "request": {
        const { method, path, authority, scheme, headers } = request;
        const pseudo = ":method:path:authority:scheme".length;
        return pseudo + method.length + path.length + authority.length + scheme.length + sizeOf(headers);
      }
      case "response":
        return response === undefined ? 0 : ":status200".length + sizeOf(response.headers);
      case "response-trailers":
        return responseTrailers === undefined ? 0 : sizeOf(responseTrailers);
    }
  }

  get protocol(): string {
    return `HTTP/${this.exchange.httpVersion}`;
  }

  get upstreamProtocol(): string {
    const { connectedMs, httpVersion } = this.exchange.upstream;
    return connectedMs < 0 ? "" : `HTTP/${httpVersion}`;
  }

  get responseCode(): number {
    return this.exchange.response?.status ?? 0;
  }

  get responseFlags(): number {
    return this.exchange.responseFlags;
  }

  get responseCodeDetails(): string {
    return this.exchange.responseCodeDetails;
  }

  get localReplyBody(): string {
    return this.exchange.localReplyBody;
  }

  get bytesReceived(): number {
    return this.exchange.requestBodyBytes;
  }

  get bytesSent(): number {
    return this.exchange.responseBodyBytes;
  }

  wireBytes(of: WireBytes): number {
    switch (of) {
      case "downstream-received":
        return this.exchange.wireBytesReceived;
      case "downstream-sent":
        return this.exchange.wireBytesSent;
      case "upstream-received":
        return this.exchange.upstream.wireBytesReceived;
      case "upstream-sent":
        return this.exchange.upstream.wireBytesSent;
    }
  }

  get upstreamHost(): string {
    return this.exchange.upstream.address;
  }

  get upstreamHostName(): string {
    return this.exchange.upstream.endpoint?.hostname ?? "";
  }

  get upstreamCluster(): string {
    const name = this.upstreamClusterRaw;
    return this.exchange.runtime.clusters.get(name)?.config.statName ?? name;
  }

  /** Of a request that was answered before the router chose: what its route names, if that is there. */
  get upstreamClusterRaw(): string {
    const { upstream, reachedRoute, runtime } = this.exchange;
    if (upstream.cluster !== "" || reachedRoute === undefined) return upstream.cluster;
    return runtime.clusters.has(reachedRoute.cluster) ? reachedRoute.cluster : "";
  }

  get upstreamLocalAddress(): string {
    return this.exchange.upstream.localAddress;
  }

  get upstreamConnectionId(): number {
    return this.exchange.upstream.connectionId;
  }

  get upstreamTransportFailureReason(): string {
    const { failure } = this.exchange.upstream;
    return failure === undefined ? "" : transportFailureReason(failure);
  }

  get upstreamAttempts(): number {
    return this.exchange.upstream.attempts;
  }

  get downstreamRemoteAddress(): string {
    return this.exchange.downstream.remoteAddress;
  }

  get downstreamRemotePort(): number {
    return this.exchange.downstream.remotePort;
  }

  get downstreamDirectRemoteAddress(): string {
    return this.exchange.downstream.directRemoteAddress;
  }

  get downstreamDirectRemotePort(): number {
    return this.exchange.downstream.direct?.remotePort ?? this.exchange.downstream.remotePort;
  }

  get downstreamLocalAddress(): string {
    return this.exchange.downstream.localAddress;
  }

  get downstreamLocalPort(): number {
    return this.exchange.downstream.localPort;
  }

  get downstreamDirectLocalAddress(): string {
    return this.exchange.downstream.direct?.localAddress ?? this.exchange.downstream.localAddress;
  }

  get downstreamDirectLocalPort(): number {
    return this.exchange.downstream.direct?.localPort ?? this.exchange.downstream.localPort;
  }

  get connectionId(): number {
    return this.exchange.downstream.connectionId;
  }

  get routeName(): string {
    return this.exchange.reachedRoute?.entry.name ?? "";
  }

  get virtualHost(): string {
    return this.exchange.reachedRoute?.virtualHost ?? "";
  }

  get virtualCluster(): string {
    return this.exchange.virtualCluster?.name ?? "";
  }

  get filterChainName(): string {
    return this.exchange.downstream.filterChain;
  }

  get requestId(): string {
    return this.exchange.requestId;
  }

  get traceId(): string {
    return this.exchange.trace.traceId;
  }

  get spanId(): string {
    return this.exchange.trace.spanId;
  }

  get traceForced(): boolean {
    return this.exchange.request.headers.has("x-envoy-force-trace");
  }

  metadata(of: MetadataOf, namespace: string, path: readonly string[]): unknown {
    const { exchange } = this;
    switch (of) {
      case "DYNAMIC": {
        const ofExchange = exchange.hasMetadata ? exchange.metadata.get(namespace) : undefined;
        const values = ofExchange ?? exchange.downstream.metadata?.get(namespace);
        if (values === undefined || path.length === 0) return values && Object.fromEntries(values);
        return valueAt(values.get(path[0]!), path, 1); // not empty
      }
      case "CLUSTER":
        return valueAt(exchange.runtime.clusters.get(exchange.upstream.cluster)?.config.metadata, [namespace, ...path]);
      case "UPSTREAM_HOST":
        return valueAt(exchange.upstream.endpoint?.config.metadata, [namespace, ...path]);
      case "ROUTE":
        return valueAt(exchange.selectedRoute?.entry.metadata, [namespace, ...path]);
      default:
        return undefined; // not copied out of the configuration
    }
  }

  #sinceStart(ms: number): number {
    return ms < 0 ? -1 : ms - this.exchange.startMs;
  }
}

/** The value at that path of JSON. Undefined: there is none. */
export function valueAt(from: unknown, path: readonly string[], first = 0): unknown {
  let value = from;
  for (let i = first; i < path.length; i++) {
    const name = path[i]!; // i is below the length
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function sizeOf({ fields }: HeaderMap): number {
  let size = 0;
  for (let i = 0; i < fields.length; i++) size += fields[i]!.length; // i is below the length
  return size;
}
