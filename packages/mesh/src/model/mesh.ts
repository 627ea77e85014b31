import type { EndpointSlice, SliceEndpoint } from "./endpoint-slice.ts";
import type { ExtensionProvider } from "./extension-provider.ts";
import { GrantIndex } from "./grant-index.ts";
import { type Sensitivity, sensitivityOf } from "./place.ts";
import { type Policy, PolicyIndex, type WorkloadPolicies } from "./policy-index.ts";
import type { ReferenceGrant } from "./reference-grant.ts";
import { type Replacement, replacementsIn } from "./replacements.ts";
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

/** Of so many services looking at all workloads for each costs less than the index by label. */
const FEW = 8;

/**
 * Everything that the sources hold, indexed. Immutable; made anew from the whole set whenever it changes, while the
 * objects themselves stay the same ones: whoever derives something from them sees by identity what changed. What a mesh is made
 * against lends it the indexes of all that is as it was: of 10,000 workloads of which one is another that is most of the work.
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
  /** Each ordered by key. Routes as they were given. */
  readonly #kinds: Kinds;
  readonly #policyIndex: PolicyIndex;
  readonly #servicesByName: ReadonlyMap<string, Service>;
  readonly #servicesByNamespace: ReadonlyMap<string, readonly Service[]>;
  readonly #places: ReadonlyMap<Service, number>;
  readonly #workloadsByName: ReadonlyMap<string, Workload>;
  /** What services select is known from before, save for few. */
  #isMostlySelected = false;
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

  /**
   * @param objects holds each key once; their order does not matter
   * @param before of an earlier set, most of which is here too
   */
  constructor(objects: Iterable<MeshObject>, before?: Mesh) {
    const past = before === undefined ? NO_OBJECTS : before.#kinds;
    const kinds = sortedKinds(objects, past);
    const { services, workloads, slices } = kinds;
    this.#kinds = kinds;
    this.services = services;
    this.workloads = workloads;
    this.policies = kinds.policies;
    this.providers = kinds.providers;
    const behind = (namespace: string, name: string): readonly Workload[] => {
      const service = this.service(namespace, name);
      if (service === undefined) return [];
      return service.selector === undefined ? this.workloadsBehind(service) : this.workloadsOf(service);
    };
    this.#policyIndex = new PolicyIndex(this.policies, behind, this.providers);

    const grantsBefore = past.grants === kinds.grants ? before : undefined;
    this.#grants = grantsBefore === undefined ? new GrantIndex(kinds.grants) : grantsBefore.#grants;
    if (grantsBefore !== undefined && past.routes === kinds.routes) {
      this.routes = grantsBefore.routes;
      this.#routesByService = grantsBefore.#routesByService;
    } else {
      this.routes = kinds.routes.map((route) => this.granted(route));
      this.#routesByService = grouped(this.routes, parentNames);
    }
    const sameSlices = past.slices === slices;
    this.#slicesByService =
      before !== undefined && sameSlices
        ? before.#slicesByService
        : grouped(slices, ({ namespace, service }) => [nameOf(namespace, service)]);
    if (before !== undefined && past.services === services) {
      this.#servicesByName = before.#servicesByName;
      this.#servicesByNamespace = before.#servicesByNamespace;
      this.#places = before.#places;
      this.#virtualIps = before.#virtualIps;
      this.#ownersOfIps = before.#ownersOfIps;
      if (sameSlices) this.#sensitivity = before.#sensitivity;
    } else {
      this.#servicesByName = new Map(services.map((one) => [nameOf(one.namespace, one.name), one]));
      this.#servicesByNamespace = grouped(services, ({ namespace }) => [namespace]);
      this.#places = new Map(services.map((service, index) => [service, index]));
    }
    const replacements = before && replacementsIn(before.workloads, workloads, keyOf);
    this.#workloadsByName =
      before === undefined || replacements === undefined
        ? new Map(workloads.flatMap(namedWorkload))
        : withReplaced(before.#workloadsByName, replacements);
    if (before !== undefined && replacements !== undefined) this.#takeSelected(before, replacements, sameSlices);
  }

  /**
   * Workloads of an earlier mesh that have others of their keys in their places here. Undefined: something else is different too,
   * or may be.
   */
  replacedSince(before: Mesh): ReadonlySet<Workload> | undefined {
    const [past, now] = [before.#kinds, this.#kinds];
    const sameElse =
      past.services === now.services &&
      past.slices === now.slices &&
      past.routes === now.routes &&
      past.grants === now.grants &&
      past.policies === now.policies &&
      past.providers === now.providers;
    // For whom a policy is may depend on who is at an address of a slice.
    if (!sameElse || (now.policies.length > 0 && now.slices.length > 0)) return undefined;
    const replacements = replacementsIn(before.workloads, this.workloads, keyOf);
    return replacements && new Set(replacements.map(({ old }) => old));
  }

  /** What services select is what they selected, save for those that a replaced workload is or was selected by. */
  #takeSelected(before: Mesh, replacements: readonly Replacement<Workload>[], sameSlices: boolean): void {
    const touched = new Set<Service>();
    for (const { old, now } of replacements) {
      for (const service of this.servicesIn(now.namespace))
        if (selects(service, old) || selects(service, now)) touched.add(service);
    }
    for (const [service, workloads] of before.#workloadsByService)
      if (!touched.has(service) && this.#places.has(service)) this.#workloadsByService.set(service, workloads);
    this.#isMostlySelected = this.services.length - this.#workloadsByService.size <= FEW;
    if (!sameSlices) return;
    for (const [service, workloads] of before.#workloadsBehind) {
      const isAsItWas = this.slicesOf(service).length === 0 ? !touched.has(service) : replacements.length === 0;
      if (isAsItWas && this.#places.has(service)) this.#workloadsBehind.set(service, workloads);
    }
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
    if (this.#isMostlySelected) return this.workloads.filter((workload) => selects(service, workload));
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

function selects({ namespace, selector }: Service, workload: Workload): boolean {
  return (
    selector !== undefined && workload.namespace === namespace && hasLabels(workload.labels, Object.entries(selector))
  );
}

function hasLabels(labels: Labels, wanted: readonly (readonly [string, string])[]): boolean {
  return wanted.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}

interface Kinds {
  readonly services: readonly Service[];
  readonly workloads: readonly Workload[];
  readonly slices: readonly EndpointSlice[];
  readonly routes: readonly Route[];
  readonly grants: readonly ReferenceGrant[];
  readonly providers: readonly ExtensionProvider[];
  readonly policies: readonly Policy[];
}

const NO_OBJECTS: Kinds = {
  services: [],
  workloads: [],
  slices: [],
  routes: [],
  grants: [],
  providers: [],
  policies: [],
};

/** Of each kind the list of before itself, where it has the same objects. */
function sortedKinds(objects: Iterable<MeshObject>, before: Kinds): Kinds {
  const services: Service[] = [];
  const workloads: Workload[] = [];
  const slices: EndpointSlice[] = [];
  const routes: Route[] = [];
  const grants: ReferenceGrant[] = [];
  const providers: ExtensionProvider[] = [];
  const policies: Policy[] = [];
  for (const object of objects) {
    if (object.kind === "workload") workloads.push(object);
    else if (object.kind === "service") services.push(object);
    else if (object.kind === "endpoint-slice") slices.push(object);
    else if (object.kind === "reference-grant") grants.push(object);
    else if (object.kind === "extension-provider") providers.push(object);
    else if (isRoute(object)) routes.push(object);
    else policies.push(object);
  }
  return {
    services: sortedByKey(services, before.services),
    workloads: sortedByKey(workloads, before.workloads),
    slices: sortedByKey(slices, before.slices),
    routes: sortedByKey(routes, before.routes),
    grants: sortedByKey(grants, before.grants),
    providers: sortedByKey(providers, before.providers),
    policies: sortedByKey(policies, before.policies),
  };
}

/**
 * Each key is looked up once, and not once for each comparison: of 10,000 objects that was most of making a mesh. `before` itself
 * where it has the same objects.
 */
function sortedByKey<T extends MeshObject>(objects: readonly T[], before: readonly T[]): readonly T[] {
  const keyed = objects.map((object) => ({ key: keyOf(object), object }));
  const sorted = keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ object }) => object);
  const isSame = sorted.length === before.length && sorted.every((object, index) => object === before[index]);
  return isSame ? before : sorted;
}

/** Under which names a workload is found. */
function namedWorkload(workload: Workload): readonly (readonly [string, Workload])[] {
  const { namespace, instance } = workload;
  const named = [nameOf(namespace, nameInKind(workload)), workload] as const;
  return instance === undefined ? [named] : [named, [podKey(namespace, instance), workload]];
}

/** Of another object of the same key the names are the same. */
function withReplaced(
  byName: ReadonlyMap<string, Workload>,
  replacements: readonly Replacement<Workload>[],
): ReadonlyMap<string, Workload> {
  if (replacements.length === 0) return byName;
  const names = new Map(byName);
  for (const { old, now } of replacements)
    for (const [name] of namedWorkload(now)) if (names.get(name) === old) names.set(name, now);
  return names;
}

function parentNames(route: Route): readonly string[] {
  return [...new Set(route.parents.map((parent) => nameOf(parent.namespace, parent.name)))];
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
