import { type Exchange, formatResponseFlags } from "@heddle/filter";
import type { AccessLogSource } from "@heddle/telemetry";

/**
 * Shows exchanges to access-log formats. One object serves all exchanges of a worker, one after the other: set `exchange`,
 * then format.
 */
export class ExchangeLogSource implements AccessLogSource {
  exchange!: Exchange; // set before each use

  get startWallMs(): number {
    return this.exchange.startWallMs;
  }

  get durationMs(): number {
    return this.exchange.endMs - this.exchange.startMs;
  }

  get responseDurationMs(): number {
    return this.exchange.upstream.firstByteMs;
  }

  requestHeader(name: string): string | undefined {
    const { request } = this.exchange;
    switch (name) {
      case ":method":
        return request.method;
      case ":path":
        return request.path;
      case ":authority":
        return request.authority;
      case ":scheme":
        return request.scheme;
      default:
        return request.headers.get(name);
    }
  }

  responseHeader(name: string): string | undefined {
    return this.exchange.response?.headers.get(name);
  }

  responseTrailer(name: string): string | undefined {
    return this.exchange.responseTrailers?.get(name);
  }

  get protocol(): string {
    return `HTTP/${this.exchange.request.httpVersion}`;
  }

  get responseCode(): number {
    return this.exchange.response?.status ?? 0;
  }

  get responseFlags(): string {
    return formatResponseFlags(this.exchange.responseFlags);
  }

  get responseCodeDetails(): string {
    return this.exchange.responseCodeDetails;
  }

  get bytesReceived(): number {
    return this.exchange.requestBodyBytes;
  }

  get bytesSent(): number {
    return this.exchange.responseBodyBytes;
  }

  get upstreamHost(): string {
    return this.exchange.upstream.address;
  }

  get upstreamCluster(): string {
    return this.exchange.upstream.cluster;
  }

  get upstreamLocalAddress(): string {
    return this.exchange.upstream.localAddress;
  }

  get upstreamTransportFailureReason(): string {
    return this.exchange.upstream.failure?.detail ?? "";
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

  get downstreamLocalAddress(): string {
    return this.exchange.downstream.localAddress;
  }

  get downstreamLocalPort(): number {
    return this.exchange.downstream.localPort;
  }

  get connectionId(): number {
    return this.exchange.downstream.connectionId;
  }

  get routeName(): string {
    return this.exchange.route?.entry.name ?? "";
  }

  get virtualHost(): string {
    return this.exchange.route?.virtualHost ?? "";
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

  metadata(namespace: string, path: readonly string[]): unknown {
    const values = this.exchange.metadata.get(namespace);
    const [key, ...rest] = path;
    if (values === undefined || key === undefined) return values === undefined ? undefined : Object.fromEntries(values);
    let value = values.get(key);
    for (const name of rest) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
      value = (value as Record<string, unknown>)[name];
    }
    return value;
  }
}
