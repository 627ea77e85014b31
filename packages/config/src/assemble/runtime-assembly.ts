import type { Json } from "@heddle/base";
import {
  mergedRuntime,
  type RuntimeLayer,
  type RuntimeLayerConfig,
  type RuntimeLayerContent,
  type RuntimeValues,
} from "@heddle/traffic";
import type { AssembledResource, Versioned } from "./assembled-resource.ts";
import { type ConfigDraft, RUNTIME_LANE_NAME } from "./config-draft.ts";
import { gatherWants, type Wanted, type Wants, wantedKey } from "./wants.ts";

/**
 * The layers of the runtime, merged in their order. A layer of RTDS is empty until its resource has come and when that is
 * removed, as in Envoy; one of files until they have been read; the layer of the admin port is what was said there.
 */
export class RuntimeAssembly {
  readonly #layers: readonly RuntimeLayer[];
  readonly #draft: ConfigDraft;
  readonly #resources = new Map<string, Versioned<RuntimeLayerConfig>>();
  /** Resources of RTDS without an answer, by `wantedKey`. */
  readonly #awaited: Set<string>;
  /** By the name of the layer. */
  readonly #onDisk = new Map<string, RuntimeValues>();
  readonly #said = new Map<string, string>();
  #merged: RuntimeValues = {};

  constructor(layers: readonly RuntimeLayer[], draft: ConfigDraft) {
    this.#layers = layers;
    this.#draft = draft;
    this.#awaited = new Set(rtdsLayers(layers).map(({ wanted }) => wantedKey(wanted)));
  }

  /** Takes the layers that need nobody. */
  start(): void {
    this.#merge();
  }

  /** What to ask RTDS for; it does not change. */
  get wants(): Wants {
    return gatherWants(rtdsLayers(this.#layers).map(({ wanted }) => wanted));
  }

  /** The longest that any layer's source waits; 0 is for ever. */
  get initialFetchTimeoutMs(): number {
    const times = rtdsLayers(this.#layers).map(({ source }) => source.initialFetchTimeoutMs);
    return times.includes(0) ? 0 : Math.max(0, ...times);
  }

  /** Every resource of RTDS has come, or does not exist. */
  get settled(): boolean {
    return this.#awaited.size === 0;
  }

  /** `key`: `wantedKey` of the resource. */
  update(key: string, next: Versioned<RuntimeLayerConfig>): void {
    this.#resources.set(key, next);
    this.#awaited.delete(key);
    this.#merge();
  }

  remove(key: string): void {
    this.#resources.delete(key);
    this.#awaited.delete(key);
    this.#merge();
  }

  /** `/runtime_modify`: sets these keys in the admin layer, or with "" takes them out. False: there is no such layer. */
  modify(changes: Readonly<Record<string, string>>): boolean {
    if (!this.#layers.some(({ type }) => type === "admin")) return false;
    for (const [key, value] of Object.entries(changes)) {
      if (value === "") this.#said.delete(key);
      else this.#said.set(key, value);
    }
    this.#merge();
    return true;
  }

  /** What the files of a layer say. */
  fromDisk(layer: string, values: RuntimeValues): void {
    this.#onDisk.set(layer, values);
    this.#merge();
  }

  /** All layers as they are now, in their order. */
  layers(): RuntimeLayerContent[] {
    return this.#layers.map((layer) => ({ name: layer.name, values: this.#valuesOf(layer) }));
  }

  *resources(): Generator<AssembledResource<RuntimeLayerConfig>> {
    for (const { wanted } of rtdsLayers(this.#layers)) {
      const { name, origin } = wanted;
      const active = this.#resources.get(wantedKey(wanted));
      const waitingFor = this.#awaited.has(wantedKey(wanted)) ? [`runtime/${name}`] : [];
      const from = origin === undefined || origin.type === "ads" ? {} : { origin };
      yield { kind: "runtime", name, source: "dynamic", ...from, active, warming: undefined, waitingFor };
    }
  }

  #valuesOf(layer: RuntimeLayer): RuntimeValues {
    switch (layer.type) {
      case "static":
        return layer.values;
      case "rtds":
        return this.#resources.get(wantedKey(wantedOf(layer)))?.config.values ?? NOTHING;
      case "disk":
        return this.#onDisk.get(layer.name) ?? NOTHING;
      case "admin":
        return Object.fromEntries<Json>(this.#said);
    }
  }

  #merge(): void {
    const hadAny = Object.keys(this.#merged).length > 0;
    this.#merged = mergedRuntime(this.layers());
    // Most processes have no runtime, and their workers need not hear of one.
    if (hadAny || Object.keys(this.#merged).length > 0) this.#draft.put("runtime", RUNTIME_LANE_NAME, this.#merged);
  }
}

const NOTHING: RuntimeValues = {};

type RtdsLayer = Extract<RuntimeLayer, { readonly type: "rtds" }>;

function rtdsLayers(layers: readonly RuntimeLayer[]): (RtdsLayer & { readonly wanted: Wanted })[] {
  return layers.flatMap((layer) => (layer.type === "rtds" ? [{ ...layer, wanted: wantedOf(layer) }] : []));
}

/** In a bootstrap nothing has brought the layer, so "self" is the aggregated stream. */
function wantedOf({ resource, source }: RtdsLayer): Wanted {
  const { from } = source;
  return from.type === "self" ? { name: resource } : { name: resource, origin: from };
}
