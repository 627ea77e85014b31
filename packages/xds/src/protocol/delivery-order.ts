import type { Reference } from "../resource/resource-type.ts";
import type { EncodedResource } from "../snapshot.ts";
import {
  CLUSTER_TYPE_URL,
  ENDPOINTS_TYPE_URL,
  EXTENSION_CONFIG_TYPE_URL,
  LISTENER_TYPE_URL,
  ROUTE_CONFIGURATION_TYPE_URL,
  RUNTIME_TYPE_URL,
  SECRET_TYPE_URL,
  typeUrlOfKind,
  VIRTUAL_HOST_TYPE_URL,
} from "./type-urls.ts";

/*
 * Make before break, on one stream that carries many types (xds_protocol.rst, "Eventual consistency considerations"):
 * clusters, then their endpoints, then listeners, then routes, then virtual hosts; secrets come before the listeners that wait
 * for them; what nothing refers to any more is taken away last.
 * The order of this table is the order of delivery.
 */
const ORDER: readonly string[] = [
  RUNTIME_TYPE_URL,
  CLUSTER_TYPE_URL,
  ENDPOINTS_TYPE_URL,
  SECRET_TYPE_URL,
  LISTENER_TYPE_URL,
  EXTENSION_CONFIG_TYPE_URL,
  ROUTE_CONFIGURATION_TYPE_URL,
  VIRTUAL_HOST_TYPE_URL,
];

/** Types that we carry without knowing them come after the ones we know. */
export function deliveryRank(typeUrl: string): number {
  const rank = ORDER.indexOf(typeUrl);
  return rank === -1 ? ORDER.length : rank;
}

/** Clusters and endpoints: routes and listeners name them, so they must be there first and go last. */
export function isTarget(typeUrl: string): boolean {
  return typeUrl === CLUSTER_TYPE_URL || typeUrl === ENDPOINTS_TYPE_URL;
}

/** What is taken away last: clusters and endpoints, and secrets, which come before the listeners that name them. */
export function goesLast(typeUrl: string): boolean {
  return isTarget(typeUrl) || typeUrl === SECRET_TYPE_URL;
}

/** Listeners and routes, and what is a part of either: they name clusters. */
export function isReferrer(typeUrl: string): boolean {
  return REFERRERS.has(typeUrl);
}

const REFERRERS: ReadonlySet<string> = new Set([
  LISTENER_TYPE_URL,
  EXTENSION_CONFIG_TYPE_URL,
  ROUTE_CONFIGURATION_TYPE_URL,
  VIRTUAL_HOST_TYPE_URL,
]);

/** A type and a name in it, by type URL. */
export interface Dependent {
  readonly typeUrl: string;
  readonly name: string;
}

/**
 * What has to be sent again once an update of this resource has been sent, changed or not: an Envoy keeps an updated
 * cluster (listener) warming until its endpoints (route configuration) have come afresh.
 */
export function dependentsOf(typeUrl: string, resource: EncodedResource): readonly Dependent[] {
  const kind = DEPENDENT_KIND[typeUrl];
  if (kind === undefined) return [];
  if (resource.references === undefined) return [{ typeUrl: typeUrlOfKind(kind), name: resource.name }];
  return resource.references
    .filter((reference) => reference.kind === kind)
    .map((reference) => ({ typeUrl: typeUrlOfKind(kind), name: reference.name }));
}

const DEPENDENT_KIND: Readonly<Record<string, Reference["kind"]>> = {
  [CLUSTER_TYPE_URL]: "endpoints",
  [LISTENER_TYPE_URL]: "route-configuration",
};
