import type { RouteConfiguration } from "@heddle/traffic";

/** The clusters that a route configuration names. Which a header will name nobody knows beforehand. */
export function clustersOfRoutes(config: RouteConfiguration): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { routes } of config.virtualHosts) {
    for (const { action } of routes) {
      if (action.type !== "forward") continue;
      const { cluster } = action.forward;
      if (cluster.type === "cluster") names.add(cluster.name);
      else if (cluster.type === "weighted") for (const { name } of cluster.clusters) names.add(name);
    }
  }
  return names;
}
