import {
  type ClusterConfig,
  type CommonTlsConfig,
  type ConfigSource,
  type DownstreamTlsConfig,
  type ExtensionConfig,
  type ExtensionDiscovery,
  type FilterChainConfig,
  filterChainsOf,
  type HttpConnectionManagerConfig,
  type HttpFilterConfig,
  INITIAL_FETCH_TIMEOUT_MS,
  type ListenerConfig,
  type NetworkFilterConfig,
  type ResourceOrigin,
  resolveSelf,
  type SecretReference,
  secretsOf,
  type UpstreamTlsConfig,
} from "@heddle/traffic";

/*
 * `self` in a resource means whatever brought that resource (`envoy.config.core.v3.SelfConfigSource`), and a structured name
 * (xdstp://) says by its authority whom to ask, whatever stands beside it. Both are put in their places as soon as the resource is
 * accepted, so that nobody behind has to know where resources came from.
 */

/** Where a resource of that name is to come from; the given source itself where that says so already. */
export type SourceOfName = (name: string, source: ConfigSource | undefined) => ConfigSource | undefined;

/** Who is asked for a structured name; undefined: whoever its source says. */
export type AuthorityLookup = (name: string) => ResourceOrigin | undefined;

export function sourceOfName(broughtBy: ResourceOrigin | undefined, authorityOf: AuthorityLookup): SourceOfName {
  return (name, source) => {
    const from = name.startsWith("xdstp:") ? authorityOf(name) : undefined;
    if (from !== undefined)
      return { from, initialFetchTimeoutMs: source?.initialFetchTimeoutMs ?? INITIAL_FETCH_TIMEOUT_MS };
    return source && resolveSelf(source, broughtBy);
  };
}

export function resolveClusterSources(config: ClusterConfig, sourceOf: SourceOfName): ClusterConfig {
  const resolved = resolveEds(config, sourceOf);
  const { tls, transportSocketMatches } = resolved;
  const contexts = [tls, ...(transportSocketMatches ?? []).map((match) => match.tls)];
  if (
    !contexts.some(
      (context) =>
        context !== undefined && secretsOf(context).some((secret) => resolveSecret(secret, sourceOf) !== secret),
    )
  )
    return resolved;
  return {
    ...resolved,
    ...(tls && { tls: resolveTls(tls, sourceOf) }),
    ...(transportSocketMatches && {
      transportSocketMatches: transportSocketMatches.map((match) =>
        match.tls === undefined ? match : { ...match, tls: resolveTls(match.tls, sourceOf) },
      ),
    }),
  };
}

function resolveEds(config: ClusterConfig, sourceOf: SourceOfName): ClusterConfig {
  const { discovery } = config;
  if (discovery.type !== "EDS") return config;
  const source = sourceOf(discovery.serviceName, discovery.source);
  return source === discovery.source ? config : { ...config, discovery: { ...discovery, ...(source && { source }) } };
}

export function resolveListenerSources(config: ListenerConfig, sourceOf: SourceOfName): ListenerConfig {
  const { filterChains, defaultFilterChain } = config;
  const listenerFilters = mapChanged(config.listenerFilters, (filter) => resolveDiscovered(filter, sourceOf));
  const areResolved = listenerFilters === config.listenerFilters;
  if (areResolved && filterChainsOf(config).every((chain) => isResolved(chain, sourceOf))) return config;
  const resolve = (chain: FilterChainConfig): FilterChainConfig => {
    const filters = chain.filters.map((filter) => resolveFilter(filter, sourceOf));
    return { ...chain, filters, ...(chain.tls && { tls: resolveTls(chain.tls, sourceOf) }) };
  };
  return {
    ...config,
    listenerFilters,
    filterChains: filterChains.map(resolve),
    defaultFilterChain: defaultFilterChain && resolve(defaultFilterChain),
  };
}

function isResolved({ filters, tls }: FilterChainConfig, sourceOf: SourceOfName): boolean {
  if (filters.some((filter) => resolveFilter(filter, sourceOf) !== filter)) return false;
  return tls === undefined || secretsOf(tls).every((secret) => resolveSecret(secret, sourceOf) === secret);
}

function resolveTls<Config extends DownstreamTlsConfig | UpstreamTlsConfig>(
  config: Config,
  sourceOf: SourceOfName,
): Config {
  const common = resolveCommon(config.common, sourceOf);
  if (!("ticketKeys" in config) || config.ticketKeys === undefined || !("from" in config.ticketKeys)) {
    return { ...config, common };
  }
  return { ...config, common, ticketKeys: resolveSecret(config.ticketKeys, sourceOf) };
}

function resolveCommon(common: CommonTlsConfig, sourceOf: SourceOfName): CommonTlsConfig {
  const { certificateSecrets, validationSecret } = common;
  return {
    ...common,
    ...(certificateSecrets && {
      certificateSecrets: certificateSecrets.map((reference) => resolveSecret(reference, sourceOf)),
    }),
    ...(validationSecret && { validationSecret: resolveSecret(validationSecret, sourceOf) }),
  };
}

function resolveSecret(reference: SecretReference, sourceOf: SourceOfName): SecretReference {
  if (reference.from === "static") return reference;
  const source = sourceOf(reference.name, reference.source);
  return source === reference.source ? reference : { ...reference, ...(source && { source }) };
}

/** What ECDS has brought for a network filter names its resources as a listener does. */
export function resolveExtensionSources(config: ExtensionConfig, sourceOf: SourceOfName): ExtensionConfig {
  const network = config.network && resolveFilter(config.network, sourceOf);
  return network === undefined || network === config.network ? config : { ...config, network };
}

function resolveDiscovered<Filter extends { readonly name: string; readonly discovered?: ExtensionDiscovery }>(
  filter: Filter,
  sourceOf: SourceOfName,
): Filter {
  const { name, discovered } = filter;
  if (discovered === undefined) return filter;
  const source = sourceOf(name, discovered.source);
  return source === discovered.source
    ? filter
    : { ...filter, discovered: { ...discovered, ...(source && { source }) } };
}

function resolveFilter(given: NetworkFilterConfig, sourceOf: SourceOfName): NetworkFilterConfig {
  const filter = resolveDiscovered(given, sourceOf);
  if (filter.type === "discovered" && filter.fallback !== undefined) {
    const fallback = resolveFilter(filter.fallback, sourceOf);
    return fallback === filter.fallback ? filter : { ...filter, fallback };
  }
  if (filter.type !== "http-connection-manager") return filter;
  const { config } = filter;
  const routes = resolveRoutes(config.routes, sourceOf);
  const httpFilters = resolveFilters(config.httpFilters, sourceOf);
  const upgradeConfigs = mapChanged(config.upgradeConfigs, (upgrade) => {
    const filters = upgrade.filters && resolveFilters(upgrade.filters, sourceOf);
    return filters === undefined || filters === upgrade.filters ? upgrade : { ...upgrade, filters };
  });
  const same =
    routes === config.routes && httpFilters === config.httpFilters && upgradeConfigs === config.upgradeConfigs;
  return same ? filter : { ...filter, config: { ...config, routes, httpFilters, upgradeConfigs } };
}

type Routes = HttpConnectionManagerConfig["routes"];

function resolveRoutes(routes: Routes, sourceOf: SourceOfName): Routes {
  if (routes.type !== "rds") return routes;
  const source = sourceOf(routes.routeConfigName, routes.source);
  return source === routes.source ? routes : { ...routes, ...(source && { source }) };
}

function resolveFilters(filters: readonly HttpFilterConfig[], sourceOf: SourceOfName): readonly HttpFilterConfig[] {
  return mapChanged(filters, (filter) => {
    const { name, discovery } = filter;
    if (discovery === undefined) return filter;
    const source = sourceOf(name, discovery.source);
    return source === discovery.source ? filter : { ...filter, discovery: { ...discovery, ...(source && { source }) } };
  });
}

/** The list itself where nothing in it changes. */
function mapChanged<Item>(list: readonly Item[], map: (item: Item) => Item): readonly Item[] {
  const mapped = list.map(map);
  return mapped.every((item, index) => item === list[index]) ? list : mapped;
}
