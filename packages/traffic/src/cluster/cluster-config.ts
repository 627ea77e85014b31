import type { HeaderNameFormat } from "@heddle/http";
import type { EndpointsConfig } from "../endpoint/endpoints-config.ts";
import type { Http2Options } from "../http2-options.ts";
import type { UpstreamProxyProtocol } from "../listener/proxy-protocol-config.ts";
import type { ConfigSource } from "../source/config-source.ts";
import type { UpstreamTlsConfig } from "../tls/tls-config.ts";

/* `envoy.config.cluster.v3.Cluster`, decoded. Plain JSON data: it crosses to the workers. */

export interface ClusterConfig {
  readonly name: string;
  /** `alt_stat_name` where set, else the name. */
  readonly statName: string;
  readonly discovery:
    | { readonly type: "STATIC"; readonly loadAssignment: EndpointsConfig }
    | { readonly type: "STRICT_DNS"; readonly loadAssignment: EndpointsConfig; readonly dns: DnsConfig }
    | { readonly type: "LOGICAL_DNS"; readonly loadAssignment: EndpointsConfig; readonly dns: DnsConfig }
    | EdsDiscovery
    | OriginalDstDiscovery;
  readonly lbPolicy: LbPolicy;
  readonly connectTimeoutMs: number; // 5 s
  readonly perConnectionBufferLimitBytes: number; // 1 MiB
  readonly circuitBreakers: { readonly default: CircuitBreakerThresholds; readonly high: CircuitBreakerThresholds };
  readonly healthyPanicThresholdPercent: number; // 50
  /**
   * "unset": the cluster says nothing, so HTTP/1; towards a sidecar of ours (endpoint metadata `heddle.h2`) HTTP/2. "auto" is
   * what TLS agrees on.
   */
  readonly upstreamProtocol: "unset" | "http1" | "http2" | "auto" | "use-downstream";
  /** Of its HTTP/2 connections. Left out: the defaults. */
  readonly http2?: Http2Options;
  /** `common_http_protocol_options.idle_timeout`. Undefined: the pool's own rule (under Node's 5 s). 0 is off. */
  readonly idleTimeoutMs: number | undefined;
  readonly maxConnectionDurationMs: number; // 0 is off
  /** Each connection gets up to that part of the duration more, by chance. */
  readonly maxConnectionDurationJitterPercent: number;
  readonly maxRequestsPerConnection: number; // 0 is no limit
  /** Of a response: its status line and all fields (80, as Envoy has it for HTTP/1). */
  readonly maxResponseHeadersKb: number;
  /** Of a response: 100. */
  readonly maxHeadersCount: number;
  /** From the moment in which an attempt has its connection to the end of the answer; 0 is off. */
  readonly maxStreamDurationMs: number;
  /** How names are written to the upstream, and whether its own spelling is kept. Left out: lower case. */
  readonly headerNames?: HeaderNameFormat;
  readonly tcpKeepalive:
    | { readonly idleSeconds: number; readonly intervalSeconds: number; readonly probes: number }
    | undefined;
  /** Where its connections come from. Left out: the system chooses. */
  readonly upstreamBindConfig?: UpstreamBindConfig;
  /** What each connection begins with. Left out: nothing. */
  readonly proxyProtocol?: UpstreamProxyProtocol;
  /** What it goes through behind that. Left out: it is plaintext. */
  readonly tls?: UpstreamTlsConfig;
  /** For endpoints whose metadata fits: what stands here counts instead, the first that fits. */
  readonly transportSocketMatches?: readonly TransportSocketMatch[];
  /** Metrics of endpoints (ORCA) that load reports tell of, at least one. Left out: none. */
  readonly lrsReportEndpointMetrics?: readonly string[];
  /** `upstream_http_protocol_options`. Left out: TLS asks for the same name whatever the request is. */
  readonly sniFromRequest?: SniFromRequest;
  readonly metadata: { readonly [namespace: string]: { readonly [key: string]: unknown } };
}

/** `Cluster.EdsClusterConfig` */
export interface EdsDiscovery {
  readonly type: "EDS";
  readonly serviceName: string; // the cluster's name where unset
  /** Where its endpoints come from. Left out: the aggregated stream. */
  readonly source?: ConfigSource;
}

/** Type ORIGINAL_DST: its endpoints are where clients have meant to go. With it goes the policy "cluster-provided". */
export interface OriginalDstDiscovery {
  readonly type: "ORIGINAL_DST";
  /** An endpoint that nobody was sent to for so long is forgotten (5 s). */
  readonly cleanupIntervalMs: number;
  /** The header of a request that names the endpoint instead, lower case. Left out: none does. */
  readonly httpHeaderName?: string;
  /** Dynamic metadata that names it instead, before the header. Left out: none does. */
  readonly metadataKey?: { readonly namespace: string; readonly path: readonly string[] };
  /** The port of every endpoint. Left out: what it was found with. */
  readonly upstreamPortOverride?: number;
}

/** `core.v3.BindConfig` */
export interface UpstreamBindConfig {
  /** The first of the endpoint's family counts, else the first. At least one, at most one of each family. */
  readonly sourceAddresses: readonly SourceAddress[];
  /** IP_FREEBIND. Left out: as the system has it. */
  readonly freebind?: boolean;
}

export interface SourceAddress {
  readonly address: string;
  /** 0: the system chooses. */
  readonly port: number;
}

/** `Cluster.TransportSocketMatch`. Neither of the two: plaintext. */
export interface TransportSocketMatch {
  readonly name: string;
  /** What the endpoint's metadata `envoy.transport_socket_match` has to hold. Empty: fits every endpoint. */
  readonly match: { readonly [key: string]: unknown };
  readonly proxyProtocol?: UpstreamProxyProtocol;
  readonly tls?: UpstreamTlsConfig;
}

/** `UpstreamHttpProtocolOptions` */
export interface SniFromRequest {
  /** TLS asks for the request's host. */
  readonly autoSni: boolean;
  /** The certificate has to stand for the request's host. */
  readonly autoSanValidation: boolean;
  /** The header that counts more than the host, lower case; "" for none. */
  readonly overrideHeader: string;
}

export interface DnsConfig {
  readonly refreshRateMs: number; // 5 s
  readonly respectTtl: boolean;
  readonly lookupFamily: "AUTO" | "V4_ONLY" | "V6_ONLY" | "V4_PREFERRED" | "ALL";
}

export type LbPolicy =
  | { readonly type: "round-robin" }
  | {
      readonly type: "least-request";
      readonly choiceCount: number;
      readonly activeRequestBias: number;
      /** What the runtime says under it takes the bias' place. Left out: nothing. */
      readonly activeRequestBiasKey?: string;
    }
  | { readonly type: "random" }
  | ClientSideWeightedRoundRobin
  /** The cluster's type says where a request goes: ORIGINAL_DST alone has it. */
  | { readonly type: "cluster-provided" };

/** Weights by what endpoints say of their own load. */
export interface ClientSideWeightedRoundRobin {
  readonly type: "client-side-weighted-round-robin";
  readonly blackoutPeriodMs: number; // 10 s
  readonly weightExpirationPeriodMs: number; // 3 min
  readonly weightUpdatePeriodMs: number; // 1 s; at least 100 ms
  readonly errorUtilizationPenalty: number; // 1
  readonly metricNamesForComputingUtilization: readonly string[];
}

/** Per process, not per worker. Envoy's defaults: 1024 each, 3 retries. */
export interface CircuitBreakerThresholds {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
}
