import {
  hostOfVirtualHostName,
  type Mesh,
  type MeshTrust,
  parseServiceHost,
  type ServiceHost,
  samePolicies,
  type UnknownDestinations,
  type Workload,
} from "@heddle/mesh";
import type { ResourceTypes, Snapshot, SnapshotSource, SnapshotWatch, XdsNode } from "@heddle/xds";
import { type NodeClaim, nodeKey } from "@heddle/xds/server";
import type { World } from "../source/merge.ts";
import { closedPorts } from "./closed-ports.ts";
import { Computed } from "./computed.ts";
import { MeshParts } from "./mesh-parts.ts";
import { NodeResources } from "./node-resources.ts";
import { denialOf } from "./node-rights.ts";
import {
  addDemand,
  type Demand,
  identityOf,
  NO_DEMAND,
  type NodeIdentity,
  type NodeScope,
  nodeScope,
  placeOf,
  workloadOf,
} from "./node-scope.ts";
import { NodeView } from "./node-view.ts";
import { OutboundScope } from "./outbound-scope.ts";
import { ResourceEncoder } from "./resource-encoder.ts";
import { sameList } from "./resource-map.ts";
import { Shared } from "./shared.ts";
import { workloadShape } from "./workload-shape.ts";

/**
 * The snapshots of all nodes that are connected, kept up with the world. Each resource is computed and encoded once, for
 * all nodes that get it; a change costs what it takes to find whose scope it is in, and then those scopes alone.
 */
export class Snapshots implements SnapshotSource {
  readonly #types: ResourceTypes;
  readonly #computed = new Computed();
  readonly #encoder: ResourceEncoder;
  readonly #parts: MeshParts;
  readonly #made: NodeResources;
  readonly #watched = new Set<WatchedNode>();
  /** By rules: nodes that call the same services. */
  readonly #scopes = new Shared<OutboundScope>();
  /** By everything that decides what a node gets. */
  readonly #views = new Shared<NodeView>();
  #world: World | undefined;
  readonly #trust: MeshTrust | undefined;
  readonly #unknown: UnknownDestinations;

  /**
   * @param trust what the mesh's own authority stands for; left out: there is none, and nothing is protected.
   * @param unknown what captured nodes do with what the mesh does not know.
   */
  constructor(types: ResourceTypes, trust?: MeshTrust, unknown: UnknownDestinations = "passthrough") {
    this.#unknown = unknown;
    this.#types = types;
    this.#trust = trust;
    this.#encoder = new ResourceEncoder(types);
    this.#parts = new MeshParts({ encoder: this.#encoder, computed: this.#computed, trust });
    this.#made = new NodeResources(this.#encoder, this.#computed);
  }

  /** How often each kind of thing has been computed so far; for tests and status. */
  get computed(): ReadonlyMap<string, number> {
    return this.#computed.counts;
  }

  /** Replaces the world, then tells those whose snapshot is another one now. */
  publish(world: World): void {
    const before = this.#world;
    this.#world = world;
    const services = this.#parts.update(world.mesh);
    const touched = new Set<OutboundScope>();
    for (const scope of this.#scopes.values()) if (scope.update(services, world.mesh, this.#parts)) touched.add(scope);
    const replaced = before && world.mesh.replacedSince(before.mesh);
    const rawChanged = before === undefined || !sameList(before.rawResources, world.rawResources);
    for (const watched of this.#watched) {
      const { view, scope } = watched;
      if (view === undefined || scope === undefined || !this.#isAs(scope, watched, world.mesh, replaced))
        this.#place(watched, world);
      else if (rawChanged || touched.has(view.outbound)) this.#rebuild(view, scope, world);
    }
    this.#encoder.sweep();
    // Told only when all are built, so that a caller who asks in return sees one world.
    for (const watched of this.#watched) this.#tell(watched);
  }

  /** By node id; of two streams of one node the later. */
  current(): ReadonlyMap<string, Snapshot> {
    const current = new Map<string, Snapshot>();
    for (const { node, view } of this.#watched) if (view !== undefined) current.set(node.id, view.snapshot);
    return current;
  }

  /** X2: why that node is not who it says; undefined: nothing is known against it. */
  denialOf(node: NodeClaim): string | undefined {
    // Without an authority of our own nobody has shown anything.
    if (this.#trust === undefined) return undefined;
    const place = identityOf(node);
    return denialOf(node, place, this.#world && workloadOf(place, this.#world.mesh));
  }

  /** By `nodeKey`: what is closed to it, or at it, for want of an identity (see `closedPorts`). */
  closed(): ReadonlyMap<string, readonly string[]> {
    const mesh = this.#world?.mesh;
    const closed = new Map<string, readonly string[]>();
    if (mesh === undefined) return closed;
    for (const { node, scope } of this.#watched)
      if (scope !== undefined) closed.set(nodeKey(node), closedPorts(scope, mesh));
    return closed;
  }

  watch(node: XdsNode, onChange: () => void): SnapshotWatch {
    const watched: WatchedNode = {
      node,
      onChange,
      demand: NO_DEMAND,
      identity: identityOf(node),
      scope: undefined,
      view: undefined,
      viewKey: "",
      denied: this.denialOf(node),
      known: undefined,
      knownDenied: undefined,
    };
    this.#watched.add(watched);
    if (this.#world !== undefined) this.#place(watched, this.#world);
    watched.known = watched.view?.snapshot;
    watched.knownDenied = watched.denied;
    return {
      get current() {
        return watched.denied === undefined ? watched.view?.snapshot : undefined;
      },
      get denied() {
        return watched.denied;
      },
      request: (typeUrl, names) => this.#request(watched, typeUrl, names),
      close: () => this.#close(watched),
    };
  }

  #request(watched: WatchedNode, typeUrl: string, names: readonly string[]): void {
    if (this.#world === undefined || !this.#watched.has(watched)) return;
    const { listener, cluster, endpoints, "virtual-host": virtualHost } = this.#types;
    const { mesh } = this.#world;
    const { rules } = nodeScope(watched.node, mesh, NO_DEMAND, this.#trust, this.#unknown);
    const demand = addDemand(watched.demand, rules.namespace, {
      clusters: typeUrl === cluster.typeUrl || typeUrl === endpoints.typeUrl ? names : [],
      listeners: typeUrl === listener.typeUrl ? names : [],
      // Hosts come from whoever sends requests, so only services that exist may count: others would use up what a node may ask for.
      services: typeUrl === virtualHost.typeUrl ? servicesOfHosts(names, rules.namespace, mesh) : [],
    });
    if (demand === watched.demand) return;
    watched.demand = demand;
    this.#place(watched, this.#world);
    // Later, since whoever asks is in the middle of reading a request.
    queueMicrotask(() => this.#watched.has(watched) && this.#tell(watched));
  }

  /**
   * Whether the node's own workload, the policies that are for it, and what counts of its place are what they were.
   *
   * @param replaced as `Mesh.replacedSince` the world before
   */
  #isAs(
    { workload, security, place }: NodeScope,
    { identity, node }: WatchedNode,
    mesh: Mesh,
    replaced: ReadonlySet<Workload> | undefined,
  ): boolean {
    if (replaced !== undefined) return workload === undefined || !replaced.has(workload);
    if (workload !== workloadOf(identity, mesh)) return false;
    const now = placeOf(node, workload, mesh);
    if (now.zone !== place.zone || now.node !== place.node) return false;
    return workload === undefined || samePolicies(security.policies, mesh.policiesOf(workload));
  }

  #close(watched: WatchedNode): void {
    if (this.#watched.delete(watched)) this.#leave(watched);
  }

  /** Finds the view of the node in that world, and brings it up to date. */
  #place(watched: WatchedNode, world: World): void {
    const scope = nodeScope(watched.node, world.mesh, watched.demand, this.#trust, this.#unknown);
    const { workload, outbound, dialledNames, cluster, rules, place, security, secrets } = scope;
    watched.denied = this.denialOf(watched.node);
    const outboundKey = JSON.stringify([rules, security.hasIdentity]);
    const own = workload && workloadShape(workload, security.policies);
    const viewKey = JSON.stringify([own, outbound, dialledNames, cluster, outboundKey, place, secrets]);
    let { view } = watched;
    if (view === undefined || viewKey !== watched.viewKey) {
      const before = view?.snapshot;
      view = this.#views.take(
        viewKey,
        () => new NodeView(this.#takeOutbound(scope, outboundKey, world), outboundKey, before),
      );
      this.#leave(watched);
      watched.view = view;
      watched.viewKey = viewKey;
    }
    watched.scope = scope;
    this.#rebuild(view, scope, world);
  }

  #rebuild(view: NodeView, scope: NodeScope, world: World): void {
    if (view.rebuild(scope, world.rawResources, this.#parts, this.#types, this.#made)) this.#computed.add("snapshot");
  }

  #takeOutbound({ rules, security }: NodeScope, key: string, world: World): OutboundScope {
    return this.#scopes.take(key, () => {
      const outbound = new OutboundScope(rules, security.hasIdentity, this.#encoder, this.#computed);
      outbound.rebuild(world.mesh, this.#parts);
      return outbound;
    });
  }

  #leave({ view, viewKey }: WatchedNode): void {
    if (view !== undefined && this.#views.giveBack(viewKey)) this.#scopes.giveBack(view.outboundKey);
  }

  #tell(watched: WatchedNode): void {
    const snapshot = watched.view?.snapshot;
    if (snapshot === watched.known && watched.denied === watched.knownDenied) return;
    watched.known = snapshot;
    watched.knownDenied = watched.denied;
    watched.onChange();
  }
}

interface WatchedNode {
  readonly node: XdsNode;
  readonly onChange: () => void;
  demand: Demand;
  readonly identity: NodeIdentity;
  scope: NodeScope | undefined;
  /** Undefined as long as there is no world. */
  view: NodeView | undefined;
  viewKey: string;
  /** Why it may have nothing of that. */
  denied: string | undefined;
  /** What its stream has been told of. */
  known: Snapshot | undefined;
  knownDenied: string | undefined;
}

function servicesOfHosts(names: readonly string[], namespace: string, mesh: Mesh): readonly ServiceHost[] {
  return names.flatMap((name) => {
    const host = hostOfVirtualHostName(name);
    const found = host === undefined ? undefined : parseServiceHost(host, namespace);
    return found === undefined || mesh.service(found.namespace, found.name) === undefined ? [] : [found];
  });
}
