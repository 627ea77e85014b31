import { isStreamRoute, type Route, type RouteKind } from "../model/route.ts";
import type { BackendRef, ParentService } from "../model/route-ends.ts";
import type { Service, ServicePort } from "../model/service.ts";
import { isCarried } from "./names.ts";
import { byAgeThenName } from "./route-order.ts";

/**
 * Which of a service's routes apply to callers of a namespace, at one port: of one kind, since only one kind of routes may
 * decide on what is sent to a port (GEP-1294, "Route types"). A route in another namespace than its service is a consumer's: it
 * binds only callers of the route's own namespace, and there it takes the place of the producer's.
 */
export function routesFor(
  service: Service,
  port: ServicePort,
  routes: readonly Route[],
  fromNamespace: string,
): readonly Route[] {
  const attached = routes.filter((route) => route.parents.some((parent) => isAttached(route, parent, service, port)));
  const consumers =
    fromNamespace === service.namespace ? [] : attached.filter(({ namespace }) => namespace === fromNamespace);
  return ofFirstKind(
    consumers.length > 0 ? consumers : attached.filter(({ namespace }) => namespace === service.namespace),
  );
}

/** The first one wins. */
const KINDS: readonly RouteKind[] = ["grpc-route", "http-route", "tls-route", "tcp-route"];

function ofFirstKind(routes: readonly Route[]): readonly Route[] {
  const kind = KINDS.find((one) => routes.some((route) => route.kind === one));
  return routes.filter((route) => route.kind === kind);
}

function isAttached(route: Route, parent: ParentService, service: Service, port: ServicePort): boolean {
  return (
    parent.namespace === service.namespace &&
    parent.name === service.name &&
    isPortOf(parent, port) &&
    (isStreamRoute(route) ? hasAddress(service) : isCarried(port))
  );
}

/** Where both are said, both have to be those of the port (ParentReference.sectionName). */
export function isPortOf({ port, portName }: ParentService, one: ServicePort): boolean {
  return (port === undefined || port === one.port) && (portName === undefined || portName === one.name);
}

/**
 * Whether connections to the service can be told from others: not where its name stands for its pods, or for somebody else
 * (GEP-1294, "Allowed service types"). Where only bytes are carried, on the other hand, nobody looks for requests.
 */
export function hasAddress({ headless, externalName }: Service): boolean {
  return !headless && externalName === undefined;
}

function isSame(a: Route, b: Route): boolean {
  return a.namespace === b.namespace && a.name === b.name;
}

/** What has become of a route at one of its parents. */
export interface Attachment {
  /** Numbers of the service's ports where it decides. */
  readonly ports: readonly number[];
  /** Where it would, were it not for a route of another kind; of TCPRoutes, for an older one. */
  readonly lost: readonly { readonly port: number; readonly to: Route }[];
}

/** @param routes all of the service. */
export function attachmentOf(
  route: Route,
  parent: ParentService,
  service: Service,
  routes: readonly Route[],
): Attachment {
  const ports: number[] = [];
  const lost: { port: number; to: Route }[] = [];
  for (const port of service.ports) {
    if (!isAttached(route, parent, service, port)) continue;
    const deciding = routesFor(service, port, routes, route.namespace);
    const first = route.kind === "tcp-route" ? [...deciding].sort(byAgeThenName)[0] : deciding[0];
    if (first === undefined || (first.kind === route.kind && (first.kind !== "tcp-route" || isSame(first, route))))
      ports.push(port.port);
    else lost.push({ port: port.port, to: first });
  }
  return { ports, lost };
}

/**
 * Whether a backend must not have what a route would send it: it, or a filter before it, is of a kind that nobody knows; or it is in another namespace, which has not granted
 * that. A consumer's route needs no grant, since it leads nobody but its own namespace (docs/decisions/0021-reference-grants.md).
 */
export function isRefused(
  { namespace }: Pick<Route, "namespace">,
  { isUngranted, otherKind }: BackendRef,
  service: Pick<Service, "namespace">,
): boolean {
  return otherKind !== undefined || (isUngranted === true && namespace === service.namespace);
}
