import type { ForwardAction, RouteAction, RouteConfiguration, RouteEntry, VirtualHost } from "@heddle/traffic";
import type { Backend, RequestMatch, RouteFilters, RouteRule } from "../model/http-route.ts";
import { isHttpRoute, isStreamRoute, type Route, type RouteKind } from "../model/route.ts";
import type { Service, ServicePort } from "../model/service.ts";
import type { StreamRoute } from "../model/stream-route.ts";
import { isRefused } from "./attached-routes.ts";
import {
  clusterNameOf,
  defaultPort,
  inboundName,
  NO_CLUSTER,
  OUTBOUND_ROUTES,
  outboundClusterName,
  outboundPortName,
  PASSTHROUGH_CLUSTER,
  serviceHosts,
} from "./names.ts";
import { byAgeThenName, type OrderedMatch, orderMatches } from "./route-order.ts";
import { headerMutations, NO_MUTATIONS, pathRewrite, redirectAction, retryPolicy, routeMatch } from "./route-parts.ts";

/**
 * The route configuration of a node's outbound listener: one virtual host for each port of each service in its scope. Those of
 * other services come on demand, if the node can ask for them (VHDS).
 */
export function outboundRouteConfiguration(
  virtualHosts: readonly VirtualHost[],
  onDemand: boolean,
): RouteConfiguration {
  const config = routeConfiguration(OUTBOUND_ROUTES, virtualHosts);
  return onDemand ? { ...config, vhds: {} } : config;
}

/** Everything that reaches the public port goes to the application. */
export function inboundRouteConfiguration(publicPort: number): RouteConfiguration {
  return everythingTo(inboundName(publicPort));
}

/** All requests go to that cluster; it has the cluster's name. */
export function everythingTo(name: string): RouteConfiguration {
  const route: RouteEntry = {
    ...entry("default", routeMatch(PREFIX_ALL)),
    action: { type: "forward", forward: forwardTo({ type: "cluster", name }) },
  };
  return routeConfiguration(name, [virtualHost(name, ["*"], [route])]);
}

/**
 * One port of a service, as callers of one namespace see it.
 *
 * @param routes those that apply: see `routesFor`. None: every request goes to the service itself. Some: a request that
 * none of them matches is answered 404 (GEP-1426).
 */
export function serviceVirtualHost(
  service: Service,
  port: ServicePort,
  routes: readonly Route[],
  fromNamespace: string,
): VirtualHost {
  const hosts = serviceHosts(service, fromNamespace);
  const domains = hosts.map((host) => `${host}:${port.port}`);
  if (defaultPort(service) === port) domains.push(...hosts);
  return virtualHost(virtualHostName(service, port), domains, entriesOf(service, port, routes));
}

function entriesOf(service: Service, port: ServicePort, routes: readonly Route[]): readonly RouteEntry[] {
  const http = routes.filter(isHttpRoute);
  if (http.length > 0) return orderMatches(http).map((one) => routeEntry(one, service));
  const stream = routes.filter(isStreamRoute);
  if (stream.length > 0) return streamEntries(stream, service);
  const self = { type: "cluster", name: outboundClusterName(service.namespace, service.name, port.port) } as const;
  return [
    { ...entry("default", routeMatch(PREFIX_ALL)), action: { type: "forward", forward: forwardTo(self) } } as const,
  ];
}

/**
 * Of callers who have connections of HTTP alone, through a proxy: a TCPRoute decides on each request; what a TLSRoute is for
 * never comes this way.
 */
function streamEntries(routes: readonly StreamRoute[], service: Service): readonly RouteEntry[] {
  const route = routes.filter(({ kind }) => kind === "tcp-route").sort(byAgeThenName)[0];
  if (route === undefined) return [];
  const rule = { ...NO_RULE, backends: route.backends.map((backend) => ({ ...backend, filters: NO_FILTERS })) };
  const name = `${route.namespace}/${route.name}/0/0`;
  return [{ ...entry(name, routeMatch(PREFIX_ALL)), action: actionOf(route, rule, PREFIX_ALL, service) }];
}

const NO_FILTERS: RouteFilters = {
  requestHeaders: undefined,
  responseHeaders: undefined,
  redirect: undefined,
  rewrite: undefined,
};

const NO_RULE: RouteRule = {
  name: "",
  matches: [],
  filters: NO_FILTERS,
  backends: [],
  requestTimeoutMs: undefined,
  backendRequestTimeoutMs: undefined,
};

/**
 * The same for callers whose traffic is captured: there the port is known by where they connect to, so that every name stands
 * with and without it, and so do the service's addresses.
 */
export function capturedVirtualHost(
  service: Service,
  port: ServicePort,
  routes: readonly Route[],
  fromNamespace: string,
  addresses: readonly string[],
): VirtualHost {
  const literals = addresses.map((address) => (address.includes(":") ? `[${address}]` : address));
  const hosts = [...serviceHosts(service, fromNamespace), ...literals];
  const domains = hosts.flatMap((host) => [host, `${host}:${port.port}`]);
  return { ...serviceVirtualHost(service, port, routes, fromNamespace), domains };
}

/** What becomes of requests, and connections, to what the mesh does not know. */
export type UnknownDestinations = "passthrough" | "blackhole";

/** The route configuration of one port, for callers whose traffic is captured. */
export function capturedRouteConfiguration(
  port: number,
  virtualHosts: readonly VirtualHost[],
  unknown: UnknownDestinations,
): RouteConfiguration {
  const action: RouteAction =
    unknown === "passthrough"
      ? { type: "forward", forward: forwardTo({ type: "cluster", name: PASSTHROUGH_CLUSTER }) }
      : { type: "direct-response", status: 502, body: "" };
  const route: RouteEntry = { ...entry(unknown, routeMatch(PREFIX_ALL)), action };
  return routeConfiguration(outboundPortName(port), [...virtualHosts, virtualHost(unknown, ["*"], [route])]);
}

export function virtualHostName({ name, namespace }: Service, { port }: ServicePort): string {
  return `${name}.${namespace}:${port}`;
}

/**
 * The names under which a virtual host can be asked for by itself (VHDS), its own first: that of the outbound route configuration
 * and each of its domains.
 */
export function virtualHostNames(service: Service, port: ServicePort, fromNamespace: string): readonly string[] {
  const hosts = serviceHosts(service, fromNamespace);
  const domains = hosts.map((host) => `${host}:${port.port}`);
  if (defaultPort(service) === port) domains.push(...hosts);
  return [...new Set([virtualHostName(service, port), ...domains])].map((domain) => `${OUTBOUND_ROUTES}/${domain}`);
}

/** The host of a name that `virtualHostNames` may have made. */
export function hostOfVirtualHostName(name: string): string | undefined {
  return name.startsWith(`${OUTBOUND_ROUTES}/`) ? name.slice(OUTBOUND_ROUTES.length + 1) : undefined;
}

const PREFIX_ALL = {
  path: { type: "prefix", value: "/" },
  method: undefined,
  headers: [],
  queryParameters: [],
} as const;

function routeEntry({ route, rule, match, matchIndex }: OrderedMatch, service: Service): RouteEntry {
  return {
    ...entry(`${route.namespace}/${route.name}/${rule.name}/${matchIndex}`, routeMatch(match)),
    action: actionOf(route, rule, match, service),
    ...headerMutations(rule.filters),
  };
}

function actionOf(route: Route, rule: RouteRule, match: RequestMatch, service: Service): RouteAction {
  const { redirect, rewrite } = rule.filters;
  if (redirect !== undefined) return { type: "redirect", redirect: redirectAction(redirect, match.path) };
  const status = STATUS_WITHOUT_BACKEND[route.kind];
  const taking = rule.backends.filter(({ weight }) => weight > 0);
  if (taking.every((backend) => isRefused(route, backend, service))) {
    if (route.kind !== "grpc-route") return { type: "direct-response", status, body: "" };
    // Clients of gRPC that follow xDS by themselves refuse a whole configuration for a direct response.
    const nowhere = forwardTo({ type: "cluster", name: NO_CLUSTER });
    return { type: "forward", forward: { ...nowhere, clusterNotFoundResponseCode: status } };
  }
  const forward = forwardTo(clusterOf(taking, (backend) => isRefused(route, backend, service)));
  return {
    type: "forward",
    forward: {
      ...forward,
      clusterNotFoundResponseCode: status,
      ...(rewrite?.path === undefined ? {} : pathRewrite(rewrite.path, match.path)),
      hostRewrite: rewrite?.hostname === undefined ? forward.hostRewrite : { type: "literal", value: rewrite.hostname },
      ...limitsOf(rule),
    },
  };
}

/**
 * Where no backend may take the request, or there is none: 500, says HTTPRouteRule.backendRefs, and UNAVAILABLE, says
 * GRPCRouteRule.backendRefs, which is 503 for whoever speaks no gRPC.
 */
const STATUS_WITHOUT_BACKEND: Readonly<Record<RouteKind, 500 | 503>> = {
  "grpc-route": 503,
  "http-route": 500,
  "tls-route": 503,
  "tcp-route": 503,
};

/** Of several attempts each has its own time, and all together the request's; 0 is none. Of one alone the shorter bounds it. */
function limitsOf(rule: RouteRule): Pick<ForwardAction, "timeoutMs" | "retryPolicy"> {
  const { requestTimeoutMs: requestMs = 0, backendRequestTimeoutMs: backendRequestMs = 0, retry } = rule;
  if (retry !== undefined && retry.attempts > 0)
    return { timeoutMs: requestMs, retryPolicy: retryPolicy(retry, backendRequestMs) };
  if (requestMs === 0 || backendRequestMs === 0)
    return { timeoutMs: requestMs + backendRequestMs, retryPolicy: undefined };
  return { timeoutMs: Math.min(requestMs, backendRequestMs), retryPolicy: undefined };
}

/** @param taking those with a weight. */
function clusterOf(taking: readonly Backend[], refused: (backend: Backend) => boolean): ForwardAction["cluster"] {
  const only = taking[0];
  if (taking.length === 1 && only !== undefined && headerMutations(only.filters) === NO_MUTATIONS)
    return { type: "cluster", name: clusterNameOf(only) };
  return {
    type: "weighted",
    clusters: taking.map((backend) => ({
      name: refused(backend) ? NO_CLUSTER : clusterNameOf(backend),
      weight: backend.weight,
      hostRewriteLiteral: undefined,
      typedPerFilterConfig: {},
      ...headerMutations(backend.filters),
    })),
  };
}

export function forwardTo(cluster: ForwardAction["cluster"]): ForwardAction {
  return {
    cluster,
    clusterNotFoundResponseCode: 500,
    prefixRewrite: undefined,
    regexRewrite: undefined,
    hostRewrite: { type: "none" },
    appendXForwardedHost: false,
    // No limit on the whole request unless somebody says one: Envoy's 15 s would cut downloads and long polls short in
    // a mesh that nobody has configured. The listener's stream idle timeout ends what has stalled.
    timeoutMs: 0,
    idleTimeoutMs: undefined,
    maxStreamDuration: undefined,
    retryPolicy: undefined,
    upgradeConfigs: [],
  };
}

function entry(name: string, match: RouteEntry["match"]): Omit<RouteEntry, "action"> {
  return { name, match, typedPerFilterConfig: {}, statPrefix: "", ...NO_MUTATIONS };
}

function virtualHost(name: string, domains: readonly string[], routes: readonly RouteEntry[]): VirtualHost {
  return {
    name,
    domains,
    routes,
    retryPolicy: undefined,
    includeRequestAttemptCount: false,
    includeAttemptCountInResponse: false,
    typedPerFilterConfig: {},
    ...NO_MUTATIONS,
  };
}

function routeConfiguration(name: string, virtualHosts: readonly VirtualHost[]): RouteConfiguration {
  return {
    name,
    virtualHosts,
    ignorePortInHostMatching: false, // the ports of a service are different virtual hosts
    mostSpecificHeaderMutationsWins: false,
    validateClusters: false,
    typedPerFilterConfig: {},
    ...NO_MUTATIONS,
  };
}
