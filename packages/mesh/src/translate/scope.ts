import type { Mesh } from "../model/mesh.ts";
import { backendRefsOf, isHttpRoute, isStreamRoute, type Route } from "../model/route.ts";
import type { BackendRef } from "../model/route-ends.ts";
import type { Service, ServicePort, ServicePortPair } from "../model/service.ts";
import type { EgressRule } from "../model/workload.ts";
import { isRefused, routesFor } from "./attached-routes.ts";
import { type CapturedRules, carriageOf, goesByServerName } from "./captured-listeners.ts";
import { isCarried, type ServiceHost } from "./names.ts";

/** What decides which services a node hears of. */
export interface ScopeRules {
  /** The node's own. */
  readonly namespace: string;
  /** Undefined: everything of its namespace. */
  readonly egress: readonly EgressRule[] | undefined;
  /** Asked for by name, over and above. */
  readonly demanded: readonly ServiceHost[];
  /** It asks for what is outside when a request needs it: sidecars of ours do. */
  readonly onDemand: boolean;
  /** It is a client of gRPC that follows xDS by itself: see `grpcEntries`. */
  readonly isGrpc?: true;
  /** Its application's traffic is captured, and meant for addresses. Left out: it calls by name, through a proxy. */
  readonly captured?: CapturedRules;
}

/** One port of one service that a node may call, with the routes that apply to its calls. */
export interface ReachablePort {
  readonly service: Service;
  readonly port: ServicePort;
  readonly routes: readonly Route[];
}

export interface Reachable {
  /** Have a virtual host, a cluster and endpoints. Ordered by namespace, name and place in the service. */
  readonly called: readonly ReachablePort[];
  /** Have a cluster and endpoints only: backends of the routes of `called` that are not called themselves. */
  readonly behind: readonly { readonly service: Service; readonly port: ServicePort }[];
}

/** Everything that a node may reach: the services of its scope, and whatever their routes lead to. */
export function reachable(mesh: Mesh, rules: ScopeRules): Reachable {
  const called = servicesInScope(mesh, rules).flatMap((service) =>
    service.ports.filter(isCarried).map((port) => ({
      service,
      port,
      routes: routesFor(service, port, mesh.routesOf(service), rules.namespace),
    })),
  );
  const seen = new Set<ServicePort>(called.map(({ port }) => port));
  const behind: { service: Service; port: ServicePort }[] = [];
  for (const backend of called.flatMap(backendsOf)) {
    const service = mesh.service(backend.namespace, backend.name);
    const port = service?.ports.find((candidate) => candidate.port === backend.port && isCarried(candidate));
    if (service === undefined || port === undefined || seen.has(port)) continue;
    seen.add(port);
    behind.push({ service, port });
  }
  return { called, behind };
}

/** What a node reaches whose traffic is captured. */
export interface CapturedReach {
  /** Whose names are known. */
  readonly named: readonly Service[];
  /** Have a virtual host, by port: HTTP, whether declared or found by first bytes. */
  readonly routed: ReadonlyMap<number, readonly ReachablePort[]>;
  /** Ports where HTTP has a listener of its own for all addresses. */
  readonly httpPorts: readonly number[];
  /** By port: known by the server names of TLS, see `goesByServerName`. */
  readonly byServerName: ReadonlyMap<number, readonly ServicePortPair[]>;
  /** Have a listener of their own: see `carriageOf`. */
  readonly listened: readonly ServicePortPair[];
  /** Ports of headless services without routes: the pod is chosen by its address, and not by Host. */
  readonly headless: readonly ServicePortPair[];
  /** Have a cluster and endpoints. */
  readonly served: readonly ServicePortPair[];
  /** Where routes of the scope lead, whether it exists or not. */
  readonly behind: readonly BackendRef[];
}

/**
 * Everything that a captured node may reach. Without an egress list it hears of all services by name, since an application in
 * a pod calls whatever it knows: of those beyond its scope the clusters come with the first request (HTTP); those of TCP are
 * there, since a connection cannot ask.
 */
export function capturedReach(mesh: Mesh, rules: ScopeRules): CapturedReach {
  const inScope = new Set(servicesInScope(mesh, rules));
  const named = rules.egress === undefined ? mesh.services : mesh.inOrder(inScope);
  const byServerName = new Map<number, ServicePortPair[]>();
  const routed = new Map<number, ReachablePort[]>();
  const httpPorts = new Set<number>();
  const listened: ServicePortPair[] = [];
  const headless: ServicePortPair[] = [];
  const served: ServicePortPair[] = [];
  const behind: BackendRef[] = [];
  for (const service of named) {
    for (const port of service.ports) {
      const carriage = carriageOf(port);
      if (carriage === "none") continue;
      const hasAddress = mesh.addressesOf(service).length > 0;
      const reached = { service, port, routes: routesFor(service, port, mesh.routesOf(service), rules.namespace) };
      if (hasAddress && reached.routes.some(isStreamRoute)) {
        listened.push({ service, port });
        served.push({ service, port });
        behind.push(...backendsOf(reached));
        continue;
      }
      if (service.headless && !mesh.routesOf(service).some(isHttpRoute)) headless.push({ service, port });
      if (carriage !== "tcp") {
        pushTo(routed, port.port, reached);
        if (inScope.has(service)) behind.push(...backendsOf(reached));
      }
      if (carriage !== "http" && hasAddress) listened.push({ service, port });
      else if (carriage !== "tcp") httpPorts.add(port.port);
      if (rules.captured !== undefined && goesByServerName(service, port, rules.captured.unknown))
        pushTo(byServerName, port.port, { service, port });
      if (carriage !== "http" || inScope.has(service)) served.push({ service, port });
    }
  }
  const seen = new Set<ServicePort>(served.map(({ port }) => port));
  for (const backend of behind) {
    const service = mesh.service(backend.namespace, backend.name);
    const port = service?.ports.find((candidate) => candidate.port === backend.port);
    if (service === undefined || port === undefined || seen.has(port)) continue;
    seen.add(port);
    served.push({ service, port });
  }
  const ports = [...httpPorts].sort((a, b) => a - b);
  return { named, routed, httpPorts: ports, byServerName, listened, headless, served, behind };
}

function pushTo<Value>(groups: Map<number, Value[]>, key: number, value: Value): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [value]);
  else group.push(value);
}

/** Where the routes of a port lead, whether it exists or not. */
export function backendsOf({ service, routes }: ReachablePort): readonly BackendRef[] {
  return routes.flatMap((route) => backendRefsOf(route).filter((backend) => !isRefused(route, backend, service)));
}

/** Whether a service of that name is called by nodes with these rules, should it exist. */
export function isInScope(
  service: { readonly namespace: string; readonly name: string },
  { namespace, egress, demanded, captured }: ScopeRules,
): boolean {
  if (captured !== undefined && egress === undefined) return true; // see `capturedReach`
  const allowed =
    egress === undefined
      ? service.namespace === namespace
      : egress.some(
          (rule) =>
            (rule.namespace === undefined || rule.namespace === service.namespace) &&
            (rule.service === undefined || rule.service === service.name),
        );
  return allowed || demanded.some((host) => host.namespace === service.namespace && host.name === service.name);
}

/** Looks at no more services than there are in the scope: a mesh has thousands of nodes that call ten each. */
function servicesInScope(mesh: Mesh, { namespace, egress, demanded }: ScopeRules): readonly Service[] {
  const found = new Set<Service>();
  const add = (one: Service | undefined): void => {
    if (one !== undefined) found.add(one);
  };
  for (const rule of egress ?? [{ namespace, service: undefined }]) {
    if (rule.namespace !== undefined && rule.service !== undefined) add(mesh.service(rule.namespace, rule.service));
    else {
      const all = rule.namespace === undefined ? mesh.services : mesh.servicesIn(rule.namespace);
      for (const service of all) if (rule.service === undefined || rule.service === service.name) found.add(service);
    }
  }
  for (const host of demanded) add(mesh.service(host.namespace, host.name));
  return mesh.inOrder(found);
}
