import type {
  ClusterConfig,
  EndpointsConfig,
  ExtensionConfig,
  ListenerConfig,
  RouteConfiguration,
  RuntimeLayerConfig,
  VirtualHost,
} from "@heddle/traffic";
import { makeClusterType } from "./cluster.ts";
import { endpointsType } from "./endpoints.ts";
import { makeExtensionConfigType } from "./extension-config.ts";
import { makeListenerType } from "./listener.ts";
import { listenerFilterKind } from "./listener-filter.ts";
import { type ListenerOptions, networkFilterKind } from "./network-filter.ts";
import type { ResourceType } from "./resource-type.ts";
import { makeRouteConfigurationType } from "./route-configuration.ts";
import { runtimeType } from "./runtime.ts";
import { makeSecretType, type SecretResourceType } from "./secret.ts";
import { makeVirtualHostType } from "./virtual-host.ts";

/** The resource types, by kind. */
export interface ResourceTypes {
  readonly listener: ResourceType<ListenerConfig>;
  readonly "route-configuration": ResourceType<RouteConfiguration>;
  readonly cluster: ResourceType<ClusterConfig>;
  readonly endpoints: ResourceType<EndpointsConfig>;
  readonly secret: SecretResourceType;
  readonly "extension-config": ResourceType<ExtensionConfig>;
  readonly runtime: ResourceType<RuntimeLayerConfig>;
  readonly "virtual-host": ResourceType<VirtualHost>;
}

/** The resource types as they are read where these filters exist. */
export function makeResourceTypes(options: ListenerOptions): ResourceTypes {
  const secret = makeSecretType(options.data);
  const data = options.data && { ...options.data, staticSecret: (name: string) => secret.static(name) };
  const withData = { ...options, ...(data && { data }) };
  return {
    listener: makeListenerType(withData),
    "route-configuration": makeRouteConfigurationType(options.httpFilters),
    cluster: makeClusterType(data),
    endpoints: endpointsType,
    secret,
    "extension-config": makeExtensionConfigType(options.httpFilters, {
      network: networkFilterKind(withData),
      listener: listenerFilterKind(options),
    }),
    runtime: runtimeType,
    "virtual-host": makeVirtualHostType(options.httpFilters),
  };
}
