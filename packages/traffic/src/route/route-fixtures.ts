import { HeaderMap, RequestHead } from "@heddle/http";
import type {
  ForwardAction,
  HeaderMutations,
  RouteAction,
  RouteConfiguration,
  RouteEntry,
  RouteMatch,
  VirtualHost,
  WeightedCluster,
} from "./route-config.ts";

/* Decoded configuration with every default filled in, for tests that care about one field. */

const NO_MUTATIONS: HeaderMutations = {
  requestHeadersToAdd: [],
  requestHeadersToRemove: [],
  responseHeadersToAdd: [],
  responseHeadersToRemove: [],
};

export function routeConfiguration(
  virtualHosts: readonly VirtualHost[],
  overrides: Partial<RouteConfiguration> = {},
): RouteConfiguration {
  return {
    ...NO_MUTATIONS,
    name: "test",
    virtualHosts,
    ignorePortInHostMatching: false,
    mostSpecificHeaderMutationsWins: false,
    validateClusters: false,
    typedPerFilterConfig: {},
    ...overrides,
  };
}

export function virtualHost(
  domains: readonly string[],
  routes: readonly RouteEntry[],
  overrides: Partial<VirtualHost> = {},
): VirtualHost {
  return {
    ...NO_MUTATIONS,
    name: domains[0] ?? "host",
    domains,
    routes,
    retryPolicy: undefined,
    includeRequestAttemptCount: false,
    includeAttemptCountInResponse: false,
    typedPerFilterConfig: {},
    ...overrides,
  };
}

/** A route for every path, unless `match` says otherwise. */
export function route(
  match: Partial<RouteMatch>,
  action: RouteAction,
  overrides: Partial<Omit<RouteEntry, "match" | "action">> = {},
): RouteEntry {
  return {
    ...NO_MUTATIONS,
    name: "",
    match: {
      path: { type: "prefix", value: "/" },
      caseSensitive: true,
      headers: [],
      queryParameters: [],
      grpc: false,
      runtimeFraction: undefined,
      ...match,
    },
    action,
    typedPerFilterConfig: {},
    statPrefix: "",
    ...overrides,
  };
}

export function forward(cluster: string, overrides: Partial<ForwardAction> = {}): RouteAction {
  return {
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
      ...overrides,
    },
  };
}

export function get(
  path: string,
  authority = "example.com",
  headers: Readonly<Record<string, string>> = {},
): RequestHead {
  return new RequestHead("GET", "http", authority, path, HeaderMap.from(headers));
}

export function weighted(name: string, weight: number, overrides: Partial<WeightedCluster> = {}): WeightedCluster {
  return {
    requestHeadersToAdd: [],
    requestHeadersToRemove: [],
    responseHeadersToAdd: [],
    responseHeadersToRemove: [],
    name,
    weight,
    hostRewriteLiteral: undefined,
    typedPerFilterConfig: {},
    ...overrides,
  };
}
