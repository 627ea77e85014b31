import {
  type ClusterConfig,
  defaultHttp2Options,
  defaultManners,
  type EndpointConfig,
  type EndpointsConfig,
  type HttpConnectionManagerConfig,
  type RouteConfiguration,
} from "@heddle/traffic";

/* Configurations for tests of the data path: complete, and as plain as they can be. */

export const managerConfig: HttpConnectionManagerConfig = {
  statPrefix: "test",
  codecType: "AUTO",
  routes: { type: "rds", routeConfigName: "routes" },
  httpFilters: [],
  upgradeConfigs: [],
  accessLog: [],
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
  requestHeadersTimeoutMs: 0,
  maxStreamDurationMs: 0,
  drainTimeoutMs: 5000,
  delayedCloseTimeoutMs: 1000,
  useRemoteAddress: false,
  xffNumTrustedHops: 0,
  skipXffAppend: false,
  generateRequestId: true,
  preserveExternalRequestId: false,
  alwaysSetRequestIdInResponse: false,
  via: "",
  normalizePath: false,
  mergeSlashes: false,
  pathWithEscapedSlashesAction: "KEEP_UNCHANGED",
  stripPort: "none",
  acceptHttp10: true,
  defaultHostForHttp10: "",
  proxy100Continue: false,
  headersWithUnderscoresAction: "ALLOW",
  manners: defaultManners,
  http2: defaultHttp2Options,
};

const NO_MUTATIONS = {
  requestHeadersToAdd: [],
  requestHeadersToRemove: [],
  responseHeadersToAdd: [],
  responseHeadersToRemove: [],
};

type Forward = Extract<RouteConfiguration["virtualHosts"][0]["routes"][0]["action"], { type: "forward" }>["forward"];
type RouteEntryConfig = RouteConfiguration["virtualHosts"][0]["routes"][0];

/** One route for everything, to that cluster. */
export function routeTo(
  cluster: string,
  forward: Partial<Forward> = {},
  entry: Partial<RouteEntryConfig> = {},
): RouteConfiguration {
  const action: RouteEntryConfig["action"] = {
    type: "forward",
    forward: {
      cluster: { type: "cluster", name: cluster },
      clusterNotFoundResponseCode: 503,
      prefixRewrite: undefined,
      regexRewrite: undefined,
      hostRewrite: { type: "none" },
      appendXForwardedHost: false,
      timeoutMs: 15_000,
      idleTimeoutMs: undefined,
      maxStreamDuration: undefined,
      retryPolicy: undefined,
      upgradeConfigs: [],
      ...forward,
    },
  };
  return routesOf([routeEntry({ action, ...entry })]);
}

export function routeEntry(entry: Partial<RouteEntryConfig> & Pick<RouteEntryConfig, "action">): RouteEntryConfig {
  return {
    ...NO_MUTATIONS,
    name: "all",
    match: {
      path: { type: "prefix", value: "/" },
      caseSensitive: true,
      headers: [],
      queryParameters: [],
      grpc: false,
      runtimeFraction: undefined,
    },
    typedPerFilterConfig: {},
    statPrefix: "",
    ...entry,
  };
}

export function routesOf(routes: readonly RouteEntryConfig[]): RouteConfiguration {
  return {
    ...NO_MUTATIONS,
    name: "routes",
    virtualHosts: [
      {
        ...NO_MUTATIONS,
        name: "any",
        domains: ["*"],
        routes,
        retryPolicy: undefined,
        includeRequestAttemptCount: false,
        includeAttemptCountInResponse: false,
        typedPerFilterConfig: {},
      },
    ],
    ignorePortInHostMatching: false,
    mostSpecificHeaderMutationsWins: false,
    validateClusters: false,
    typedPerFilterConfig: {},
  };
}

export const retryPolicy = {
  retryOn: ["5xx"],
  numRetries: 1,
  perTryTimeoutMs: 0,
  retriableStatusCodes: [],
  baseIntervalMs: 25,
  maxIntervalMs: 250,
};

export function clusterConfig(name: string, config: Partial<ClusterConfig> = {}): ClusterConfig {
  const thresholds = { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 };
  return {
    name,
    statName: name,
    discovery: { type: "EDS", serviceName: name },
    lbPolicy: { type: "round-robin" },
    connectTimeoutMs: 5000,
    perConnectionBufferLimitBytes: 1024 * 1024,
    circuitBreakers: { default: thresholds, high: thresholds },
    healthyPanicThresholdPercent: 50,
    upstreamProtocol: "http1",
    idleTimeoutMs: undefined,
    maxConnectionDurationMs: 0,
    maxConnectionDurationJitterPercent: 0,
    maxRequestsPerConnection: 0,
    maxResponseHeadersKb: 80,
    maxHeadersCount: 100,
    maxStreamDurationMs: 0,
    tcpKeepalive: undefined,
    metadata: {},
    ...config,
  };
}

export function endpointsConfig(clusterName: string, addresses: readonly string[]): EndpointsConfig {
  return {
    clusterName,
    localities: [
      {
        locality: { region: "", zone: "", subZone: "" },
        loadBalancingWeight: undefined,
        priority: 0,
        endpoints: addresses.map(endpointConfig),
      },
    ],
    overprovisioningFactorPercent: 140,
    dropOverloads: [],
  };
}

function endpointConfig(text: string): EndpointConfig {
  const [address = "", port = ""] = text.split(":");
  return {
    address: { type: "socket", address, port: Number(port) },
    hostname: `host-of-${address}`,
    healthStatus: "UNKNOWN",
    loadBalancingWeight: 1,
    metadata: {},
  };
}
