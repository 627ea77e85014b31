import type { HttpRoute } from "./http-route.ts";
import type { BackendRef } from "./route-ends.ts";
import type { StreamRoute } from "./stream-route.ts";

/** How what is sent to a Service goes on: any of Gateway API's route kinds. */
export type Route = HttpRoute | StreamRoute;

export type RouteKind = Route["kind"];

/** What references to a route's backends call its kind: of ReferenceGrants, and in status. */
export const ROUTE_KINDS: Readonly<Record<RouteKind, string>> = {
  "grpc-route": "GRPCRoute",
  "http-route": "HTTPRoute",
  "tls-route": "TLSRoute",
  "tcp-route": "TCPRoute",
};

export function isRoute(object: { readonly kind: string }): object is Route {
  return Object.hasOwn(ROUTE_KINDS, object.kind);
}

export function isHttpRoute(route: Route): route is HttpRoute {
  return route.kind === "http-route" || route.kind === "grpc-route";
}

export function isStreamRoute(route: Route): route is StreamRoute {
  return route.kind === "tls-route" || route.kind === "tcp-route";
}

/** Where a route leads, whatever else its kind says of it. */
export function backendRefsOf(route: Route): readonly BackendRef[] {
  return isHttpRoute(route) ? route.rules.flatMap(({ backends }) => backends) : route.backends;
}
