import type { EndpointSlice, SliceEndpoint } from "./endpoint-slice.ts";
import type { ExtensionProvider } from "./extension-provider.ts";
import { GrantIndex } from "./grant-index.ts";
import { type Sensitivity, sensitivityOf } from "./place.ts";
import { type Policy, PolicyIndex, type WorkloadPolicies } from "./policy-index.ts";
import type { ReferenceGrant } from "./reference-grant.ts";
import { isRoute, type Route } from "./route.ts";
import type { Labels, Service } from "./service.ts";
import { type VirtualIps, virtualIps } from "./virtual-ips.ts";
import type { Workload } from "./workload.ts";

export type MeshObject = Service | EndpointSlice | Workload | Route | ReferenceGrant | ExtensionProvider | Policy;

/** "service default/orders", of a pod "workload default/orders/orders-7d4b": what may exist once. */
export function keyOf(object: MeshObject): string {
  let key = keys.get(object);
  if (key === undefined) keys.set(object, (key = `${object.kind} ${object.namespace}/${nameInKind(object)}`));
  return key;
}

function nameInKind(object: MeshObject): string {
  return object.kind === "workload" && object.instance !== undefined
    ? `${object.name}/${object.instance}`
    : object.name;
}

/** Every change of a mesh asks for the keys of all objects, most of which are those of before. */
const keys = new WeakMap<MeshObject, string>();

/**
 * Everything that the sources hold, indexed. Immutable; made anew from the whole set whenever it changes, while the
 * objects themselves stay the same ones: whoever derives something from them sees by identity what changed.
 */
export class Mesh {
  /** Each kind ordered by namespace and name. */
  readonly services: readonly Service[];
  readonly workloads: readonly Workload[];
  /** Of all kinds, ordered by kind, namespace and name. Of a backend that is not granted they say so. */
  readonly routes: readonly Route[];
  /** Of all three kinds, ordered by kind, namespace and name. */
  readonly policies: readonly Policy[];
  /** Whom policies ask. */
  readonly providers: readonly ExtensionProvider[];
  readonly #grants: GrantIndex;
  readonly #policyIndex: PolicyIndex;
  readonly #servicesByName: ReadonlyMap<string, Service>;
  readonly #servicesByNamespace: ReadonlyMap<string, readonly Service[]>;
  readonly #places: ReadonlyMap<Service, number>;
  readonly #workloadsByName: ReadonlyMap<string, Workload>;
  /** By namespace and one label, so that a selector looks at few. Made when a selector is first asked for. */
  #workloadsByLabel: ReadonlyMap<string, readonly Workload[]> | undefined;
  /** Filled as it is asked for. */
  readonly #workloadsByService = new Map<Service, readonly Workload[]>();
  readonly #workloadsBehind = new Map<Service, readonly Workload[]>();
  readonly #slicesByService: ReadonlyMap<string, readonly EndpointSlice[]>;
  /** Those that slices can refer to: by namespace and pod, and by namespace and address. Made when first asked for. */
  #workloadsByPlace: ReadonlyMap<string, Workload> | undefined;
  readonly #routesByService: ReadonlyMap<string, readonly Route[]>;
  #sensitivity: Sensitivity | undefined;
  /** Made when first asked for, as are `#virtualIps`: where nothing is captured nobody needs them. */
  #ownersOfIps: Map<string, Service> | undefined;
  #virtualIps: ReadonlyMap<Service, VirtualIps> | undefined;

  /** `objects` holds each key once; their order does not matter. */
  constructor(objects: Iterable<MeshObject>) {
    const all = [...objects];
    const services = sortedByKey(all.filter((object) => object.kind === "service"));
    const workloads = sortedByKey(all.filter((object) => object.kind === "workload"));
    this.#grants = new GrantIndex(all.filter((object) => object.kind === "reference-grant"));
    const routes = sortedByKey(all.filter(isRoute)).map((route) => this.granted(route));
    const slices = sortedByKey(all.filter((object) => object.kind === "endpoint-slice"));
    this.services = services;
    this.workloads = workloads;
    this.routes = routes;
    this.policies = sortedByKey(all.filter(isPolicy));
    this.providers = sortedByKey(all.filter((object) => object.kind === "extension-provider"));
    const behind = (namespace: string, name: string): readonly Workload[] => {
      const service = this.service(namespace, name);
      if (service === undefined) return [];
      return service.selector === undefined ? this.workloadsBehind(service) : this.workloadsOf(service);
    };
    this.#policyIndex = new PolicyIndex(this.policies, behind, this.providers);
    this.#servicesByName = new Map(services.map((service) => [nameOf(service.namespace, service.name), service]));
    this.#servicesByNamespace = grouped(services, ({ namespace }) => [namespace]);
    this.#places = new Map(services.map((service, index) => [service, index]));
    this.#workloadsByName = new Map(
      workloads.flatMap((workload) => {
        const { namespace, instance } = workload;
        const named = [nameOf(namespace, nameInKind(workload)), workload] as const;
        return instance === undefined ? [named] : [named, [podKey(namespace, instance), workload] as const];
      }),
    );
    this.#slicesByService = grouped(slices, ({ namespace, service }) => [nameOf(namespace, service)]);
    this.#routesByService = grouped(routes, (route) => [
      ...new Set(route.parents.map((parent) => nameOf(parent.namespace, parent.name))),
    ]);
  }

  service(namespace: string, name: string): Service | undefined {
    return this.#servicesByName.get(nameOf(namespace, name));
  }

  /** Ordered by name. */
  servicesIn(namespace: string): readonly Service[] {
    return this.#servicesByNamespace.get(namespace) ?? [];
  }

  /** Services of this mesh, in the order of `services`. */
  inOrder(some: Iterable<Service>): readonly Service[] {
    const places = this.#places;
    return [...some].sort((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0));
  }

  /**
   * @param instance which of those of that name, where they are pods; others have one alone, whatever it says. A pod that
   *   nobody owns has its name only after its sidecar's was made of the beginning of it (`generateName`): it is found by
   *   itself, which is enough, since pods' names are unique in their namespace.
   */
  workload(namespace: string, name: string, instance?: string): Workload | undefined {
    const byName = this.#workloadsByName;
    const one = byName.get(nameOf(namespace, name));
    if (instance === undefined) return one;
    return byName.get(nameOf(namespace, `${name}/${instance}`)) ?? one ?? byName.get(podKey(namespace, instance));
  }

  /**
   * What others have found to be behind a service, ordered by name. None: nobody looks after it, and what it selects is
   * behind it.
   */
  slicesOf(service: Service): readonly EndpointSlice[] {
    return this.#slicesByService.get(nameOf(service.namespace, service.name)) ?? [];
  }

  /** Those that the slices of a service refer to, each once, and where it has no slices those that it selects. */
  workloadsBehind(service: Service): readonly Workload[] {
    let workloads = this.#workloadsBehind.get(service);
    if (workloads === undefined) {
      const slices = this.slicesOf(service);
      workloads = slices.length === 0 ? this.workloadsOf(service) : this.#referred(slices);
      this.#workloadsBehind.set(service, workloads);
    }
    return workloads;
  }

  /** What of its place makes a difference to a caller of some service of the mesh. */
  get sensitivity(): Sensitivity {
    if (this.#sensitivity === undefined) {
      const all = this.services.map((service) => sensitivityOf(service, this.slicesOf(service)));
      this.#sensitivity = { zone: all.some(({ zone }) => zone), node: all.some(({ node }) => node) };
    }
    return this.#sensitivity;
  }

  /** The workloads that a service selects, ordered by name. */
  workloadsOf(service: Service): readonly Workload[] {
    let workloads = this.#workloadsByService.get(service);
    if (workloads === undefined) this.#workloadsByService.set(service, (workloads = this.#select(service)));
    return workloads;
  }

  /**
   * At which addresses captured callers reach a service: its own, else those that it is given (`virtualIps`). None for
   * one that is headless, or but a name, or whose addresses are another's.
   */
  addressesOf(service: Service): readonly string[] {
    const { clusterIps } = service;
    const isOwn = (address: string): boolean => this.ownerOf(address) === service;
    if (clusterIps.length > 0) return clusterIps.every(isOwn) ? clusterIps : clusterIps.filter(isOwn);
    const given = (this.#virtualIps ??= virtualIps(this.services)).get(service);
    return given === undefined ? [] : [given.ipv4, given.ipv6];
  }

  /** Whose cluster IP that is: of several that say so, which no cluster does, the first by name. */
  ownerOf(clusterIp: string): Service | undefined {
    let owners = this.#ownersOfIps;
    if (owners === undefined) {
      this.#ownersOfIps = owners = new Map();
      for (const service of this.services)
        for (const address of service.clusterIps) if (!owners.has(address)) owners.set(address, service);
    }
    return owners.get(clusterIp);
  }

  /** The routes of any kind that have the service as a parent, ordered by kind, namespace and name. */
  routesOf(service: Service): readonly Route[] {
    return this.#routesByService.get(nameOf(service.namespace, service.name)) ?? [];
  }

  /** The route, whose backends say where no ReferenceGrant of this mesh allows it to lead. */
  granted(route: Route): Route {
    return this.#grants.marked(route);
  }

  /** The policies that are for a workload. */
  policiesOf(workload: Workload): WorkloadPolicies {
    return this.#policyIndex.of(workload);
  }

  #select(service: Service): readonly Workload[] {
    const wanted = Object.entries(service.selector ?? {});
    const first = wanted[0];
    if (first === undefined) return []; // a Service without selector selects nothing, not everything
    this.#workloadsByLabel ??= grouped(this.workloads, ({ namespace, labels }) =>
      Object.entries(labels).map(([key, value]) => labelKey(namespace, key, value)),
    );
    const candidates = this.#workloadsByLabel.get(labelKey(service.namespace, first[0], first[1])) ?? [];
    return candidates.filter(({ labels }) => hasLabels(labels, wanted));
  }

  #referred(slices: readonly EndpointSlice[]): readonly Workload[] {
    const places = (this.#workloadsByPlace ??= workloadsByPlace(this.workloads));
    const found = new Set<Workload>();
    for (const { namespace, endpoints } of slices) {
      for (const endpoint of endpoints) {
        const workload = placesOfEndpoint(namespace, endpoint).map((place) => places.get(place));
        for (const one of workload) if (one !== undefined) found.add(one);
      }
    }
    return [...found];
  }
}

/** Which of these workloads an endpoint of a slice is. */
export function workloadsByPlace(workloads: readonly Workload[]): ReadonlyMap<string, Workload> {
  const places = new Map<string, Workload>();
  for (const workload of workloads) {
    const { namespace, instance, addresses } = workload;
    if (instance !== undefined) places.set(podKey(namespace, instance), workload);
    for (const address of addresses) places.set(`${namespace} ${address}`, workload);
  }
  return places;
}

/**
 * Where to look for it: by its pod, since an address may be the next one's already; by its address where nobody says which
 * pod it is.
 */
export function placesOfEndpoint(namespace: string, { pod, addresses }: SliceEndpoint): readonly string[] {
  return pod === undefined ? addresses.map((address) => `${namespace} ${address}`) : [podKey(namespace, pod)];
}

function isPolicy(object: MeshObject): object is Policy {
  switch (object.kind) {
    case "service":
    case "endpoint-slice":
    case "workload":
    case "http-route":
    case "grpc-route":
    case "tls-route":
    case "tcp-route":
    case "reference-grant":
    case "extension-provider":
      return false;
    default:
      return true;
  }
}

function hasLabels(labels: Labels, wanted: readonly (readonly [string, string])[]): boolean {
  return wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}

/** Each key is looked up once, and not once for each comparison: of 10,000 objects that was most of making a mesh. */
function sortedByKey<T extends MeshObject>(objects: readonly T[]): readonly T[] {
  const keyed = objects.map((object) => ({ key: keyOf(object), object }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ object }) => object);
}

function nameOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** As no name of a workload is. */
function podKey(namespace: string, pod: string): string {
  return `${namespace} pod ${pod}`;
}

function labelKey(namespace: string, key: string, value: string): string {
  return `${namespace} ${key}=${value}`;
}

function grouped<T>(items: readonly T[], keysOf: (item: T) => readonly string[]): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    for (const key of keysOf(item)) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [item]);
      else group.push(item);
    }
  }
  return groups;
}
