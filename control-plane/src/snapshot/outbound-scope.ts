import {
  absentCluster,
  backendsOf,
  clusterNameOf,
  isInScope,
  type Mesh,
  NO_CLUSTER,
  OUTBOUND_ROUTES,
  outboundClusterName,
  type Place,
  type ReachablePort,
  reachable,
  type ScopeRules,
  type Service,
  type ServicePortPair,
  virtualHostNames,
} from "@heddle/mesh";
import { noEndpoints } from "@heddle/traffic";
import { type EncodedResource, joinRouteConfiguration } from "@heddle/xds";
import { CapturedScope } from "./captured-scope.ts";
import type { Computed } from "./computed.ts";
import { type ChangedService, type MeshParts, serviceKey } from "./mesh-parts.ts";
import type { ResourceEncoder } from "./resource-encoder.ts";
import { NO_RESOURCES, type Resources, resourceMap, sameList } from "./resource-map.ts";

/** What all nodes with the same rules get of the services that they call. */
export class OutboundScope {
  readonly rules: ScopeRules;
  /** They have an identity, and call by mutual TLS who takes it. */
  readonly #secured: boolean;
  readonly #encoder: ResourceEncoder;
  readonly #computed: Computed;
  /** Services that routes lead to, whether they exist or not. */
  #behind: ReadonlySet<string> = new Set();
  #virtualHosts: readonly Uint8Array[] | undefined;
  #clusters: Resources = NO_RESOURCES;
  #endpoints: Resources = NO_RESOURCES;
  #routes: Resources = NO_RESOURCES;
  #demandedHosts: Resources = NO_RESOURCES;
  /** By the name of its endpoints: what of it depends on where the caller is. */
  #placed: ReadonlyMap<string, ServicePortPair> = new Map();
  readonly #captured: CapturedScope | undefined;

  constructor(rules: ScopeRules, secured: boolean, encoder: ResourceEncoder, computed: Computed) {
    this.rules = rules;
    this.#secured = secured;
    this.#encoder = encoder;
    this.#computed = computed;
    const { captured } = rules;
    this.#captured = captured && new CapturedScope({ ...rules, captured }, secured, encoder, computed);
  }

  get clusters(): Resources {
    return this.#clusters;
  }

  get endpoints(): Resources {
    return this.#endpoints;
  }

  /** Endpoints that are others, or in another order, to a caller at that place: in the place of those of `endpoints`. */
  endpointsAt(place: Place, parts: MeshParts): readonly EncodedResource[] {
    if (place.zone === "" && place.node === "") return [];
    return [...this.#placed.values()].map(({ service, port }) => parts.of(service).endpointsAt(port, place));
  }

  /** Of services that were asked for by name, each by itself. */
  get virtualHosts(): Resources {
    return this.#demandedHosts;
  }

  get routes(): Resources {
    return this.#routes;
  }

  /** What captured nodes listen to for their applications' calls; others have one listener, which is not of the scope. */
  get listeners(): Resources {
    return this.#captured?.listeners ?? NO_RESOURCES;
  }

  /** Brings it up to date with what has changed in a world. Returns whether anything is different. */
  update(changed: readonly ChangedService[], mesh: Mesh, parts: MeshParts): boolean {
    const touching = changed.filter(
      (service) => isInScope(service, this.rules) || this.#behind.has(serviceKey(service)),
    );
    if (touching.length === 0) return false;
    // By far the most frequent change, and one that leaves everything in its place: 1000 scopes in 5 ms instead of 80.
    const services = touching.flatMap(({ newEndpointsOf }) => newEndpointsOf ?? []);
    const endpointsAlone = services.length === touching.length;
    // The pods of a headless service have listeners in a pod.
    const listened = this.#captured !== undefined && services.some(({ headless }) => headless);
    return endpointsAlone && !listened ? this.#takeEndpoints(services, parts) : this.rebuild(mesh, parts);
  }

  #takeEndpoints(services: readonly Service[], parts: MeshParts): boolean {
    const endpoints = new Map(this.#endpoints);
    const placed = new Map(this.#placed);
    let different = false;
    for (const service of services) {
      for (const port of service.ports) {
        const before = endpoints.get(outboundClusterName(service.namespace, service.name, port.port));
        if (before === undefined) continue; // not in the scope are ports that only routes of others lead to
        const of = parts.of(service);
        const made = of.endpoints(port);
        const wasPlaced = placed.delete(made.name);
        if (of.isPlaced) placed.set(made.name, { service, port });
        different ||= wasPlaced || of.isPlaced; // hints are no part of what callers at no place get
        if (before === made) continue;
        endpoints.set(made.name, made);
        different = true;
      }
    }
    if (!different) return false;
    this.#endpoints = endpoints;
    this.#placed = placed;
    return true;
  }

  /** Makes it of a world, of which `parts` are. Returns whether anything is different. */
  rebuild(mesh: Mesh, parts: MeshParts): boolean {
    this.#computed.add("scope");
    if (this.#captured !== undefined) return this.#takeCaptured(this.#captured, mesh, parts);
    const { called, behind } = reachable(mesh, this.rules);
    const { namespace, isGrpc } = this.rules;
    const backends = called.flatMap(backendsOf);
    this.#behind = new Set(backends.map(serviceKey));
    const before = [this.#clusters, this.#endpoints, this.#routes, this.#demandedHosts];
    const clusters: EncodedResource[] = [];
    const endpoints: EncodedResource[] = [];
    const placedBefore = this.#placed;
    this.#placed = placedOf([...called, ...behind], parts);
    for (const { service, port } of [...called, ...behind]) {
      const made = parts.of(service);
      clusters.push(made.cluster(port, this.#secured, isGrpc));
      endpoints.push(made.endpoints(port));
    }
    if (isGrpc === true) {
      const there = new Set(clusters.map(({ name }) => name));
      const { types } = this.#encoder;
      for (const name of new Set([NO_CLUSTER, ...backends.map(clusterNameOf)]).difference(there)) {
        clusters.push(this.#encoder.encodeOnce(types.cluster, absentCluster(name)));
        endpoints.push(this.#encoder.encodeOnce(types.endpoints, noEndpoints(name)));
      }
    }
    this.#clusters = resourceMap(this.#clusters, clusters);
    this.#endpoints = resourceMap(this.#endpoints, endpoints);
    const virtualHosts = called.map(({ service, port }) => parts.of(service).virtualHost(port, namespace, isGrpc));
    if (this.#virtualHosts === undefined || !sameList(virtualHosts, this.#virtualHosts)) {
      this.#virtualHosts = virtualHosts;
      this.#routes = resourceMap(this.#routes, [this.#encodeRoutes(virtualHosts)]);
    }
    this.#demandedHosts = this.#encodeDemanded(called, parts);
    if (this.#placed.size + placedBefore.size > 0) return true;
    return !sameList(before, [this.#clusters, this.#endpoints, this.#routes, this.#demandedHosts]);
  }

  #takeCaptured(captured: CapturedScope, mesh: Mesh, parts: MeshParts): boolean {
    const { listeners } = captured;
    const before = [this.#clusters, this.#endpoints, this.#routes, listeners];
    const made = captured.rebuild(mesh, parts);
    const placedBefore = this.#placed;
    this.#placed = placedOf(made.served, parts);
    this.#behind = made.behind;
    this.#clusters = resourceMap(this.#clusters, made.clusters);
    this.#endpoints = resourceMap(this.#endpoints, made.endpoints);
    this.#routes = resourceMap(this.#routes, made.routes);
    if (this.#placed.size + placedBefore.size > 0) return true;
    return !sameList(before, [this.#clusters, this.#endpoints, this.#routes, captured.listeners]);
  }

  #encodeDemanded(called: readonly ReachablePort[], parts: MeshParts): Resources {
    const { demanded, namespace, isGrpc } = this.rules;
    if (demanded.length === 0) return NO_RESOURCES;
    const wanted = new Set(demanded.map(serviceKey));
    const { typeUrl } = this.#encoder.types["virtual-host"];
    const made = called.flatMap(({ service, port }): EncodedResource[] => {
      if (!wanted.has(serviceKey(service))) return [];
      const [name = "", ...aliases] = virtualHostNames(service, port, namespace);
      const bytes = parts.of(service).virtualHost(port, namespace, isGrpc);
      return [{ ...this.#encoder.fromBytes(typeUrl, name, bytes), aliases }];
    });
    // Each time other objects, for the sake of the aliases: what is equal stays what it was.
    const known = made.map((one) => {
      const before = this.#demandedHosts.get(one.name);
      return before?.version === one.version ? before : one;
    });
    return resourceMap(this.#demandedHosts, known);
  }

  #encodeRoutes(virtualHosts: readonly Uint8Array[]): EncodedResource {
    this.#computed.add("route-configuration");
    return this.#encoder.fromBytes(
      this.#encoder.types["route-configuration"].typeUrl,
      OUTBOUND_ROUTES,
      joinRouteConfiguration(this.#encoder.emptyRoutes(this.rules), virtualHosts),
    );
  }
}

function placedOf(pairs: readonly ServicePortPair[], parts: MeshParts): ReadonlyMap<string, ServicePortPair> {
  const placed = pairs.filter(({ service }) => parts.of(service).isPlaced);
  return new Map(
    placed.map(({ service, port }) => [
      outboundClusterName(service.namespace, service.name, port.port),
      { service, port },
    ]),
  );
}
