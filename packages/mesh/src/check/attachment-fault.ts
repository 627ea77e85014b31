import { formatOrigin } from "../model/origin.ts";
import { isStreamRoute, ROUTE_KINDS, type Route } from "../model/route.ts";
import type { BackendRef, ParentService } from "../model/route-ends.ts";
import type { Service } from "../model/service.ts";
import { attachmentOf, hasAddress, isPortOf } from "../translate/attached-routes.ts";

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
  const said = saidPort(parent);
  if (said !== undefined && !service.ports.some((port) => isPortOf(parent, port)))
    return { reason: "NoMatchingParent", message: `${place} has no port ${said}` };
  const { ports, lost } = attachmentOf(route, parent, service, routes);
  if (ports.length === 0 && lost.length === 0) {
    return { reason: "NoMatchingParent", message: `${place} ${whyNowhere(route, parent, service)}` };
  }
  const [first] = lost;
  if (first === undefined) return undefined;
  const { to } = first;
  const who = `the ${ROUTE_KINDS[to.kind]} ${to.namespace}/${to.name} in ${formatOrigin(to.origin)}`;
  const among = to.kind === route.kind ? `several ${ROUTE_KINDS[to.kind]}s` : "routes of different kinds";
  const where = lost.map(({ port }) => port).join(", ");
  return {
    reason: ports.length === 0 ? "Conflicted" : undefined,
    message: `decides nothing at port ${where} of ${place}: of ${among} one decides, and ${who} comes first`,
  };
}

/** As a message says it: `80 "http"`. Undefined: any. */
export function saidPort({ port, portName }: ParentService): string | undefined {
  if (portName === undefined) return port === undefined ? undefined : String(port);
  return port === undefined ? `"${portName}"` : `${port} "${portName}"`;
}

function whyNowhere(route: Route, parent: ParentService, service: Service): string {
  const port = saidPort(parent);
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
