import { isDeepStrictEqual } from "node:util";
import type { Clock, Timer } from "@heddle/base";
import type { Diagnostic } from "@heddle/config";
import type { EndpointSlice, Locality, MeshObject, Workload } from "@heddle/mesh";
import { type InjectedPod, readInjectedPod } from "../kubernetes/injected-pod.ts";
import type { KubeApi } from "../kubernetes/kube-client.ts";
import { nodeLocality } from "../kubernetes/node-locality.ts";
import { type ReadObject, readKubeObject } from "../kubernetes/object-reader.ts";
import { podWorkload } from "../kubernetes/pod-workload.ts";
import { type KubeObject, Reflector, type Selectors } from "../kubernetes/reflector.ts";
import { ServiceSelectors } from "../kubernetes/service-selectors.ts";
import {
  atVersionOf,
  collectionPath,
  INJECTED_PODS,
  MESH_KINDS,
  METADATA_ONLY,
  NODES,
  PODS,
  servedVersion,
  type WatchedKind,
} from "../kubernetes/watched-kinds.ts";
import type { Source, SourceItem } from "./source.ts";

export interface KubernetesSourceOptions {
  readonly api: KubeApi;
  /** For status: the API server's address. */
  readonly server: string;
  readonly clock: Clock;
  /** Undefined: all. */
  readonly namespaces?: readonly string[] | undefined;
  readonly random?: () => number;
}

/** Changes of so long come together: a Deployment's pods change at once. */
const GATHER_MS = 20;
/** While change follows change, making worlds of them takes no more than this part of the time. */
const PUBLISH_SHARE = 0.2;

/**
 * What a Kubernetes cluster holds of the mesh: Services and their EndpointSlices, pods with a sidecar, routes and policies. It is
 * synchronised when all of them have been listed once; what the API server does after that takes nothing away but by a list or
 * an event that says so.
 */
export class KubernetesSource implements Source {
  readonly name: string;
  readonly #clock: Clock;
  readonly #namespaces: readonly string[] | undefined;
  readonly #objects: readonly (readonly [WatchedKind, readonly Reflector<ReadObject>[]])[];
  readonly #pods: readonly Reflector<KeptPod | undefined>[];
  readonly #nodes: Reflector<Locality>;
  readonly #reflectors: readonly Pick<Reflector<never>, "isSynchronised" | "trouble" | "start" | "close">[];
  readonly #localities = new Localities();
  #slices = new Map<EndpointSlice, DerivedSlice>();
  /** Counts what the derived may have to be made anew for. */
  #nodesVersion = 0;
  #selectors = new ServiceSelectors([], undefined);
  #items: readonly SourceItem[] | undefined;
  #diagnostics: readonly Diagnostic[] = [];
  #onChange: () => void = () => {};
  #timer: Timer | undefined;
  /** The rest of the process has its share until then. */
  #restUntilMs = 0;
  #isClosed = false;

  constructor({ api, server, clock, namespaces, random }: KubernetesSourceOptions) {
    this.name = `kubernetes ${server}`;
    this.#clock = clock;
    this.#namespaces = namespaces;
    const reflect = <Value>(
      kind: WatchedKind,
      read: (object: KubeObject, before: Value | undefined) => Value,
      more: {
        query?: Selectors;
        accept?: string;
        namespace?: string | undefined;
        onChange?: () => void;
      },
    ): Reflector<Value> =>
      new Reflector({
        api,
        clock,
        read,
        path: collectionPath(kind, more.namespace),
        ...(more.query && { query: more.query }),
        ...(more.accept && { accept: more.accept }),
        ...(kind.isCustom && {
          async findPath(signal: AbortSignal) {
            const apiVersion = await servedVersion(api, kind, signal);
            return apiVersion && collectionPath({ ...kind, apiVersion }, more.namespace);
          },
        }),
        isDispensable: kind.isDispensable,
        ...(random && { random }),
        onChange: () => {
          more.onChange?.();
          this.#changed();
        },
      });
    const places = namespaces ?? [undefined];
    this.#objects = MESH_KINDS.map((kind) => [
      kind,
      places.map((namespace) =>
        reflect<ReadObject>(kind, (object, before) => readKubeObject(kind, object, before), { namespace }),
      ),
    ]);
    const query = { labelSelector: INJECTED_PODS };
    this.#pods = places.map((namespace) => reflect<KeptPod | undefined>(PODS, keepPod, { namespace, query }));
    this.#nodes = reflect<Locality>(NODES, (object) => this.#localities.of(nodeLocality(object)), {
      accept: METADATA_ONLY,
      onChange: () => {
        this.#nodesVersion += 1;
      },
    });
    this.#reflectors = [...this.#objects.flatMap(([, reflectors]) => reflectors), ...this.#pods, this.#nodes];
  }

  get items(): readonly SourceItem[] | undefined {
    return this.#items;
  }

  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  /** Whether objects of a namespace are read. */
  follows(namespace: string): boolean {
    return this.#namespaces?.includes(namespace) ?? true;
  }

  /** Objects of kinds whose status is written, as they were read, and each kind in the version in which it is followed. */
  *withStatus(): Generator<readonly [WatchedKind, ReadObject]> {
    for (const [kind, reflectors] of this.#objects) {
      if (!kind.hasStatus) continue;
      for (const reflector of reflectors) {
        const followed = atVersionOf(kind, reflector.path);
        for (const read of reflector.values()) yield [followed, read];
      }
    }
  }

  start(onChange: () => void): void {
    this.#onChange = onChange;
    for (const reflector of this.#reflectors) reflector.start();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await Promise.all(this.#reflectors.map((reflector) => reflector.close()));
  }

  /** Something is another now: soon there is a new set. */
  #changed(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    const waitMs = Math.max(GATHER_MS, this.#restUntilMs - this.#clock.now());
    this.#timer = this.#clock.after(waitMs, () => {
      this.#timer = undefined;
      const startMs = this.#clock.now();
      this.#publish();
      const endMs = this.#clock.now();
      this.#restUntilMs = endMs + ((endMs - startMs) * (1 - PUBLISH_SHARE)) / PUBLISH_SHARE;
    });
  }

  #publish(): void {
    const isSynchronised = this.#items !== undefined || this.#reflectors.every((one) => one.isSynchronised);
    const read = this.#objects.flatMap(([, reflectors]) => reflectors.flatMap((one) => [...one.values()]));
    const pods = this.#pods.flatMap((reflector) => [...reflector.values()].filter((pod) => pod !== undefined));
    this.#diagnostics = [
      ...this.#reflectors.flatMap(({ trouble }) => (trouble === undefined ? [] : [this.#troubleOf(trouble)])),
      ...read.flatMap(({ diagnostics }) => diagnostics),
      ...pods.flatMap(({ pod }) => pod.diagnostics),
    ];
    if (isSynchronised) this.#items = [...this.#meshObjects(read), ...this.#workloads(read, pods)];
    this.#onChange();
  }

  #troubleOf(trouble: string): Diagnostic {
    const message = this.#items === undefined ? trouble : `${trouble}; what is known of it still serves`;
    return { severity: "error", file: this.name, line: 0, column: 0, path: "", message };
  }

  #meshObjects(read: readonly ReadObject[]): readonly MeshObject[] {
    const objects: MeshObject[] = [];
    const slices = new Map<EndpointSlice, DerivedSlice>();
    for (const { object } of read) {
      if (object === undefined) continue;
      if (object.kind !== "endpoint-slice") {
        objects.push(object);
        continue;
      }
      const before = this.#slices.get(object);
      const derived =
        before?.nodesVersion === this.#nodesVersion
          ? before
          : { nodesVersion: this.#nodesVersion, slice: this.#inPlace(object, before?.slice) };
      slices.set(object, derived);
      objects.push(derived.slice);
    }
    this.#slices = slices;
    return objects;
  }

  /** The slice with the localities of its endpoints' nodes; `before` if that is the same. */
  #inPlace(slice: EndpointSlice, before: EndpointSlice | undefined): EndpointSlice {
    const endpoints = slice.endpoints.map((endpoint) => {
      const locality = this.#nodes.get(endpoint.node);
      return locality === undefined || locality === NOWHERE ? endpoint : { ...endpoint, locality };
    });
    const made = { ...slice, endpoints };
    return before !== undefined && isDeepStrictEqual(made, before) ? before : made;
  }

  #workloads(read: readonly ReadObject[], pods: readonly KeptPod[]): readonly Workload[] {
    const services = read.flatMap(({ object }) => (object?.kind === "service" ? [object] : []));
    this.#selectors = new ServiceSelectors(services, this.#selectors);
    const workloads: Workload[] = [];
    for (const kept of pods) {
      const { pod, derived } = kept;
      const version = this.#selectors.versionOf(pod.namespace);
      if (derived?.nodesVersion !== this.#nodesVersion || derived.servicesVersion !== version) {
        const made = podWorkload(pod, this.#selectors.of(pod), this.#nodes.get(pod.node) ?? NOWHERE);
        const before = derived?.workload;
        kept.derived = {
          nodesVersion: this.#nodesVersion,
          servicesVersion: version,
          workload: before !== undefined && isDeepStrictEqual(made, before) ? before : made,
        };
      }
      if (kept.derived?.workload !== undefined) workloads.push(kept.derived.workload);
    }
    return workloads;
  }
}

interface DerivedSlice {
  readonly nodesVersion: number;
  readonly slice: EndpointSlice;
}

interface KeptPod {
  readonly pod: InjectedPod;
  /** Of it and of what else decides on it, at those versions. */
  derived:
    | { readonly nodesVersion: number; readonly servicesVersion: number; readonly workload: Workload | undefined }
    | undefined;
}

/** A pod that says something new of its status alone keeps what was made of it. */
function keepPod(object: KubeObject, before: KeptPod | undefined): KeptPod | undefined {
  const pod = readInjectedPod(object);
  if (pod === undefined) return undefined;
  if (before !== undefined && samePod(pod, before.pod)) return before;
  const workload = before?.derived?.workload;
  // Its workload is made anew, and stays the same object if it is equal.
  return { pod, derived: workload && { nodesVersion: -1, servicesVersion: -1, workload } };
}

function samePod(a: InjectedPod, b: InjectedPod): boolean {
  const { isCaptured: _a, ...left } = a;
  const { isCaptured: _b, ...right } = b;
  return isDeepStrictEqual(left, right);
}

const NOWHERE: Locality = { region: "", zone: "", subZone: "" };

/** Each once: thousands of nodes are in a few. */
class Localities {
  readonly #known = new Map<string, Locality>([[JSON.stringify(NOWHERE), NOWHERE]]);

  of(locality: Locality): Locality {
    const key = JSON.stringify(locality);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#known.set(key, locality);
    return locality;
  }
}
