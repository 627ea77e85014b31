import type { ClusterConfig, EndpointsConfig, ListenerConfig, RouteConfiguration } from "@heddle/traffic";
import { makeClusterType } from "./cluster.ts";
import { endpointsType } from "./endpoints.ts";
import { makeListenerType } from "./listener.ts";
import type { ListenerOptions } from "./network-filter.ts";
import type { ResourceType } from "./resource-type.ts";
import { makeRouteConfigurationType } from "./route-configuration.ts";

/** The resource types, by kind. */
export interface ResourceTypes {
  readonly listener: ResourceType<ListenerConfig>;
  readonly "route-configuration": ResourceType<RouteConfiguration>;
  readonly cluster: ResourceType<ClusterConfig>;
  readonly endpoints: ResourceType<EndpointsConfig>;
}

/** The resource types as they are read where these filters exist. */
export function makeResourceTypes(options: ListenerOptions): ResourceTypes {
  return {
    listener: makeListenerType(options),
    "route-configuration": makeRouteConfigurationType(options.httpFilters),
    cluster: makeClusterType(options.data),
    endpoints: endpointsType,
  };
}
