import type { DownstreamInfo, UpstreamInfo } from "@heddle/filter";

/** A connection that has ended, or how it stands meanwhile, for the access log of its listener or of what served it. */
export interface EndedConnection {
  readonly downstream: DownstreamInfo;
  /** Milliseconds since the Unix epoch. */
  readonly startWallMs: number;
  readonly durationMs: number;
  /** Of the whole connection, heads included. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** Bits of `ResponseFlag`. */
  readonly responseFlags: number;
  /** Why we ended it, if we did: "filter_chain_not_found". */
  readonly details: string;
  /** Why a filter before the one that serves has ended it. Left out: none has. */
  readonly terminationDetails?: string;
  /** Left out: it has ended. */
  readonly logType?: "TcpUpstreamConnected" | "TcpPeriodic" | "UdpSessionEnd";
  /** Where its bytes went, if a filter says so. */
  readonly upstream: UpstreamInfo | undefined;
}

/** Writes the line of a connection that has ended. Never waits and never throws. */
export interface ConnectionLogger {
  log(connection: EndedConnection): void;
  /** Whoever logs has ended: lets go of the files that nobody else writes to. */
  close?(): void;
}
