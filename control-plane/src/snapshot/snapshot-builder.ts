import {
  inboundCluster,
  inboundListener,
  outboundCluster,
  outboundListener,
  outboundRouteConfiguration,
  type ReachablePort,
  reachable,
  type ScopeRules,
  type Service,
  type ServicePort,
  serviceEndpoints,
  serviceVirtualHost,
} from "@heddle/mesh";
import type { EncodedResource, ResourceTypes, Snapshot } from "@heddle/xds";
import type { World } from "../source/merge.ts";
import type { RawResource } from "../source/raw-resource.ts";
import { Memo } from "./memo.ts";
import type { NodeScope } from "./node-scope.ts";
import { ResourceEncoder } from "./resource-encoder.ts";

type Resources = ReadonlyMap<string, EncodedResource>;

/**
 * Makes the snapshots of nodes. Each resource is computed and encoded once, for all nodes that get it, and again only
 * when something changes that it is made of. A node's snapshot stays the same object as long as nothing in it changes.
 */
export class SnapshotBuilder {
  readonly #memo = new Memo();
  readonly #encoder: ResourceEncoder;

  constructor(types: ResourceTypes) {
    this.#encoder = new ResourceEncoder(types);
  }

  /** How often each kind of thing has been computed so far. */
  get computed(): ReadonlyMap<string, number> {
    return this.#memo.computed;
  }

  /** @param id of the node, or of whatever else has this scope. */
  build(world: World, id: string, scope: NodeScope): Snapshot {
    const { listener, "route-configuration": routes, cluster, endpoints } = this.#encoder.types;
    const outbound = this.#outbound(world, scope.rules);
    const inbound = this.#inbound(scope);
    const raw = this.#raw(world.rawResources, scope.cluster);
    const maps = [
      [cluster.typeUrl, this.#joined(`${id} clusters`, outbound.clusters, inbound.clusters)],
      [endpoints.typeUrl, outbound.endpoints],
      [
        listener.typeUrl,
        this.#joined(`${id} listeners`, NOTHING, [...inbound.listeners, ...this.#outboundListeners(scope)]),
      ],
      [routes.typeUrl, outbound.routes],
    ] as const;
    const types = new Set([...maps.map(([typeUrl]) => typeUrl), ...raw.map(({ typeUrl }) => typeUrl)]);
    const resources = [...types].map((typeUrl) => {
      const generated = maps.find(([candidate]) => candidate === typeUrl)?.[1] ?? NOTHING;
      return [
        typeUrl,
        this.#withRaw(
          `${id} ${typeUrl}`,
          generated,
          raw.filter((one) => one.typeUrl === typeUrl),
        ),
      ] as const;
    });
    return this.#memo.get("snapshot", id, resources.flat(), () => ({ resources: new Map(resources) }));
  }

  /** Forgets what no node has asked for since the last call. */
  sweep(): void {
    this.#memo.sweep();
    this.#encoder.sweep();
  }

  /** What nodes with the same rules share: once for each new world. */
  #outbound(world: World, rules: ScopeRules): { clusters: Resources; endpoints: Resources; routes: Resources } {
    const key = JSON.stringify(rules);
    return this.#memo.get("outbound", key, [world], () => {
      const { called, behind } = reachable(world.mesh, rules);
      const ports = [...called, ...behind];
      return {
        clusters: this.#map(
          `${key} clusters`,
          ports.map(({ service, port }) => this.#cluster(service, port)),
        ),
        endpoints: this.#map(
          `${key} endpoints`,
          ports.map(({ service, port }) => this.#endpoints(world, service, port)),
        ),
        routes: this.#map(`${key} routes`, [this.#routes(key, called, rules.namespace)]),
      };
    });
  }

  #cluster(service: Service, port: ServicePort): EncodedResource {
    return this.#memo.get("cluster", portKey(service, port), [service], () =>
      this.#encoder.encode(this.#encoder.types.cluster, outboundCluster(service, port)),
    );
  }

  #endpoints(world: World, service: Service, port: ServicePort): EncodedResource {
    const workloads = world.mesh.workloadsOf(service);
    return this.#memo.get("endpoints", portKey(service, port), [service, ...workloads], () =>
      this.#encoder.encode(this.#encoder.types.endpoints, serviceEndpoints(service, port, workloads)),
    );
  }

  #routes(key: string, called: readonly ReachablePort[], namespace: string): EncodedResource {
    const virtualHosts = called.map(({ service, port, routes }) =>
      this.#memo.get("virtual-host", `${namespace} ${portKey(service, port)}`, [service, ...routes], () =>
        serviceVirtualHost(service, port, routes, namespace),
      ),
    );
    return this.#memo.get("route-configuration", key, virtualHosts, () =>
      this.#encoder.encode(this.#encoder.types["route-configuration"], outboundRouteConfiguration(virtualHosts)),
    );
  }

  #outboundListeners({ outbound, dialledNames }: NodeScope): readonly EncodedResource[] {
    const { listener } = this.#encoder.types;
    const dialled = dialledNames.map((name) =>
      this.#memo.get("listener", `dialled ${name}`, [], () => this.#encoder.dialledListener(name)),
    );
    if (outbound === undefined) return dialled;
    const { port, accessLog } = outbound;
    const taken = this.#memo.get("listener", `outbound ${port} ${accessLog}`, [], () =>
      this.#encoder.encode(listener, outboundListener(outbound)),
    );
    return [...dialled, taken];
  }

  #inbound({ workload }: NodeScope): { listeners: readonly EncodedResource[]; clusters: readonly EncodedResource[] } {
    if (workload === undefined) return NO_INBOUND;
    const { listener, cluster } = this.#encoder.types;
    const key = `${workload.namespace}/${workload.name}`;
    return this.#memo.get("inbound", key, [workload], () => {
      const listeners: EncodedResource[] = [];
      const clusters: EncodedResource[] = [];
      for (const port of workload.ports) {
        if (port.applicationPort === undefined || port.protocol === "tcp") continue;
        listeners.push(this.#encoder.encode(listener, inboundListener(workload, port)));
        clusters.push(this.#encoder.encode(cluster, inboundCluster(port, port.applicationPort)));
      }
      return { listeners, clusters };
    });
  }

  /** Of one type and name the resource for just these nodes is taken, else the one for all. */
  #raw(resources: readonly RawResource[], cluster: string): readonly RawResource[] {
    const meant = resources.filter(({ nodes }) => nodes.cluster === undefined || nodes.cluster === cluster);
    const special = new Set(meant.filter(({ nodes }) => nodes.cluster !== undefined).map(nameInType));
    if (special.size === 0) return meant;
    return meant.filter((one) => one.nodes.cluster !== undefined || !special.has(nameInType(one)));
  }

  /** A raw resource stands beside the generated ones; in place of one of the same name only if it says so. */
  #withRaw(key: string, generated: Resources, raw: readonly RawResource[]): Resources {
    const allowed = raw.filter(({ name, override }) => override || !generated.has(name));
    if (allowed.length === 0) return generated;
    const encoded = allowed.map((one) =>
      this.#memo.get("raw", `${nameInType(one)} ${one.nodes.cluster ?? ""}`, [one], () =>
        this.#encoder.fromBytes(one.typeUrl, one.name, one.bytes, one.references),
      ),
    );
    return this.#joined(`${key} raw`, generated, encoded);
  }

  #joined(key: string, base: Resources, more: readonly EncodedResource[]): Resources {
    if (more.length === 0) return base;
    return this.#memo.get("set", key, [base, ...more], () => new Map([...base, ...more.map(byName)]));
  }

  #map(key: string, resources: readonly EncodedResource[]): Resources {
    return this.#memo.get("set", key, resources, () => new Map(resources.map(byName)));
  }
}

const NOTHING: Resources = new Map();
const NO_INBOUND = { listeners: [], clusters: [] } as const;

function byName(resource: EncodedResource): [string, EncodedResource] {
  return [resource.name, resource];
}

function nameInType({ typeUrl, name }: RawResource): string {
  return `${typeUrl} ${name}`;
}

function portKey({ namespace, name }: Service, { port }: ServicePort): string {
  return `${namespace}/${name}:${port}`;
}
