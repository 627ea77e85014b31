import {
  type AccessLogConfig,
  type Address,
  defaultHttp2Options,
  defaultManners,
  type FilterChainConfig,
  type HttpConnectionManagerConfig,
  type ListenerConfig,
} from "@heddle/traffic";
import type { Workload } from "../model/workload.ts";
import { OUTBOUND_LISTENER, OUTBOUND_ROUTES, ROUTER_FILTER } from "./names.ts";

/** What a node's outbound listener depends on. */
export interface OutboundOptions {
  readonly port: number;
  readonly accessLog: Workload["accessLog"];
}

/** Takes the application's own calls, on loopback, and routes them by Host. */
export function outboundListener({ port, accessLog }: OutboundOptions): ListenerConfig {
  const manager = connectionManager(OUTBOUND_LISTENER, accessLog);
  const config: HttpConnectionManagerConfig = {
    ...manager,
    routes: { type: "rds", routeConfigName: OUTBOUND_ROUTES },
    httpFilters: [ON_DEMAND, ...manager.httpFilters],
    upgradeConfigs: [...manager.upgradeConfigs, SERVED_TUNNEL],
  };
  return listener(
    OUTBOUND_LISTENER,
    [{ type: "socket", address: "127.0.0.1", port }],
    [
      {
        name: "",
        match: undefined,
        filters: [{ type: "http-connection-manager", name: "envoy.filters.network.http_connection_manager", config }],
        transportSocketConnectTimeoutMs: 0,
      },
    ],
  );
}

/** A service outside the egress list comes with the first request to it, which waits for it no longer than that. */
export const ON_DEMAND: HttpConnectionManagerConfig["httpFilters"][number] = {
  name: "envoy.filters.http.on_demand",
  config: {
    name: "envoy.filters.http.on_demand",
    type: "envoy.extensions.filters.http.on_demand.v3.OnDemand",
    config: { odcds: { source: { ads: {}, resourceApiVersion: "V3" }, timeout: "1s" } },
  },
  disabled: false,
};

/** Clients that tunnel even plain HTTP through their proxy, as Node's `fetch` does, are routed as all others. */
const SERVED_TUNNEL: HttpConnectionManagerConfig["upgradeConfigs"][number] = {
  upgradeType: "connect",
  enabled: true,
  filters: [
    {
      name: "heddle.filters.http.serve_tunnel",
      config: {
        name: "heddle.filters.http.serve_tunnel",
        type: "heddle.filters.http.v1.ServeTunnel",
        config: {},
      },
      disabled: false,
      optional: true, // an Envoy in the sidecar's place has no such filter, and shall take the rest
    },
  ],
};

/**
 * What a client that dials services by itself (gRPC) gets of a listener: the same routes, and nowhere to listen. gRPC
 * takes the name that it dials for the authority and finds the virtual host by it (gRFC A27).
 */
export function dialledListenerManager(): HttpConnectionManagerConfig {
  return {
    ...connectionManager(OUTBOUND_LISTENER, "off"),
    routes: { type: "rds", routeConfigName: OUTBOUND_ROUTES },
  };
}

export function listener(
  name: string,
  [address, ...additionalAddresses]: readonly Address[],
  filterChains: readonly FilterChainConfig[],
): ListenerConfig {
  if (address === undefined) throw new Error(`the listener ${name} has no address`); // workloads have at least one
  return {
    name,
    address,
    additionalAddresses,
    statPrefix: name,
    filterChains,
    defaultFilterChain: undefined,
    perConnectionBufferLimitBytes: 32 * 1024,
    listenerFiltersTimeoutMs: 15_000,
    continueOnListenerFiltersTimeout: false,
    listenerFilters: [],
    trafficDirection: "UNSPECIFIED", // nothing reads it
    tcpBacklogSize: undefined,
    reusePort: true,
    drainType: "DEFAULT",
    accessLog: [],
  };
}

/**
 * Envoy's values for a proxy at the edge are written out, except where a sidecar stands elsewhere than an edge:
 * - its peers are the application and other sidecars, which `x-forwarded-for` may be taken from (`use_remote_address`
 *   false) and is passed on unchanged;
 * - it must not change what an application sees: paths are normalised (RFC 3986 §6.2.2), since routes match them, but
 *   slashes are neither merged nor unescaped;
 * - it carries streams and long polls, so a whole request has no time limit, only its head and its silence have.
 */
export function connectionManager(
  statPrefix: string,
  accessLog: Workload["accessLog"],
): Omit<HttpConnectionManagerConfig, "routes"> {
  return {
    statPrefix,
    codecType: "AUTO",
    httpFilters: [
      {
        name: ROUTER_FILTER,
        config: { name: ROUTER_FILTER, type: "envoy.extensions.filters.http.router.v3.Router", config: {} },
        disabled: false,
      },
    ],
    upgradeConfigs: [{ upgradeType: "websocket", enabled: true }],
    accessLog: accessLogs(accessLog),
    accessLogOptions: undefined,
    localReply: undefined,
    serverName: "heddle",
    serverHeaderTransformation: "PASS_THROUGH",
    maxRequestHeadersKb: 60,
    maxHeadersCount: 100,
    maxRequestsPerConnection: 0,
    idleTimeoutMs: 3_600_000,
    maxConnectionDurationMs: 0,
    maxConnectionDurationJitterPercent: 0,
    http1SafeMaxConnectionDuration: false,
    streamIdleTimeoutMs: 300_000,
    requestTimeoutMs: 0,
    requestHeadersTimeoutMs: 60_000,
    maxStreamDurationMs: 0,
    drainTimeoutMs: 5000,
    delayedCloseTimeoutMs: 1000,
    useRemoteAddress: false,
    xffNumTrustedHops: 0,
    skipXffAppend: false,
    generateRequestId: true,
    preserveExternalRequestId: true,
    alwaysSetRequestIdInResponse: false,
    via: "",
    normalizePath: true,
    mergeSlashes: false,
    pathWithEscapedSlashesAction: "KEEP_UNCHANGED",
    stripPort: "none",
    acceptHttp10: true,
    defaultHostForHttp10: "",
    proxy100Continue: true,
    headersWithUnderscoresAction: "ALLOW",
    // "orders.shop." is "orders.shop" (RFC 1034 §3.1), for routes and for policies of hosts.
    manners: { ...defaultManners, stripTrailingHostDot: true },
    http2: { ...defaultHttp2Options, allowConnect: true }, // WebSocket between sidecars
  };
}

function accessLogs(format: Workload["accessLog"]): readonly AccessLogConfig[] {
  if (format === "off") return [];
  return [
    {
      name: "envoy.access_loggers.stdout",
      sink: { type: "stdout" },
      filter: undefined,
      format: format === "text" ? { type: "default" } : { type: "json", json: JSON_FIELDS, omitEmptyValues: false },
    },
  ];
}

const JSON_FIELDS: Readonly<Record<string, string>> = {
  start_time: "%START_TIME%",
  method: "%REQ(:METHOD)%",
  path: "%REQ(:PATH)%",
  authority: "%REQ(:AUTHORITY)%",
  protocol: "%PROTOCOL%",
  response_code: "%RESPONSE_CODE%",
  response_flags: "%RESPONSE_FLAGS%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  duration: "%DURATION%",
  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_cluster: "%UPSTREAM_CLUSTER%",
  route_name: "%ROUTE_NAME%",
  request_id: "%REQ(X-REQUEST-ID)%",
  trace_id: "%TRACE_ID%",
};
