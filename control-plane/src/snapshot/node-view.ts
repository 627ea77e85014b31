import type { ResourceTypes, Snapshot } from "@heddle/xds";
import type { RawResource } from "../source/raw-resource.ts";
import type { MeshParts } from "./mesh-parts.ts";
import type { Inbound, NodeResources } from "./node-resources.ts";
import { rawResourcesFor } from "./node-rights.ts";
import type { NodeScope } from "./node-scope.ts";
import type { OutboundScope } from "./outbound-scope.ts";
import { JoinedMap, NO_RESOURCES, type Resources, resourceMap } from "./resource-map.ts";

/** The snapshot of nodes that get the same: it stays the same object as long as nothing in it changes. */
export class NodeView {
  readonly outbound: OutboundScope;
  /** Under which `outbound` is shared. */
  readonly outboundKey: string;
  readonly #clusters = new JoinedMap();
  readonly #joinedListeners = new JoinedMap();
  readonly #joinedEndpoints = new JoinedMap();
  #listeners: Resources = NO_RESOURCES;
  /** What `#listeners` were made of. */
  #inbound: Inbound | undefined;
  /** By type URL: what is generated, and what is raw beside it or in its place. */
  readonly #withRaw: Map<string, JoinedMap> = new Map();
  #snapshot: Snapshot;

  /** @param before what the first of its nodes had until now: it stays that object if there is nothing else in it. */
  constructor(outbound: OutboundScope, outboundKey: string, before: Snapshot | undefined) {
    this.outbound = outbound;
    this.outboundKey = outboundKey;
    this.#snapshot = before ?? { resources: new Map() };
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Makes it anew, `outbound` being up to date. `scope` of any of its nodes. Returns whether anything is different. */
  rebuild(
    scope: NodeScope,
    rawResources: readonly RawResource[],
    parts: MeshParts,
    types: ResourceTypes,
    made: NodeResources,
  ): boolean {
    const { clusters, endpoints, routes, virtualHosts, listeners } = this.outbound;
    const inbound = made.inbound(scope);
    if (this.#inbound !== inbound) {
      // All else that decides on them is what the view is shared by.
      this.#inbound = inbound;
      const own = [...inbound.listeners, ...made.outboundListeners(scope)];
      this.#listeners = resourceMap(this.#listeners, own);
    }
    const resources = new Map<string, Resources>([
      [types.cluster.typeUrl, this.#clusters.join(clusters, inbound.clusters)],
      [types.endpoints.typeUrl, this.#joinedEndpoints.join(endpoints, this.outbound.endpointsAt(scope.place, parts))],
      [types.listener.typeUrl, this.#joinedListeners.join(this.#listeners, [...listeners.values()])],
      [types["route-configuration"].typeUrl, routes],
      [types["virtual-host"].typeUrl, virtualHosts],
    ]);
    const { served, withheld } = rawResourcesFor(rawResources, scope, types.secret.typeUrl);
    for (const { typeUrl, name, override } of withheld) {
      const generated = resources.get(typeUrl);
      if (override && generated?.has(name) === true) resources.set(typeUrl, without(generated, name));
    }
    const raw = Map.groupBy(served, ({ typeUrl }) => typeUrl);
    for (const [typeUrl, some] of raw) {
      const generated = resources.get(typeUrl) ?? NO_RESOURCES;
      // It stands beside the generated ones; in place of one of the same name only if it says so.
      const allowed = some.filter(({ name, override }) => override || !generated.has(name));
      let joined = this.#withRaw.get(typeUrl);
      if (joined === undefined) this.#withRaw.set(typeUrl, (joined = new JoinedMap()));
      resources.set(
        typeUrl,
        joined.join(
          generated,
          allowed.map((one) => made.raw(one)),
        ),
      );
    }
    for (const typeUrl of this.#withRaw.keys()) if (!raw.has(typeUrl)) this.#withRaw.delete(typeUrl);
    if (sameMaps(resources, this.#snapshot.resources)) return false;
    this.#snapshot = { resources };
    return true;
  }
}

function without(resources: Resources, name: string): Resources {
  const left = new Map(resources);
  left.delete(name);
  return left;
}

function sameMaps(a: ReadonlyMap<string, Resources>, b: ReadonlyMap<string, Resources>): boolean {
  if (a.size !== b.size) return false;
  for (const [typeUrl, resources] of a) if (!sameResources(b.get(typeUrl), resources)) return false;
  return true;
}

/** Resources of equal content are the same objects. */
function sameResources(a: Resources | undefined, b: Resources): boolean {
  if (a === b) return true;
  if (a === undefined || a.size !== b.size) return false;
  for (const [name, resource] of a) if (b.get(name) !== resource) return false;
  return true;
}
