import type { AccessLogConfig } from "../access-log/access-log-config.ts";

/** `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`, decoded. Plain JSON data. */
export interface TcpProxyConfig {
  readonly statPrefix: string;
  /** At least one. Of several one is drawn by its weight for each attempt to connect. */
  readonly clusters: readonly WeightedClusterName[];
  /** Without a byte in either direction: 1 h; 0 is off. */
  readonly idleTimeoutMs: number;
  readonly maxConnectAttempts: number; // 1
  readonly maxDownstreamConnectionDurationMs: number; // 0 is off
  readonly accessLog: readonly AccessLogConfig[];
  /** A line each time so much has passed, besides the one at the end; 0 is off. */
  readonly accessLogFlushIntervalMs: number;
  /** A line when the upstream is connected, besides the one at the end. */
  readonly flushAccessLogOnConnected: boolean;
}

export interface WeightedClusterName {
  readonly name: string;
  readonly weight: number; // at least 1
}
