import type { ResourceKind } from "../resource/resource-type.ts";
import {
  CLUSTER_TYPE_URL,
  ENDPOINTS_TYPE_URL,
  EXTENSION_CONFIG_TYPE_URL,
  LISTENER_TYPE_URL,
  ROUTE_CONFIGURATION_TYPE_URL,
  RUNTIME_TYPE_URL,
  SECRET_TYPE_URL,
  type TypeTraits,
  traitsOf,
  typeUrlOfKind,
  VIRTUAL_HOST_TYPE_URL,
} from "./type-urls.ts";

/** One discovery service: its methods are `Stream<method>` and `Delta<method>`. */
export interface DiscoveryService {
  readonly service: string;
  readonly method: string;
  /** "" stands for any type. */
  readonly typeUrl: string;
  readonly deltaOnly?: boolean;
}

const AGGREGATED: DiscoveryService = {
  service: "discovery.v3.AggregatedDiscoveryService",
  method: "AggregatedResources",
  typeUrl: "",
};

/** The aggregated service, and one for each type (statement 1). Virtual hosts are discovered by delta alone. */
export const SERVICES: readonly DiscoveryService[] = [
  AGGREGATED,
  { service: "listener.v3.ListenerDiscoveryService", method: "Listeners", typeUrl: LISTENER_TYPE_URL },
  { service: "route.v3.RouteDiscoveryService", method: "Routes", typeUrl: ROUTE_CONFIGURATION_TYPE_URL },
  {
    service: "route.v3.VirtualHostDiscoveryService",
    method: "VirtualHosts",
    typeUrl: VIRTUAL_HOST_TYPE_URL,
    deltaOnly: true,
  },
  { service: "cluster.v3.ClusterDiscoveryService", method: "Clusters", typeUrl: CLUSTER_TYPE_URL },
  { service: "endpoint.v3.EndpointDiscoveryService", method: "Endpoints", typeUrl: ENDPOINTS_TYPE_URL },
  { service: "secret.v3.SecretDiscoveryService", method: "Secrets", typeUrl: SECRET_TYPE_URL },
  { service: "runtime.v3.RuntimeDiscoveryService", method: "Runtime", typeUrl: RUNTIME_TYPE_URL },
  {
    service: "extension.v3.ExtensionConfigDiscoveryService",
    method: "ExtensionConfigs",
    typeUrl: EXTENSION_CONFIG_TYPE_URL,
  },
];

/** The gRPC method that streams resources of that kind; of every kind where it is left out. */
export function streamPath(variant: "sotw" | "delta", kind: ResourceKind | undefined): string {
  const typeUrl = kind === undefined ? "" : typeUrlOfKind(kind);
  const { service, method } = SERVICES.find((one) => one.typeUrl === typeUrl) ?? AGGREGATED;
  return `/envoy.service.${service}/${variant === "sotw" ? "Stream" : "Delta"}${method}`;
}

/** Of the REST-JSON services, by kind (xds_api.rst, "REST endpoints"). */
const REST_NAMES: Readonly<Record<ResourceKind, string>> = {
  listener: "listeners",
  "route-configuration": "routes",
  cluster: "clusters",
  endpoints: "endpoints",
  secret: "secrets",
  "extension-config": "extension_configs",
  runtime: "runtime",
  "virtual-host": "virtual_hosts",
};

export function restPath(kind: ResourceKind): string {
  return `/v3/discovery:${REST_NAMES[kind]}`;
}

/** The type that a path serves; undefined for one that serves none. Virtual hosts are discovered by delta alone. */
export function typeOfRestPath(path: string): TypeTraits | undefined {
  const kind = (Object.keys(REST_NAMES) as ResourceKind[]).find((candidate) => restPath(candidate) === path);
  return kind === undefined || kind === "virtual-host" ? undefined : traitsOf(typeUrlOfKind(kind));
}
