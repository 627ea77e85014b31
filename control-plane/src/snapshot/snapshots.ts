import type { ResourceTypes, Snapshot, SnapshotSource, SnapshotWatch, XdsNode } from "@heddle/xds";
import type { World } from "../source/merge.ts";
import { addDemand, type Demand, NO_DEMAND, nodeScope } from "./node-scope.ts";
import { SnapshotBuilder } from "./snapshot-builder.ts";

/** The snapshots of all nodes that are connected, kept up with the world. */
export class Snapshots implements SnapshotSource {
  readonly #types: ResourceTypes;
  readonly #builder: SnapshotBuilder;
  readonly #watched = new Set<WatchedNode>();
  #world: World | undefined;

  constructor(types: ResourceTypes) {
    this.#types = types;
    this.#builder = new SnapshotBuilder(types);
  }

  /** How often each kind of thing has been computed so far; for tests and status. */
  get computed(): ReadonlyMap<string, number> {
    return this.#builder.computed;
  }

  /** Replaces the world, then tells those whose snapshot is another one now. */
  publish(world: World): void {
    this.#world = world;
    const changed = [...this.#watched].filter((node) => this.#rebuild(node));
    this.#builder.sweep();
    // Told only when all are built, so that a caller who asks in return sees one world.
    for (const { onChange } of changed) onChange();
  }

  /** By node id; of two streams of one node the later. */
  current(): ReadonlyMap<string, Snapshot> {
    const current = new Map<string, Snapshot>();
    for (const { node, snapshot } of this.#watched) if (snapshot !== undefined) current.set(node.id, snapshot);
    return current;
  }

  watch(node: XdsNode, onChange: () => void): SnapshotWatch {
    const watched: WatchedNode = { node, onChange, demand: NO_DEMAND, snapshot: undefined };
    this.#watched.add(watched);
    this.#rebuild(watched);
    return {
      get current() {
        return watched.snapshot;
      },
      request: (typeUrl, names) => this.#request(watched, typeUrl, names),
      close: () => {
        this.#watched.delete(watched);
      },
    };
  }

  #request(watched: WatchedNode, typeUrl: string, names: readonly string[]): void {
    if (this.#world === undefined || !this.#watched.has(watched)) return;
    const { listener, cluster, endpoints } = this.#types;
    const { rules } = nodeScope(watched.node, this.#world.mesh, NO_DEMAND);
    const demand = addDemand(watched.demand, rules.namespace, {
      clusters: typeUrl === cluster.typeUrl || typeUrl === endpoints.typeUrl ? names : [],
      listeners: typeUrl === listener.typeUrl ? names : [],
    });
    if (demand === watched.demand) return;
    watched.demand = demand;
    // Later, since whoever asks is in the middle of reading a request.
    if (this.#rebuild(watched)) queueMicrotask(() => this.#watched.has(watched) && watched.onChange());
  }

  /** Whether the node's snapshot is another one now. */
  #rebuild(watched: WatchedNode): boolean {
    if (this.#world === undefined) return false;
    const before = watched.snapshot;
    const { id, cluster } = watched.node;
    const scope = nodeScope(watched.node, this.#world.mesh, watched.demand);
    watched.snapshot = this.#builder.build(
      this.#world,
      JSON.stringify([id, cluster, scope.rules, scope.dialledNames]),
      scope,
    );
    return watched.snapshot !== before;
  }
}

interface WatchedNode {
  readonly node: XdsNode;
  readonly onChange: () => void;
  demand: Demand;
  snapshot: Snapshot | undefined;
}
