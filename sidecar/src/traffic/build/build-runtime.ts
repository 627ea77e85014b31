import type { Clock } from "@heddle/base";
import {
  type ClusterConfig,
  compileRouteConfiguration,
  type RouteConfiguration,
  type RouteTable,
} from "@heddle/traffic";
import { Cluster } from "../upstream/cluster.ts";
import type { UpstreamEnv } from "../upstream/upstream-env.ts";
import { type Built, Runtime, type RuntimeEntry, type RuntimeInput } from "./runtime.ts";

/** Names of what a step changes or removes: tables, and clusters by themselves or their endpoints. */
export interface TouchedNames {
  readonly routeConfigurations: Iterable<string>;
  readonly clusters: Iterable<string>;
}

/** What one step's work is cut by: see `Slices`. */
export interface Slice {
  readonly clock: Clock;
  readonly leftMs: number;
}

/** What became of a step. */
export interface BuiltRuntime {
  readonly runtime: Runtime;
  /**
   * Clusters that the runtime before had and this one has not, to be drained. Exchanges that began under that one go on with the
   * objects they have.
   */
  readonly leaving: readonly Cluster[];
}

/**
 * Builds the next runtime against the previous one: same name and equal hash give the same object, with its connections
 * and counters. `prepare` does nearly all of it, and can be cut into slices; `finish` is quick, and what it answers has to be published
 * in the same turn:
 *
 *     const builder = new RuntimeBuilder(input, touched, previous, env, () => true);
 *     for (const _ of builder.prepare(slice)) if (slice.leftMs <= 0) …;   // wait for the next turn
 *     runtime.publish(builder.finish().runtime);
 *
 * What cannot be built although it was validated leaves the previous of its name in its place, or nothing, and everything else as
 * it is; `refused` says why.
 */
export class RuntimeBuilder {
  /** By the kind and the name of what could not be built; complete after `finish`. */
  readonly refused: {
    readonly kind: "route-configuration" | "cluster";
    readonly name: string;
    readonly error: unknown;
  }[] = [];
  readonly #input: RuntimeInput;
  readonly #touched: TouchedNames;
  readonly #previous: Runtime;
  readonly #env: UpstreamEnv;
  readonly #mayPrepare: (config: ClusterConfig) => boolean;
  readonly #builtTables = new Map<string, Built<RouteTable>>();
  readonly #routeTables = new Map<string, RouteTable>();
  readonly #builtClusters = new Map<string, Built<Cluster>>();
  readonly #clusters = new Map<string, Cluster>();
  readonly #leaving: Cluster[] = [];
  /** For `finish`: names of clusters. */
  readonly #unbuilt: string[] = [];
  /** For `finish`: clusters that serve, and whose endpoints are gone. */
  readonly #emptied: Cluster[] = [];

  /** `mayPrepare`: whether the cluster can be built before the step takes effect. Otherwise it is built by `finish`. */
  constructor(
    input: RuntimeInput,
    touched: TouchedNames,
    previous: Runtime,
    env: UpstreamEnv,
    mayPrepare: (config: ClusterConfig) => boolean,
  ) {
    this.#input = input;
    this.#touched = touched;
    this.#previous = previous;
    this.#env = env;
    this.#mayPrepare = mayPrepare;
  }

  /**
   * A thousand clusters or ten thousand endpoints at once would hold traffic up for tens of milliseconds, and so this can stop at each
   * `yield`; endpoints are got ready for what is left of the slice.
   *
   * Endpoints of a cluster that serves already come into force here, one cluster at a time: they are a resource by themselves,
   * and in the order of delivery they come before what may rely on them. All else changes for nobody.
   */
  *prepare(slice: Slice): Generator<undefined, void> {
    yield* copy(this.#previous.builtTables, this.#builtTables);
    yield* copy(this.#previous.routeTables, this.#routeTables);
    yield* copy(this.#previous.builtClusters, this.#builtClusters);
    yield* copy(this.#previous.clusters, this.#clusters);
    for (const name of this.#touched.routeConfigurations) {
      this.#compile(name);
      yield;
    }
    for (const name of this.#touched.clusters) {
      yield* this.#prepareCluster(name, slice);
      yield;
    }
  }

  /** What is left: clusters that had to wait for the step, and endpoints that are gone. */
  finish(): BuiltRuntime {
    for (const name of this.#unbuilt) {
      const entry = this.#input.clusters.get(name);
      if (entry !== undefined) this.#build(name, entry);
      const cluster = this.#clusters.get(name);
      const endpoints = this.#input.endpoints.get(name);
      if (endpoints === undefined) cluster?.clearEndpoints();
      else cluster?.setEndpoints(endpoints.value, endpoints.hash);
    }
    for (const cluster of this.#emptied) cluster.clearEndpoints();
    const runtime = new Runtime(this.#builtTables, this.#builtClusters, this.#routeTables, this.#clusters);
    return { runtime, leaving: this.#leaving };
  }

  #compile(name: string): void {
    const entry = this.#input.routeConfigurations.get(name);
    if (entry === undefined) {
      this.#builtTables.delete(name);
      this.#routeTables.delete(name);
    } else if (this.#builtTables.get(name)?.hash !== entry.hash) this.#makeTable(name, entry);
  }

  #makeTable(name: string, { hash, value }: RuntimeEntry<RouteConfiguration>): void {
    try {
      const thing = compileRouteConfiguration(value, this.#env.runtimeValues, this.#builtTables.get(name)?.thing);
      this.#builtTables.set(name, { hash, thing });
      this.#routeTables.set(name, thing);
    } catch (error) {
      this.refused.push({ kind: "route-configuration", name, error });
    }
  }

  *#prepareCluster(name: string, slice: Slice): Generator<undefined, void> {
    const entry = this.#input.clusters.get(name);
    if (entry === undefined) {
      this.#letGo(name);
      this.#builtClusters.delete(name);
      this.#clusters.delete(name);
      return;
    }
    const known = this.#builtClusters.get(name);
    if (known?.hash !== entry.hash && !this.#mayPrepare(entry.value)) {
      this.#unbuilt.push(name);
      return;
    }
    this.#build(name, entry);
    const cluster = this.#clusters.get(name);
    const endpoints = this.#input.endpoints.get(name);
    if (cluster === undefined) return;
    if (endpoints === undefined) {
      if (cluster === known?.thing) this.#emptied.push(cluster);
      else cluster.clearEndpoints();
      return;
    }
    while (!cluster.prepareEndpoints(endpoints.value, endpoints.hash, slice.leftMs, slice.clock)) yield;
    cluster.setEndpoints(endpoints.value, endpoints.hash);
  }

  #build(name: string, { hash, value }: RuntimeEntry<ClusterConfig>): void {
    if (this.#builtClusters.get(name)?.hash === hash) return;
    try {
      const thing = new Cluster(value, this.#env);
      this.#letGo(name);
      this.#builtClusters.set(name, { hash, thing });
      this.#clusters.set(name, thing);
    } catch (error) {
      this.refused.push({ kind: "cluster", name, error });
    }
  }

  #letGo(name: string): void {
    const before = this.#previous.clusters.get(name);
    if (before !== undefined) this.#leaving.push(before);
  }
}

/** Entries from one `yield` to the next. */
const ENTRIES_PER_LOOK = 64;

function* copy<Value>(from: ReadonlyMap<string, Value>, to: Map<string, Value>): Generator<undefined, void> {
  let left = ENTRIES_PER_LOOK;
  for (const [name, value] of from) {
    to.set(name, value);
    if (--left > 0) continue;
    left = ENTRIES_PER_LOOK;
    yield;
  }
}
