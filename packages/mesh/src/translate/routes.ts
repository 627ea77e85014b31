import type { ForwardAction, RouteAction, RouteConfiguration, RouteEntry, VirtualHost } from "@heddle/traffic";
import type { Backend, HttpRoute } from "../model/http-route.ts";
import type { Service, ServicePort } from "../model/service.ts";
import {
  defaultPort,
  inboundName,
  OUTBOUND_ROUTES,
  outboundClusterName,
  outboundPortName,
  PASSTHROUGH_CLUSTER,
  serviceHosts,
} from "./names.ts";
import { type OrderedMatch, orderMatches } from "./route-order.ts";
import { headerMutations, NO_MUTATIONS, pathRewrite, redirectAction, routeMatch } from "./route-parts.ts";

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
  routes: readonly HttpRoute[],
  fromNamespace: string,
): VirtualHost {
  const hosts = serviceHosts(service, fromNamespace);
  const domains = hosts.map((host) => `${host}:${port.port}`);
  if (defaultPort(service) === port) domains.push(...hosts);
  const self = { type: "cluster", name: outboundClusterName(service.namespace, service.name, port.port) } as const;
  const entries =
    routes.length > 0
      ? orderMatches(routes).map(routeEntry)
      : [
          {
            ...entry("default", routeMatch(PREFIX_ALL)),
            action: { type: "forward", forward: forwardTo(self) },
          } as const,
        ];
  return virtualHost(virtualHostName(service, port), domains, entries);
}

/**
 * The same for callers whose traffic is captured: there the port is known by where they connect to, so that every name stands
 * with and without it, and so do the service's addresses.
 */
export function capturedVirtualHost(
  service: Service,
  port: ServicePort,
  routes: readonly HttpRoute[],
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

/**
 * Which of a service's routes apply to callers of a namespace, at one port. A route in another namespace than its
 * service is a consumer's: it binds only callers of the route's own namespace, and there it takes the place of the
 * producer's (GEP-1426).
 */
export function routesFor(
  service: Service,
  port: ServicePort,
  routes: readonly HttpRoute[],
  fromNamespace: string,
): readonly HttpRoute[] {
  const attached = routes.filter((route) => isAttached(route, service, port));
  const consumers = attached.filter(
    (route) => route.namespace === fromNamespace && route.namespace !== service.namespace,
  );
  return consumers.length > 0 ? consumers : attached.filter((route) => route.namespace === service.namespace);
}

function isAttached(route: HttpRoute, service: Service, port: ServicePort): boolean {
  return route.parents.some(
    (parent) =>
      parent.namespace === service.namespace &&
      parent.name === service.name &&
      (parent.port === undefined || parent.port === port.port),
  );
}

const PREFIX_ALL = {
  path: { type: "prefix", value: "/" },
  method: undefined,
  headers: [],
  queryParameters: [],
} as const;

function routeEntry({ route, rule, match, matchIndex }: OrderedMatch): RouteEntry {
  return {
    ...entry(`${route.namespace}/${route.name}/${rule.name}/${matchIndex}`, routeMatch(match)),
    action: actionOf({ route, rule, match, matchIndex }),
    ...headerMutations(rule.filters),
  };
}

function actionOf({ rule, match }: OrderedMatch): RouteAction {
  const { redirect, rewrite } = rule.filters;
  if (redirect !== undefined) return { type: "redirect", redirect: redirectAction(redirect, match.path) };
  const total = rule.backends.reduce((sum, { weight }) => sum + weight, 0);
  // No backend that may take the request: 500, says HTTPRouteRule.backendRefs.
  if (total === 0) return { type: "direct-response", status: 500, body: "" };
  const forward = forwardTo(clusterOf(rule.backends));
  return {
    type: "forward",
    forward: {
      ...forward,
      ...(rewrite?.path === undefined ? {} : pathRewrite(rewrite.path, match.path)),
      hostRewrite: rewrite?.hostname === undefined ? forward.hostRewrite : { type: "literal", value: rewrite.hostname },
      timeoutMs: timeoutMs(rule.requestTimeoutMs ?? 0, rule.backendRequestTimeoutMs ?? 0),
    },
  };
}

/** There is one attempt (Gateway API's retries are experimental), so the shorter of both bounds it; 0 is none. */
function timeoutMs(requestMs: number, backendRequestMs: number): number {
  if (requestMs === 0 || backendRequestMs === 0) return requestMs + backendRequestMs;
  return Math.min(requestMs, backendRequestMs);
}

function clusterOf(backends: readonly Backend[]): ForwardAction["cluster"] {
  const taking = backends.filter(({ weight }) => weight > 0);
  const only = taking[0];
  if (taking.length === 1 && only !== undefined && headerMutations(only.filters) === NO_MUTATIONS)
    return { type: "cluster", name: clusterNameOf(only) };
  return {
    type: "weighted",
    clusters: taking.map((backend) => ({
      name: clusterNameOf(backend),
      weight: backend.weight,
      hostRewriteLiteral: undefined,
      typedPerFilterConfig: {},
      ...headerMutations(backend.filters),
    })),
  };
}

function clusterNameOf({ namespace, name, port }: Backend): string {
  return outboundClusterName(namespace, name, port);
}

function forwardTo(cluster: ForwardAction["cluster"]): ForwardAction {
  return {
    cluster,
    clusterNotFoundResponseCode: 500, // a backend that does not exist: 500, says HTTPBackendRef
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
