import type { DownstreamInfo } from "@heddle/filter";

/** A connection that has ended, for its listener's access log. */
export interface EndedConnection {
  readonly downstream: DownstreamInfo;
  /** Milliseconds since the Unix epoch. */
  readonly startWallMs: number;
  readonly durationMs: number;
  /** Of the whole connection, heads included. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** No filter chain wanted it, so it was closed (Envoy's flag NR). */
  readonly unmatched: boolean;
}

/** Writes the line of a connection that has ended. Never waits and never throws. */
export interface ConnectionLogger {
  log(connection: EndedConnection): void;
}
