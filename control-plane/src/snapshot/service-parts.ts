import {
  type HttpRoute,
  type Mesh,
  outboundCluster,
  routesFor,
  type Service,
  type ServicePort,
  serviceEndpoints,
  serviceVirtualHost,
  type Workload,
} from "@heddle/mesh";
import type { EncodedResource } from "@heddle/xds";
import type { Computed } from "./computed.ts";
import type { ResourceEncoder } from "./resource-encoder.ts";
import { sameList } from "./resource-map.ts";

/**
 * What is made of one service, once for all nodes that get it: when somebody first asks, and again only when something
 * changes that it is made of.
 */
export class ServiceParts {
  readonly #service: Service;
  readonly #workloads: readonly Workload[];
  readonly #routes: readonly HttpRoute[];
  readonly #encoder: ResourceEncoder;
  readonly #computed: Computed;
  readonly #clusters: Map<ServicePort, EncodedResource>;
  readonly #endpoints: Map<ServicePort, EncodedResource>;
  /** By port and the namespace of the callers: each an element of whatever route configuration holds it, as bytes. */
  readonly #virtualHosts: Map<ServicePort, Map<string, Uint8Array>>;

  /** `before`: of the same service in an earlier world; what has stayed the same is taken over. */
  constructor(mesh: Mesh, service: Service, encoder: ResourceEncoder, computed: Computed, before?: ServiceParts) {
    this.#service = service;
    this.#workloads = mesh.workloadsOf(service);
    this.#routes = mesh.routesOf(service);
    this.#encoder = encoder;
    this.#computed = computed;
    this.#clusters = new Map();
    this.#endpoints = new Map();
    this.#virtualHosts = new Map();
    if (before === undefined || before.#service !== service) return;
    this.#clusters = before.#clusters;
    if (sameList(before.#workloads, this.#workloads)) this.#endpoints = before.#endpoints;
    if (sameList(before.#routes, this.#routes)) this.#virtualHosts = before.#virtualHosts;
  }

  /** Whether the service, what is behind it and how it is routed are what they are here. */
  stillHold(mesh: Mesh, service: Service): boolean {
    return this.servesLike(mesh, service) && sameList(mesh.workloadsOf(service), this.#workloads);
  }

  /** Whether the service and how it is routed are what they are here, whatever is behind it. */
  servesLike(mesh: Mesh, service: Service): boolean {
    return service === this.#service && sameList(mesh.routesOf(service), this.#routes);
  }

  cluster(port: ServicePort): EncodedResource {
    return getOrMake(this.#clusters, port, () => {
      this.#computed.add("cluster");
      return this.#encoder.encode(this.#encoder.types.cluster, outboundCluster(this.#service, port));
    });
  }

  endpoints(port: ServicePort): EncodedResource {
    return getOrMake(this.#endpoints, port, () => {
      this.#computed.add("endpoints");
      const config = serviceEndpoints(this.#service, port, this.#workloads);
      return this.#encoder.encode(this.#encoder.types.endpoints, config);
    });
  }

  virtualHost(port: ServicePort, fromNamespace: string): Uint8Array {
    const byNamespace = getOrMake(this.#virtualHosts, port, () => new Map<string, Uint8Array>());
    return getOrMake(byNamespace, fromNamespace, () => {
      this.#computed.add("virtual-host");
      const routes = routesFor(this.#service, port, this.#routes, fromNamespace);
      const config = serviceVirtualHost(this.#service, port, routes, fromNamespace);
      return this.#encoder.types["virtual-host"].encode(config);
    });
  }
}

function getOrMake<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
