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
  readonly routeConfigurations: Named<RuntimeEntry<RouteConfiguration>>;
  readonly clusters: Named<RuntimeEntry<ClusterConfig>>;
  readonly endpoints: Named<RuntimeEntry<EndpointsConfig>>;
}

/** Things that are looked up by their names. */
export type Named<Thing> = Pick<ReadonlyMap<string, Thing>, "get">;

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

  /** The last two are the things of the first two: there may be very many, so whoever builds them makes both as it goes. */
  constructor(
    builtTables: ReadonlyMap<string, Built<RouteTable>>,
    builtClusters: ReadonlyMap<string, Built<Cluster>>,
    routeTables: ReadonlyMap<string, RouteTable>,
    clusters: ReadonlyMap<string, Cluster>,
  ) {
    this.builtTables = builtTables;
    this.builtClusters = builtClusters;
    this.routeTables = routeTables;
    this.clusters = clusters;
  }
}

export const emptyRuntime = new Runtime(new Map(), new Map(), new Map(), new Map());
