/**
 * What an access-log line can tell of one exchange that has ended. Whoever has exchanges adapts them to this. Text is as
 * it came over the wire (header values: latin1); the format makes it safe. Undefined or "" is written as "-".
 */
export interface AccessLogSource {
  /** Milliseconds since the Unix epoch. */
  readonly startWallMs: number;
  /** From the first byte of the request to the last of the response. */
  readonly durationMs: number;
  /** From the start, or -1 where it did not happen: the upstream's first byte. */
  readonly responseDurationMs: number;
  /** By lower-case name; ":method", ":path", ":authority" and ":scheme" too. */
  requestHeader(name: string): string | undefined;
  responseHeader(name: string): string | undefined;
  responseTrailer(name: string): string | undefined;
  /** "HTTP/1.1" */
  readonly protocol: string;
  /** 0 where there was no response. */
  readonly responseCode: number;
  /** "UF,URX", or "-". */
  readonly responseFlags: string;
  readonly responseCodeDetails: string;
  /** Bytes of bodies. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly upstreamHost: string;
  readonly upstreamCluster: string;
  readonly upstreamLocalAddress: string;
  readonly upstreamTransportFailureReason: string;
  /** Attempts begun. */
  readonly upstreamAttempts: number;
  readonly downstreamRemoteAddress: string;
  readonly downstreamRemotePort: number;
  readonly downstreamDirectRemoteAddress: string;
  readonly downstreamLocalAddress: string;
  readonly downstreamLocalPort: number;
  readonly connectionId: number;
  readonly routeName: string;
  readonly virtualHost: string;
  readonly filterChainName: string;
  readonly requestId: string;
  readonly traceId: string;
  /** A value that filters have left, by namespace and path; undefined where there is none. */
  metadata(namespace: string, path: readonly string[]): unknown;
}
