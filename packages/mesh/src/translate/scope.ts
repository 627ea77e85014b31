import type { HttpRoute } from "../model/http-route.ts";
import type { Mesh } from "../model/mesh.ts";
import type { Service, ServicePort } from "../model/service.ts";
import type { EgressRule } from "../model/workload.ts";
import { isCarried, type ServiceHost } from "./names.ts";
import { routesFor } from "./routes.ts";

/** What decides which services a node hears of. */
export interface ScopeRules {
  /** The node's own. */
  readonly namespace: string;
  /** Undefined: everything of its namespace. */
  readonly egress: readonly EgressRule[] | undefined;
  /** Asked for by name, over and above. */
  readonly demanded: readonly ServiceHost[];
}

/** One port of one service that a node may call, with the routes that apply to its calls. */
export interface ReachablePort {
  readonly service: Service;
  readonly port: ServicePort;
  readonly routes: readonly HttpRoute[];
}

export interface Reachable {
  /** Have a virtual host, a cluster and endpoints. Ordered by namespace, name and place in the service. */
  readonly called: readonly ReachablePort[];
  /** Have a cluster and endpoints only: backends of the routes of `called` that are not called themselves. */
  readonly behind: readonly { readonly service: Service; readonly port: ServicePort }[];
}

/** Everything that a node may reach: the services of its scope, and whatever their routes lead to. */
export function reachable(mesh: Mesh, rules: ScopeRules): Reachable {
  const called = mesh.services
    .filter((service) => inScope(service, rules))
    .flatMap((service) =>
      service.ports.filter(isCarried).map((port) => ({
        service,
        port,
        routes: routesFor(service, port, mesh.routesOf(service), rules.namespace),
      })),
    );
  const seen = new Set<ServicePort>(called.map(({ port }) => port));
  const behind: { service: Service; port: ServicePort }[] = [];
  for (const { routes } of called) {
    for (const backend of routes.flatMap((route) => route.rules.flatMap((rule) => rule.backends))) {
      const service = mesh.service(backend.namespace, backend.name);
      const port = service?.ports.find((candidate) => candidate.port === backend.port && isCarried(candidate));
      if (service === undefined || port === undefined || seen.has(port)) continue;
      seen.add(port);
      behind.push({ service, port });
    }
  }
  return { called, behind };
}

function inScope(service: Service, { namespace, egress, demanded }: ScopeRules): boolean {
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
