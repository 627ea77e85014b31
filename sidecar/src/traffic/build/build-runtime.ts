import { type ClusterConfig, compileRouteConfiguration } from "@heddle/traffic";
import { Cluster } from "../upstream/cluster.ts";
import type { UpstreamEnv } from "../upstream/upstream-env.ts";
import { type Built, Runtime, type RuntimeEntry, type RuntimeInput } from "./runtime.ts";
import type { Slices } from "./slices.ts";

/**
 * Builds the next runtime against the previous one: same name and equal hash give the same object, with its connections
 * and counters. Changes nothing that serves; `takeOver` does, together with the assignment that publishes the result.
 *
 * What cannot be built although it was validated leaves the previous of its name in its place, or nothing, and everything else as
 * it is; `onRefused` hears why.
 */
export function buildRuntime(
  input: RuntimeInput,
  previous: Runtime,
  env: UpstreamEnv,
  prepared: PreparedClusters,
  onRefused: (kind: "route-configuration" | "cluster", name: string, error: unknown) => void,
): Runtime {
  return new Runtime(
    rebuild(
      input.routeConfigurations,
      previous.builtTables,
      (config) => compileRouteConfiguration(config, env.runtimeValues),
      (name, error) => onRefused("route-configuration", name, error),
    ),
    rebuild(
      input.clusters,
      previous.builtClusters,
      (config, hash) => {
        const ready = prepared.get(config.name);
        return ready?.hash === hash ? ready.thing : new Cluster(config, env);
      },
      (name, error) => onRefused("cluster", name, error),
    ),
  );
}

/** Clusters that were built before it was their turn (`prepareClusters`), by name. */
export type PreparedClusters = ReadonlyMap<string, Built<Cluster>>;

export const NOTHING_PREPARED: PreparedClusters = new Map();

/**
 * Builds what `buildRuntime` and `takeOver` would build of clusters and endpoints, a slice at a time: a thousand clusters or
 * ten thousand endpoints at once would hold traffic up for tens of milliseconds. `mayBuild`: whether the cluster can be built
 * before the step takes effect.
 *
 * Endpoints of a cluster that serves already come into force here, one cluster at a time: they are a resource by themselves,
 * and in the order of delivery they come before what may rely on them. All else changes for nobody.
 */
export async function prepareClusters(
  input: RuntimeInput,
  changed: Iterable<string>,
  previous: Runtime,
  env: UpstreamEnv,
  slices: Slices,
  mayBuild: (config: ClusterConfig) => boolean,
): Promise<PreparedClusters> {
  const prepared = new Map<string, Built<Cluster>>();
  for (const name of changed) {
    const entry = input.clusters.get(name);
    if (entry === undefined) continue;
    let built = previous.builtClusters.get(name);
    if (built?.hash !== entry.hash) {
      if (!mayBuild(entry.value)) continue;
      try {
        built = { hash: entry.hash, thing: new Cluster(entry.value, env) };
      } catch {
        continue; // `buildRuntime` says why
      }
      prepared.set(name, built);
    }
    const endpoints = input.endpoints.get(name);
    if (endpoints !== undefined) {
      while (!built.thing.prepareEndpoints(endpoints.value, endpoints.hash, slices.leftMs, slices.clock))
        await slices.next();
      built.thing.setEndpoints(endpoints.value, endpoints.hash);
    }
    if (slices.leftMs <= 0) await slices.next();
  }
  return prepared;
}

/** Brings the clusters of `next` up to its endpoints. */
export function takeOver(next: Runtime, endpoints: RuntimeInput["endpoints"]): void {
  for (const [name, cluster] of next.clusters) {
    const entry = endpoints.get(name);
    if (entry === undefined) cluster.clearEndpoints();
    else cluster.setEndpoints(entry.value, entry.hash);
  }
}

/**
 * The clusters of `previous` that `next` does not have any more, to be drained. Exchanges that began under `previous` go on
 * with the objects they have.
 */
export function leavingClusters(next: Runtime, previous: Runtime): readonly Cluster[] {
  return [...previous.clusters.values()].filter((cluster) => next.clusters.get(cluster.name) !== cluster);
}

function rebuild<Config, Thing>(
  entries: ReadonlyMap<string, RuntimeEntry<Config>>,
  previous: ReadonlyMap<string, Built<Thing>>,
  make: (config: Config, hash: string) => Thing,
  onRefused: (name: string, error: unknown) => void,
): ReadonlyMap<string, Built<Thing>> {
  const built = new Map<string, Built<Thing>>();
  for (const [name, { hash, value }] of entries) {
    const known = previous.get(name);
    if (known?.hash === hash) {
      built.set(name, known);
      continue;
    }
    try {
      built.set(name, { hash, thing: make(value, hash) });
    } catch (error) {
      if (known !== undefined) built.set(name, known);
      onRefused(name, error);
    }
  }
  return built;
}
