import {
  type CapturedRules,
  capturedVirtualHost,
  type EndpointSlice,
  endpointsBehind,
  grpcEntries,
  identitiesOf,
  isStreamRoute,
  type Mesh,
  type MeshTrust,
  mtlsMode,
  outboundCluster,
  type Place,
  type PodPlace,
  podsCluster,
  podsListener,
  podsPlaces,
  type Route,
  relevantPlace,
  routesFor,
  type Service,
  type ServicePort,
  securedOutboundCluster,
  sensitivityOf,
  serviceListener,
  serviceVirtualHost,
  spiffeIdOf,
  type Workload,
  type WorkloadPort,
} from "@heddle/mesh";
import type { EndpointsConfig } from "@heddle/traffic";
import type { EncodedResource } from "@heddle/xds";
import type { Computed } from "./computed.ts";
import type { PodPlaces } from "./pod-places.ts";
import type { ResourceEncoder } from "./resource-encoder.ts";
import { sameList } from "./resource-map.ts";

/** What the parts of all services are made with. */
export interface PartsMaker {
  readonly encoder: ResourceEncoder;
  readonly computed: Computed;
  /** Undefined: nobody has an identity. */
  readonly trust: MeshTrust | undefined;
}

/**
 * What is made of one service, once for all nodes that get it: when somebody first asks, and again only when something
 * changes that it is made of.
 */
export class ServiceParts {
  readonly #service: Service;
  readonly #slices: readonly EndpointSlice[];
  readonly #workloads: readonly Workload[];
  /** At which of their ports the workloads take plaintext alone, one workload after the other. */
  readonly #plaintext: readonly PortNumbers[];
  /** Whom callers may find there. */
  readonly #identities: readonly string[];
  readonly #routes: readonly Route[];
  readonly #maker: PartsMaker;
  readonly #clusters: Map<ServicePort, EncodedResource>;
  readonly #securedClusters: Map<ServicePort, EncodedResource>;
  readonly #endpoints: Map<ServicePort, EncodedResource>;
  /** As callers at a place see them, by the port and what of the place makes a difference. */
  readonly #placedEndpoints: Map<ServicePort, Map<string, EncodedResource>>;
  /** By port and the callers, their namespace and whether they are gRPC: each an element of whatever route configuration holds it, as bytes. */
  readonly #virtualHosts: Map<ServicePort, Map<string, Uint8Array>>;
  /** For callers that are captured. */
  readonly #addresses: readonly string[];
  readonly #capturedHosts: Map<ServicePort, Map<string, Uint8Array>>;
  readonly #listeners: Map<ServicePort, Map<CapturedRules, EncodedResource>>;
  /** Of pods that take mutual TLS. */
  readonly #podsPlaces: Map<ServicePort, readonly PodPlace[]>;
  /** At all of these. */
  readonly #podsListeners: Map<ServicePort, Map<CapturedRules, EncodedResource>>;

  /** `before`: of the same service in an earlier world; what has stayed the same is taken over. */
  constructor(mesh: Mesh, service: Service, maker: PartsMaker, before?: ServiceParts) {
    const { trust } = maker;
    this.#service = service;
    this.#slices = mesh.slicesOf(service);
    this.#workloads = mesh.workloadsBehind(service);
    this.#plaintext = trust === undefined ? [] : this.#workloads.map((workload) => plaintextPorts(workload, mesh));
    this.#identities = trust === undefined ? [] : identitiesOf(this.#workloads, trust);
    this.#routes = mesh.routesOf(service);
    this.#maker = maker;
    this.#clusters = new Map();
    this.#securedClusters = new Map();
    this.#endpoints = new Map();
    this.#placedEndpoints = new Map();
    this.#virtualHosts = new Map();
    this.#addresses = mesh.addressesOf(service);
    this.#capturedHosts = new Map();
    this.#listeners = new Map();
    this.#podsPlaces = new Map();
    this.#podsListeners = new Map();
    if (before === undefined || before.#service !== service) return;
    this.#clusters = before.#clusters;
    if (sameList(before.#identities, this.#identities)) this.#securedClusters = before.#securedClusters;
    const sameBacking = sameList(before.#slices, this.#slices) && sameList(before.#workloads, this.#workloads);
    if (sameBacking && samePorts(before.#plaintext, this.#plaintext)) {
      this.#endpoints = before.#endpoints;
      this.#placedEndpoints = before.#placedEndpoints;
      this.#podsPlaces = before.#podsPlaces;
      this.#podsListeners = before.#podsListeners;
    }
    const sameAddresses = sameList(before.#addresses, this.#addresses);
    if (sameAddresses) this.#listeners = before.#listeners;
    if (!sameList(before.#routes, this.#routes)) return;
    this.#virtualHosts = before.#virtualHosts;
    if (sameAddresses) this.#capturedHosts = before.#capturedHosts;
  }

  /**
   * Whether the service, what is behind it and how it is routed are what they are here.
   *
   * @param policiesChanged some policy of the mesh is another one.
   */
  stillHold(mesh: Mesh, service: Service, policiesChanged: boolean): boolean {
    if (service !== this.#service || !sameList(mesh.routesOf(service), this.#routes)) return false;
    if (!sameList(mesh.slicesOf(service), this.#slices)) return false;
    if (!sameList(mesh.addressesOf(service), this.#addresses)) return false;
    if (!sameList(mesh.workloadsBehind(service), this.#workloads)) return false;
    if (!policiesChanged) return true;
    return this.#plaintext.every((ports, index) => sameList(ports, plaintextPorts(this.#workloads[index]!, mesh))); // as many
  }

  get service(): Service {
    return this.#service;
  }

  /** Whether it holds where nothing is different in the mesh but workloads, and these are behind the service now. */
  holdsWith(workloads: readonly Workload[]): boolean {
    return sameList(workloads, this.#workloads);
  }

  /** Whether the service, how it is routed and whom one finds there are what they were, whatever else is behind it. */
  servesLike(other: ServiceParts): boolean {
    return (
      other.#service === this.#service &&
      sameList(other.#routes, this.#routes) &&
      sameList(other.#addresses, this.#addresses) &&
      sameList(other.#identities, this.#identities)
    );
  }

  /** @param secured as callers with an identity see it. */
  cluster(port: ServicePort, secured = false, isGrpc = false): EncodedResource {
    const { encoder, computed, trust } = this.#maker;
    const { cluster } = encoder.types;
    if (isGrpc && this.#service.externalName !== undefined)
      return encoder.encodeOnce(cluster, outboundCluster(this.#service, port, true));
    if (!secured || trust === undefined) {
      return getOrMake(this.#clusters, port, () => {
        computed.add("cluster");
        return encoder.encode(cluster, outboundCluster(this.#service, port));
      });
    }
    return getOrMake(this.#securedClusters, port, () => {
      computed.add("secured-cluster");
      return encoder.encode(cluster, securedOutboundCluster(this.#service, port, this.#identities, trust));
    });
  }

  endpoints(port: ServicePort): EncodedResource {
    const { encoder, computed } = this.#maker;
    return getOrMake(this.#endpoints, port, () => {
      computed.add("endpoints");
      return encoder.encode(encoder.types.endpoints, this.#endpointsOf(port));
    });
  }

  /** Whether callers at one place find others behind the service, or in another order, than callers at another. */
  get isPlaced(): boolean {
    const { zone, node } = sensitivityOf(this.#service, this.#slices);
    return zone || node;
  }

  /** As callers at a place see them. */
  endpointsAt(port: ServicePort, place: Place): EncodedResource {
    const relevant = relevantPlace(this.#service, this.#slices, this.#workloads, place);
    if (relevant.zone === "" && relevant.node === "") return this.endpoints(port);
    const byPlace = getOrMake(this.#placedEndpoints, port, () => new Map<string, EncodedResource>());
    return getOrMake(byPlace, `${relevant.zone} ${relevant.node}`, () => {
      const { encoder, computed } = this.#maker;
      computed.add("placed-endpoints");
      return encoder.encode(encoder.types.endpoints, this.#endpointsOf(port, relevant));
    });
  }

  #endpointsOf(port: ServicePort, place?: Place): EndpointsConfig {
    const { trust } = this.#maker;
    const plaintext = new Map(this.#workloads.map((workload, index) => [workload, this.#plaintext[index]]));
    const identityOf = (workload: Workload, at: WorkloadPort): string | undefined => {
      if (trust === undefined || at.applicationPort === undefined) return undefined; // no sidecar stands there
      return plaintext.get(workload)?.includes(at.port) === true ? undefined : spiffeIdOf(workload, trust);
    };
    const backing = { slices: this.#slices, workloads: this.#workloads };
    return endpointsBehind(this.#service, port, backing, identityOf, place);
  }

  /** As `Mesh.addressesOf`. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** For callers that are captured. */
  capturedVirtualHost(port: ServicePort, fromNamespace: string): Uint8Array {
    const byNamespace = getOrMake(this.#capturedHosts, port, () => new Map<string, Uint8Array>());
    return getOrMake(byNamespace, fromNamespace, () => {
      const { encoder, computed } = this.#maker;
      computed.add("virtual-host");
      const routes = routesFor(this.#service, port, this.#routes, fromNamespace);
      const config = capturedVirtualHost(this.#service, port, routes, fromNamespace, this.#addresses);
      return encoder.types["virtual-host"].encode(config);
    });
  }

  /** The listener of a port at the service's own addresses, for callers of a namespace that are captured. */
  capturedListener(port: ServicePort, rules: CapturedRules, fromNamespace: string): EncodedResource {
    const { encoder, computed } = this.#maker;
    const { listener } = encoder.types;
    const streams = routesFor(this.#service, port, this.#routes, fromNamespace).filter(isStreamRoute);
    if (streams.length > 0)
      return encoder.encodeOnce(listener, serviceListener(this.#service, port, this.#addresses, rules, streams));
    const byRules = getOrMake(this.#listeners, port, () => new Map<CapturedRules, EncodedResource>());
    return getOrMake(byRules, rules, () => {
      computed.add("captured-listener");
      return encoder.encode(listener, serviceListener(this.#service, port, this.#addresses, rules));
    });
  }

  /**
   * The listener of a headless service's port at those addresses of its pods that no other listener of the node has, and the cluster
   * of these, for captured callers with an identity. None where nobody takes mutual TLS there.
   */
  podsOf(port: ServicePort, rules: CapturedRules, places: PodPlaces): PodsResources | undefined {
    const { encoder, computed, trust } = this.#maker;
    if (trust === undefined) return undefined;
    const all = getOrMake(this.#podsPlaces, port, () => podsPlaces(this.#endpointsOf(port), "mtls"));
    const free = places.claim(all);
    if (free.length === 0) return undefined;
    const { listener, cluster } = encoder.types;
    const listenerAt = (at: readonly PodPlace[]) => podsListener(this.#service, port, at, rules);
    const byRules = getOrMake(this.#podsListeners, port, () => new Map<CapturedRules, EncodedResource>());
    const made =
      free !== all
        ? encoder.encodeOnce(listener, listenerAt(free))
        : getOrMake(byRules, rules, () => {
            computed.add("captured-listener");
            return encoder.encode(listener, listenerAt(all));
          });
    const leadsTo = podsCluster(this.#service, port, this.#identities, trust);
    return { listener: made, cluster: encoder.encodeOnce(cluster, leadsTo) };
  }

  /**
   * The same for those of its pods that are called in plaintext, where what is unknown is refused: by callers without an identity
   * these are all.
   */
  plaintextPodsOf(
    port: ServicePort,
    rules: CapturedRules,
    places: PodPlaces,
    secured: boolean,
  ): EncodedResource | undefined {
    const { encoder } = this.#maker;
    const which = secured ? "plaintext" : "all";
    const free = places.claim(podsPlaces(this.#endpointsOf(port), which));
    if (free.length === 0) return undefined;
    return encoder.encodeOnce(encoder.types.listener, podsListener(this.#service, port, free, rules, which));
  }

  /** @param isGrpc as clients of gRPC take it: see `grpcEntries`. */
  virtualHost(port: ServicePort, fromNamespace: string, isGrpc = false): Uint8Array {
    const byCaller = getOrMake(this.#virtualHosts, port, () => new Map<string, Uint8Array>());
    return getOrMake(byCaller, isGrpc ? `grpc ${fromNamespace}` : fromNamespace, () => {
      const { encoder, computed } = this.#maker;
      computed.add("virtual-host");
      const routes = routesFor(this.#service, port, this.#routes, fromNamespace);
      const config = serviceVirtualHost(this.#service, port, routes, fromNamespace);
      const routed = isGrpc ? { ...config, routes: config.routes.flatMap(grpcEntries) } : config;
      return encoder.types["virtual-host"].encode(routed);
    });
  }
}

interface PodsResources {
  readonly listener: EncodedResource;
  readonly cluster: EncodedResource;
}

type PortNumbers = readonly number[];

const NO_PORTS: PortNumbers = [];

function plaintextPorts(workload: Workload, mesh: Mesh): PortNumbers {
  const policies = mesh.policiesOf(workload);
  if (policies.peer.length === 0) return NO_PORTS;
  return workload.ports.map(({ port }) => port).filter((port) => mtlsMode(policies, port) === "DISABLE");
}

function samePorts(a: readonly PortNumbers[], b: readonly PortNumbers[]): boolean {
  return a.length === b.length && a.every((ports, index) => sameList(ports, b[index]!)); // as many
}

export function getOrMake<Key, Value>(map: MapLike<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

/** A map, or one that holds its keys weakly. */
interface MapLike<Key, Value> {
  get(key: Key): Value | undefined;
  set(key: Key, value: Value): unknown;
}
