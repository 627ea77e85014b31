import type { ClusterConfig, EndpointsConfig, RouteConfiguration, RouteTable } from "@heddle/traffic";
import type { TrafficRuntime } from "../http/traffic-runtime.ts";
import type { Cluster } from "../upstream/cluster.ts";

/** A decoded piece of configuration. Equal hashes mean equal content. */
export interface RuntimeEntry<Config> {
  readonly hash: string;
  readonly value: Config;
}

/** A complete configuration as a worker has it, by name; endpoints by the cluster's name. */
export interface RuntimeInput {
  readonly routeConfigurations: ReadonlyMap<string, RuntimeEntry<RouteConfiguration>>;
  readonly clusters: ReadonlyMap<string, RuntimeEntry<ClusterConfig>>;
  readonly endpoints: ReadonlyMap<string, RuntimeEntry<EndpointsConfig>>;
}

/** Something that was built, and the hash of what it was built from. */
export interface Built<Thing> {
  readonly hash: string;
  readonly thing: Thing;
}

/**
 * Everything that exchanges look up, complete and immutable but for what lives in it: the endpoints and connections of
 * clusters. The next one is built against it and shares what did not change.
 */
export class Runtime implements TrafficRuntime {
  readonly routeTables: ReadonlyMap<string, RouteTable>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly builtTables: ReadonlyMap<string, Built<RouteTable>>;
  readonly builtClusters: ReadonlyMap<string, Built<Cluster>>;

  constructor(builtTables: ReadonlyMap<string, Built<RouteTable>>, builtClusters: ReadonlyMap<string, Built<Cluster>>) {
    this.builtTables = builtTables;
    this.builtClusters = builtClusters;
    this.routeTables = things(builtTables);
    this.clusters = things(builtClusters);
  }
}

export const emptyRuntime = new Runtime(new Map(), new Map());

function things<Thing>(built: ReadonlyMap<string, Built<Thing>>): ReadonlyMap<string, Thing> {
  return new Map([...built].map(([name, { thing }]) => [name, thing]));
}
