import { filterChainsOf, type ListenerConfig, type RouteEntry } from "@heddle/traffic";

/** The clusters that routes with `validate_clusters` name, where they stand in the listener itself. */
export function clustersOfInlineRoutes(listener: ListenerConfig): string[] {
  return filterChainsOf(listener)
    .flatMap(({ filters }) => filters)
    .flatMap((filter) =>
      filter.type === "http-connection-manager" && filter.config.routes.type === "inline"
        ? [filter.config.routes.routeConfig]
        : [],
    )
    .filter(({ validateClusters }) => validateClusters)
    .flatMap(({ virtualHosts }) => virtualHosts.flatMap(({ routes }) => routes.flatMap(clustersOfRoute)));
}

function clustersOfRoute({ action }: RouteEntry): string[] {
  if (action.type !== "forward") return [];
  const { cluster } = action.forward;
  if (cluster.type === "cluster") return [cluster.name];
  return cluster.type === "weighted" ? cluster.clusters.map(({ name }) => name) : [];
}
