import type { ResourceKind } from "../resource/resource-type.ts";

export const LISTENER_TYPE_URL = "type.googleapis.com/envoy.config.listener.v3.Listener";
export const ROUTE_CONFIGURATION_TYPE_URL = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
export const CLUSTER_TYPE_URL = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
export const ENDPOINTS_TYPE_URL = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
export const SECRET_TYPE_URL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
export const EXTENSION_CONFIG_TYPE_URL = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
export const RUNTIME_TYPE_URL = "type.googleapis.com/envoy.service.runtime.v3.Runtime";
export const VIRTUAL_HOST_TYPE_URL = "type.googleapis.com/envoy.config.route.v3.VirtualHost";

/** What the protocol needs to know of a type; everything else about it is in `resource/`. */
export interface TypeTraits {
  readonly typeUrl: string;
  /** Undefined for a type that we carry without knowing it. */
  readonly kind: ResourceKind | undefined;
  /**
   * LDS and CDS: a state-of-the-world response holds the complete set, and a first request without names means all.
   * The other types are asked for by name, and a response may hold only what changed.
   */
  readonly complete: boolean;
  /**
   * VHDS: a resource's name is "<route configuration>/<virtual host>" and stands in the delta envelope alone; the message has
   * only the second half.
   */
  readonly namedByEnvelope?: boolean;
}

/** The envelope of the delta variant, in which the state-of-the-world variant may put a resource too. */
export const WRAPPED_RESOURCE_TYPE_URL = "type.googleapis.com/envoy.service.discovery.v3.Resource";

const KNOWN: readonly TypeTraits[] = [
  { typeUrl: CLUSTER_TYPE_URL, kind: "cluster", complete: true },
  { typeUrl: ENDPOINTS_TYPE_URL, kind: "endpoints", complete: false },
  { typeUrl: LISTENER_TYPE_URL, kind: "listener", complete: true },
  { typeUrl: ROUTE_CONFIGURATION_TYPE_URL, kind: "route-configuration", complete: false },
  { typeUrl: SECRET_TYPE_URL, kind: "secret", complete: false },
  { typeUrl: EXTENSION_CONFIG_TYPE_URL, kind: "extension-config", complete: false },
  { typeUrl: RUNTIME_TYPE_URL, kind: "runtime", complete: false },
  { typeUrl: VIRTUAL_HOST_TYPE_URL, kind: "virtual-host", complete: false, namedByEnvelope: true },
];

const BY_URL: ReadonlyMap<string, TypeTraits> = new Map(KNOWN.map((traits) => [traits.typeUrl, traits]));
const URL_BY_KIND: Readonly<Record<ResourceKind, string>> = {
  cluster: CLUSTER_TYPE_URL,
  endpoints: ENDPOINTS_TYPE_URL,
  listener: LISTENER_TYPE_URL,
  "route-configuration": ROUTE_CONFIGURATION_TYPE_URL,
  secret: SECRET_TYPE_URL,
  "extension-config": EXTENSION_CONFIG_TYPE_URL,
  runtime: RUNTIME_TYPE_URL,
  "virtual-host": VIRTUAL_HOST_TYPE_URL,
};

export function traitsOf(typeUrl: string): TypeTraits {
  return BY_URL.get(typeUrl) ?? { typeUrl, kind: undefined, complete: false };
}

export function typeUrlOfKind(kind: ResourceKind): string {
  return URL_BY_KIND[kind];
}

/** "cluster" rather than the whole URL, where we know the type: for logs, metrics and errors. */
export function shortTypeName(typeUrl: string): string {
  return traitsOf(typeUrl).kind ?? typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}
