import { formatOrigin } from "../model/origin.ts";
import { isStreamRoute, ROUTE_KINDS, type Route } from "../model/route.ts";
import type { BackendRef, ParentService } from "../model/route-ends.ts";
import type { Service } from "../model/service.ts";
import { attachmentOf, hasAddress } from "../translate/attached-routes.ts";

/** Why a route does not decide at one of its parents, or at some of its ports alone. */
export interface AttachmentFault {
  /** Gateway API's, of the condition `Accepted`; "Conflicted" as GEP-1294 has it. Undefined: it is accepted, but not everywhere. */
  readonly reason: "NoMatchingParent" | "Conflicted" | undefined;
  readonly message: string;
}

/** @param routes all of the service, which is the parent. */
export function attachmentFault(
  route: Route,
  parent: ParentService,
  service: Service,
  routes: readonly Route[],
): AttachmentFault | undefined {
  const place = `the Service ${service.namespace}/${service.name}`;
  if (parent.port !== undefined && !service.ports.some(({ port }) => port === parent.port))
    return { reason: "NoMatchingParent", message: `${place} has no port ${parent.port}` };
  const { ports, lost } = attachmentOf(route, parent, service, routes);
  if (ports.length === 0 && lost.length === 0) {
    return { reason: "NoMatchingParent", message: `${place} ${whyNowhere(route, parent, service)}` };
  }
  const [first] = lost;
  if (first === undefined) return undefined;
  const { to } = first;
  const who = `the ${ROUTE_KINDS[to.kind]} ${to.namespace}/${to.name} in ${formatOrigin(to.origin)}`;
  const where = lost.map(({ port }) => port).join(", ");
  return {
    reason: ports.length === 0 ? "Conflicted" : undefined,
    message: `decides nothing at port ${where} of ${place}: of routes of different kinds one decides, and ${who} comes first`,
  };
}

function whyNowhere(route: Route, { port }: ParentService, service: Service): string {
  if (isStreamRoute(route) && !hasAddress(service))
    return "has no address of its own, by which its connections are known";
  if (isStreamRoute(route) || service.ports.length === 0) return "has no ports";
  return port === undefined ? "has no ports that carry HTTP" : `carries bytes at port ${port}`;
}

/** What is said of a reference that needs a grant and has none. */
export function refusalOf(route: Route, { namespace, name }: BackendRef): string {
  const from = `${ROUTE_KINDS[route.kind]}s of the namespace "${route.namespace}"`;
  return `no ReferenceGrant in the namespace "${namespace}" allows ${from} to lead to the Service "${name}": nothing is sent there`;
}
