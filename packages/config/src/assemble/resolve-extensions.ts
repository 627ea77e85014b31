import type {
  ExtensionConfig,
  ExtensionDiscovery,
  FilterChainConfig,
  ListenerConfig,
  ListenerFilterConfig,
  NetworkFilterConfig,
} from "@heddle/traffic";

/** What has come for a filter; undefined: nothing. */
export type ExtensionLookup = (name: string, discovery: ExtensionDiscovery) => ExtensionConfig | undefined;

/** Whether a network filter or a listener filter of it asks ECDS. */
export function asksForExtensions({ filterChains, defaultFilterChain, listenerFilters }: ListenerConfig): boolean {
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  return [...listenerFilters, ...chains.flatMap(({ filters }) => filters)].some(({ type }) => type === "discovered");
}

/**
 * The same listener with what has come by ECDS in the places of its network and listener filters, or their defaults. Where there is
 * neither, connections of that chain, or all of the listener's, are closed, as in Envoy.
 */
export function resolveExtensions(config: ListenerConfig, lookup: ExtensionLookup): ListenerConfig {
  const resolveChain = (chain: FilterChainConfig): FilterChainConfig => ({
    ...chain,
    filters: chain.filters.map((filter) => resolveFilter(filter, lookup)),
  });
  const { filterChains, defaultFilterChain, listenerFilters } = config;
  return {
    ...config,
    filterChains: filterChains.map(resolveChain),
    defaultFilterChain: defaultFilterChain && resolveChain(defaultFilterChain),
    listenerFilters: listenerFilters.map((filter) => resolveListenerFilter(filter, lookup)),
  };
}

function resolveFilter(filter: NetworkFilterConfig, lookup: ExtensionLookup): NetworkFilterConfig {
  const { name, discovered } = filter;
  if (filter.type !== "discovered" || discovered === undefined) return filter;
  const found = lookup(name, discovered)?.network ?? filter.fallback ?? { type: "missing" as const, name };
  return { ...found, name, discovered };
}

function resolveListenerFilter(filter: ListenerFilterConfig, lookup: ExtensionLookup): ListenerFilterConfig {
  const { name, discovered, disabled } = filter;
  if (filter.type !== "discovered" || discovered === undefined) return filter;
  const found = lookup(name, discovered)?.listener ?? filter.fallback ?? { type: "missing" as const, name };
  return { ...found, name, discovered, ...(disabled && { disabled }) };
}
