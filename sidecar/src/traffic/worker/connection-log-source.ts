import { formatResponseFlags } from "@heddle/filter";
import type { AccessLogSource } from "@heddle/telemetry";
import type { EndedConnection } from "../listener/connection-logger.ts";

/**
 * Shows connections to access-log formats: what belongs to a request is empty, as in Envoy's listener-level logs. One
 * object serves all connections of a worker, one after the other: set `connection`, then format.
 */
export class ConnectionLogSource implements AccessLogSource {
  connection!: EndedConnection; // set before each use

  readonly responseDurationMs = -1;
  readonly protocol = "";
  readonly responseCode = 0;
  readonly routeName = "";
  readonly virtualHost = "";
  readonly requestId = "";
  readonly traceId = "";

  get startWallMs(): number {
    return this.connection.startWallMs;
  }

  get durationMs(): number {
    return this.connection.durationMs;
  }

  get bytesReceived(): number {
    return this.connection.bytesReceived;
  }

  get bytesSent(): number {
    return this.connection.bytesSent;
  }

  get responseFlags(): string {
    return formatResponseFlags(this.connection.responseFlags);
  }

  get responseCodeDetails(): string {
    return this.connection.details;
  }

  get upstreamHost(): string {
    return this.connection.upstream?.address ?? "";
  }

  get upstreamCluster(): string {
    return this.connection.upstream?.cluster ?? "";
  }

  get upstreamLocalAddress(): string {
    return this.connection.upstream?.localAddress ?? "";
  }

  get upstreamTransportFailureReason(): string {
    return this.connection.upstream?.failure?.detail ?? "";
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

  get downstreamLocalAddress(): string {
    return this.connection.downstream.localAddress;
  }

  get downstreamLocalPort(): number {
    return this.connection.downstream.localPort;
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

  responseHeader(): undefined {
    return undefined;
  }

  responseTrailer(): undefined {
    return undefined;
  }

  metadata(): undefined {
    return undefined;
  }
}
