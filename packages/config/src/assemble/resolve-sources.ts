import {
  type ClusterConfig,
  type FilterChainConfig,
  type ListenerConfig,
  type NetworkFilterConfig,
  type ResourceOrigin,
  resolveSelf,
} from "@heddle/traffic";

/*
 * `self` in a resource means whatever brought that resource (`envoy.config.core.v3.SelfConfigSource`). It is put in its place
 * as soon as the resource is accepted, so that nobody behind has to know where resources came from.
 */

export function resolveClusterSource(config: ClusterConfig, origin: ResourceOrigin | undefined): ClusterConfig {
  const { discovery } = config;
  if (discovery.type !== "EDS" || discovery.source?.from.type !== "self") return config;
  return { ...config, discovery: { ...discovery, source: resolveSelf(discovery.source, origin) } };
}

export function resolveListenerSources(config: ListenerConfig, origin: ResourceOrigin | undefined): ListenerConfig {
  const { filterChains, defaultFilterChain } = config;
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  if (!chains.some(({ filters }) => filters.some(saysSelf))) return config;
  const resolve = (chain: FilterChainConfig): FilterChainConfig => {
    return { ...chain, filters: chain.filters.map((filter) => resolveFilter(filter, origin)) };
  };
  return {
    ...config,
    filterChains: filterChains.map(resolve),
    defaultFilterChain: defaultFilterChain && resolve(defaultFilterChain),
  };
}

function saysSelf(filter: NetworkFilterConfig): boolean {
  if (filter.type !== "http-connection-manager") return false;
  const { routes } = filter.config;
  return routes.type === "rds" && routes.source?.from.type === "self";
}

function resolveFilter(filter: NetworkFilterConfig, origin: ResourceOrigin | undefined): NetworkFilterConfig {
  if (filter.type !== "http-connection-manager") return filter;
  const { routes } = filter.config;
  if (routes.type !== "rds" || routes.source === undefined) return filter;
  return { ...filter, config: { ...filter.config, routes: { ...routes, source: resolveSelf(routes.source, origin) } } };
}
