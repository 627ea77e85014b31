import type { AccessLogConfig, AccessLogOptions, LocalReplyConfig } from "../access-log/access-log-config.ts";
import type { ExtensionDiscovery } from "../extension/extension-config.ts";
import type { Http2Options } from "../http2-options.ts";
import type { RouteConfiguration } from "../route/route-config.ts";
import type { ConfigSource } from "../source/config-source.ts";
import type { DownstreamTlsConfig } from "../tls/tls-config.ts";
import type { TypedConfig } from "../typed-config.ts";
import type { DnsTcpConfig } from "./dns-filter-config.ts";
import type { HttpManners } from "./http-manners-config.ts";
import type { ProxyProtocolConfig } from "./proxy-protocol-config.ts";
import type { TcpProxyConfig } from "./tcp-proxy-config.ts";
import type { TracingConfig } from "./tracing-config.ts";
import type { UdpListenerConfig } from "./udp-proxy-config.ts";

/* `envoy.config.listener.v3.Listener` and the HTTP connection manager, decoded. Plain JSON data: it crosses to the workers. */

export type Address =
  | { readonly type: "socket"; readonly address: string; readonly port: number }
  | { readonly type: "pipe"; readonly path: string; readonly mode: number | undefined };

export interface ListenerConfig {
  readonly name: string;
  readonly address: Address;
  readonly additionalAddresses: readonly Address[];
  readonly statPrefix: string;
  readonly filterChains: readonly FilterChainConfig[];
  readonly defaultFilterChain: FilterChainConfig | undefined;
  /** Soft limit on read and write buffers of each connection (1 MiB). */
  readonly perConnectionBufferLimitBytes: number;
  /** 15 s; 0 is off. */
  readonly listenerFiltersTimeoutMs: number;
  /** When the time is over: serve the connection with what is known, instead of closing it. */
  readonly continueOnListenerFiltersTimeout: boolean;
  readonly listenerFilters: readonly ListenerFilterConfig[];
  /** It takes datagrams, and no chain serves them. Left out: it takes connections. */
  readonly udp?: UdpListenerConfig;
  readonly trafficDirection: "UNSPECIFIED" | "INBOUND" | "OUTBOUND";
  /** `tcp_backlog_size` (128 where unset; Envoy takes the kernel's somaxconn on Linux, and so do we: undefined). */
  readonly tcpBacklogSize: number | undefined;
  readonly reusePort: boolean;
  /** MODIFY_ONLY: a failed health check of the process does not drain it. */
  readonly drainType: "DEFAULT" | "MODIFY_ONLY";
  readonly accessLog: readonly AccessLogConfig[];
  /**
   * Each connection goes to the listener at whose address it was aimed before it was redirected (exact, then the wildcard of
   * its port), and is served here where there is none. Left out: it is served here.
   */
  readonly useOriginalDst?: true;
  /** It has no socket, and gets what others hand over. Left out: it listens. */
  readonly bindToPort?: false;
  /** IP_TRANSPARENT: it takes connections to addresses that are not ours (TPROXY). */
  readonly transparent?: true;
  /** IP_FREEBIND: its address need not exist yet. */
  readonly freebind?: true;
}

/** Each may have an exception. */
export type ListenerFilterConfig = ListenerFilterKind & {
  /** `filter_disabled`: connections that the filter passes over. Left out: none. */
  readonly disabled?: ListenerFilterMatch;
  /** It has come by ECDS, or is to come. Left out: it stands in its listener. */
  readonly discovered?: ExtensionDiscovery;
};

/** `ListenerFilterChainMatchPredicate` */
export type ListenerFilterMatch =
  | { readonly type: "any" }
  | { readonly type: "not"; readonly rule: ListenerFilterMatch }
  | { readonly type: "and" | "or"; readonly rules: readonly ListenerFilterMatch[] }
  /** The port of the connection's local address, as it is known by then; `end` is excluded. */
  | { readonly type: "destination-port"; readonly start: number; readonly end: number };

type ListenerFilterKind =
  | { readonly type: "proxy-protocol"; readonly name: string; readonly config: ProxyProtocolConfig }
  | { readonly type: "tls-inspector"; readonly name: string; readonly maxClientHelloBytes: number }
  | { readonly type: "http-inspector"; readonly name: string }
  /** The upstream of a client that has been silent for so long is dialled, since it may be about to speak. */
  | { readonly type: "server-first"; readonly name: string; readonly afterMs: number }
  /** Puts back the address to which the client has connected before it was redirected. */
  | { readonly type: "original-dst"; readonly name: string }
  /** Upstream connections come from the client's address. `mark`: SO_MARK of these; 0 is none. */
  | { readonly type: "original-src"; readonly name: string; readonly mark: number }
  | { readonly type: "extension"; readonly name: string; readonly config: TypedConfig }
  | ToDiscover<ListenerFilterKind>
  | MissingFilter;

/** Comes by ECDS. The assembler puts what has come in its place, so no worker meets it. */
export interface ToDiscover<Kind> {
  readonly type: "discovered";
  readonly name: string;
  /** `default_config` */
  readonly fallback?: Kind;
}

/** Nothing has come by ECDS, and there is no default: connections are closed, as in Envoy. */
export interface MissingFilter {
  readonly type: "missing";
  readonly name: string;
}

export interface FilterChainConfig {
  readonly name: string;
  readonly match: FilterChainMatch | undefined;
  readonly filters: readonly NetworkFilterConfig[];
  /** What a connection goes through first. Left out: it is plaintext. */
  readonly tls?: DownstreamTlsConfig;
  /** For the TLS handshake. 0: our own limit, since Envoy's is none. */
  readonly transportSocketConnectTimeoutMs: number;
}

/** Empty lists and undefined match everything. The order of the criteria is Envoy's (listener_components.proto). */
export interface FilterChainMatch {
  readonly destinationPort: number | undefined;
  readonly prefixRanges: readonly string[]; // "10.0.0.0/8"
  readonly directSourcePrefixRanges: readonly string[];
  readonly sourceType: "ANY" | "SAME_IP_OR_LOOPBACK" | "EXTERNAL";
  readonly sourcePrefixRanges: readonly string[];
  readonly sourcePorts: readonly number[];
  readonly serverNames: readonly string[]; // lower case; "*.example.com" is a suffix wildcard
  readonly transportProtocol: string; // "" | "raw_buffer" | "tls"
  readonly applicationProtocols: readonly string[];
}

/** Each may have come by ECDS, or be to come. */
export type NetworkFilterConfig = NetworkFilterKind & { readonly discovered?: ExtensionDiscovery };

type NetworkFilterKind =
  | { readonly type: "http-connection-manager"; readonly name: string; readonly config: HttpConnectionManagerConfig }
  | { readonly type: "tcp-proxy"; readonly name: string; readonly config: TcpProxyConfig }
  | { readonly type: "echo"; readonly name: string }
  | { readonly type: "direct-response"; readonly name: string; readonly responseBase64: string }
  | { readonly type: "dns"; readonly name: string; readonly config: DnsTcpConfig }
  | { readonly type: "extension"; readonly name: string; readonly config: TypedConfig }
  | ToDiscover<NetworkFilterKind>
  | MissingFilter;

export type CodecType = "AUTO" | "HTTP1" | "HTTP2";

/** `Rds` */
export interface RdsRoutes {
  readonly type: "rds";
  readonly routeConfigName: string;
  /** Where the route configuration comes from. Left out: the aggregated stream. */
  readonly source?: ConfigSource;
}

export interface HttpConnectionManagerConfig {
  readonly statPrefix: string;
  readonly codecType: CodecType;
  readonly routes: RdsRoutes | { readonly type: "inline"; readonly routeConfig: RouteConfiguration };
  readonly httpFilters: readonly HttpFilterConfig[];
  readonly upgradeConfigs: readonly UpgradeConfig[];
  readonly accessLog: readonly AccessLogConfig[];
  /** Undefined: a line at the end, and no other. */
  readonly accessLogOptions: AccessLogOptions | undefined;
  /** Undefined: local replies are as they are. */
  readonly localReply: LocalReplyConfig | undefined;
  readonly tracing?: TracingConfig;
  /** `server_name`: "heddle" where unset (Envoy writes "envoy"). */
  readonly serverName: string;
  readonly serverHeaderTransformation: "OVERWRITE" | "APPEND_IF_ABSENT" | "PASS_THROUGH";
  readonly maxRequestHeadersKb: number; // 60
  readonly maxHeadersCount: number; // 100
  readonly maxRequestsPerConnection: number; // 0 is no limit
  /** `common_http_protocol_options.idle_timeout`: 1 h; 0 is off. */
  readonly idleTimeoutMs: number;
  readonly maxConnectionDurationMs: number; // 0 is off
  /** Each connection gets up to that part of the duration more, by chance (`max_connection_duration_jitter`). */
  readonly maxConnectionDurationJitterPercent: number;
  /** Behind the duration an idle connection waits for its next request instead of closing after `drain_timeout`. */
  readonly http1SafeMaxConnectionDuration: boolean;
  /** 5 min; 0 is off. */
  readonly streamIdleTimeoutMs: number;
  /** Whole request, head to last byte; 0 is off. */
  readonly requestTimeoutMs: number;
  /** Head only; 0 is off. */
  readonly requestHeadersTimeoutMs: number;
  readonly maxStreamDurationMs: number; // 0 is off
  readonly drainTimeoutMs: number; // 5 s
  readonly delayedCloseTimeoutMs: number; // 1 s
  readonly useRemoteAddress: boolean;
  readonly xffNumTrustedHops: number;
  readonly skipXffAppend: boolean;
  readonly generateRequestId: boolean; // true
  readonly preserveExternalRequestId: boolean;
  readonly alwaysSetRequestIdInResponse: boolean;
  readonly via: string;
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  readonly pathWithEscapedSlashesAction:
    | "KEEP_UNCHANGED"
    | "REJECT_REQUEST"
    | "UNESCAPE_AND_REDIRECT"
    | "UNESCAPE_AND_FORWARD";
  readonly stripPort: "none" | "matching" | "any";
  readonly acceptHttp10: boolean;
  readonly defaultHostForHttp10: string;
  readonly proxy100Continue: boolean;
  /** Of a request's head. Some upstreams take "a_b" and "a-b" for one name. */
  readonly headersWithUnderscoresAction: "ALLOW" | "REJECT_REQUEST" | "DROP_HEADER";
  readonly manners: HttpManners;
  readonly http2: Http2Options;
}

export interface HttpFilterConfig {
  readonly name: string;
  readonly config: TypedConfig;
  readonly disabled: boolean;
  /** What comes by ECDS takes the place of `config`, which is its default. Left out: `config` it is. */
  readonly discovery?: ExtensionDiscovery;
  /** Whoever does not have it leaves it out. Said only to others: what was read here is there. */
  readonly optional?: true;
}

export interface UpgradeConfig {
  /** Lower case: "websocket", "connect". */
  readonly upgradeType: string;
  readonly enabled: boolean;
  /** The chain that such requests pass. Left out: the one of all others. */
  readonly filters?: readonly HttpFilterConfig[];
}
