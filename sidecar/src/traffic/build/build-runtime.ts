import { compileRouteConfiguration } from "@heddle/traffic";
import { Cluster } from "../upstream/cluster.ts";
import type { UpstreamEnv } from "../upstream/upstream-env.ts";
import { type Built, Runtime, type RuntimeEntry, type RuntimeInput } from "./runtime.ts";

/**
 * Builds the next runtime against the previous one: same name and equal hash give the same object, with its connections
 * and counters. Changes nothing that serves; `takeOver` does, together with the assignment that publishes the result.
 * Throws on configuration that has not been validated.
 */
export function buildRuntime(input: RuntimeInput, previous: Runtime, env: UpstreamEnv): Runtime {
  return new Runtime(
    rebuild(input.routeConfigurations, previous.builtTables, (config) =>
      compileRouteConfiguration(config, env.runtimeValues),
    ),
    rebuild(input.clusters, previous.builtClusters, (config) => new Cluster(config, env)),
  );
}

/**
 * Brings the clusters of `next` up to its endpoints and lets those go that it does not have any more. Exchanges that began
 * under `previous` go on with the objects they have.
 */
export function takeOver(next: Runtime, previous: Runtime, endpoints: RuntimeInput["endpoints"]): void {
  for (const [name, cluster] of next.clusters) {
    const entry = endpoints.get(name);
    if (entry === undefined) cluster.clearEndpoints();
    else cluster.setEndpoints(entry.value, entry.hash);
  }
  for (const [name, cluster] of previous.clusters) if (next.clusters.get(name) !== cluster) cluster.drain();
}

function rebuild<Config, Thing>(
  entries: ReadonlyMap<string, RuntimeEntry<Config>>,
  previous: ReadonlyMap<string, Built<Thing>>,
  make: (config: Config) => Thing,
): ReadonlyMap<string, Built<Thing>> {
  const built = new Map<string, Built<Thing>>();
  for (const [name, { hash, value }] of entries) {
    const known = previous.get(name);
    built.set(name, known?.hash === hash ? known : { hash, thing: make(value) });
  }
  return built;
}
