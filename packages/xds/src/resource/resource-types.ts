import type {
  ClusterConfig,
  EndpointsConfig,
  ExtensionConfig,
  ListenerConfig,
  RouteConfiguration,
  RuntimeLayerConfig,
  SecretConfig,
  VirtualHost,
} from "@heddle/traffic";
import { makeClusterType } from "./cluster.ts";
import { endpointsType } from "./endpoints.ts";
import { makeExtensionConfigType } from "./extension-config.ts";
import { makeListenerType } from "./listener.ts";
import type { ListenerOptions } from "./network-filter.ts";
import type { ResourceType } from "./resource-type.ts";
import { makeRouteConfigurationType } from "./route-configuration.ts";
import { runtimeType } from "./runtime.ts";
import { makeSecretType } from "./secret.ts";
import { makeVirtualHostType } from "./virtual-host.ts";

/** The resource types, by kind. */
export interface ResourceTypes {
  readonly listener: ResourceType<ListenerConfig>;
  readonly "route-configuration": ResourceType<RouteConfiguration>;
  readonly cluster: ResourceType<ClusterConfig>;
  readonly endpoints: ResourceType<EndpointsConfig>;
  readonly secret: ResourceType<SecretConfig>;
  readonly "extension-config": ResourceType<ExtensionConfig>;
  readonly runtime: ResourceType<RuntimeLayerConfig>;
  readonly "virtual-host": ResourceType<VirtualHost>;
}

/** The resource types as they are read where these filters exist. */
export function makeResourceTypes(options: ListenerOptions): ResourceTypes {
  return {
    listener: makeListenerType(options),
    "route-configuration": makeRouteConfigurationType(options.httpFilters),
    cluster: makeClusterType(options.data),
    endpoints: endpointsType,
    secret: makeSecretType(options.data),
    "extension-config": makeExtensionConfigType(options.httpFilters),
    runtime: runtimeType,
    "virtual-host": makeVirtualHostType(options.httpFilters),
  };
}
