import {
  type ClusterConfig,
  type CommonTlsConfig,
  type DownstreamTlsConfig,
  type FilterChainConfig,
  type HttpFilterConfig,
  type ListenerConfig,
  type NetworkFilterConfig,
  type ResourceOrigin,
  resolveSelf,
  type SecretReference,
  secretsOf,
  type UpstreamTlsConfig,
} from "@heddle/traffic";

/*
 * `self` in a resource means whatever brought that resource (`envoy.config.core.v3.SelfConfigSource`). It is put in its place
 * as soon as the resource is accepted, so that nobody behind has to know where resources came from.
 */

export function resolveClusterSources(config: ClusterConfig, origin: ResourceOrigin | undefined): ClusterConfig {
  const resolved = resolveEds(config, origin);
  const { tls, transportSocketMatches } = resolved;
  const contexts = [tls, ...(transportSocketMatches ?? []).map((match) => match.tls)];
  if (!contexts.some((context) => context !== undefined && secretsOf(context).some(isSelf))) return resolved;
  return {
    ...resolved,
    ...(tls && { tls: resolveTls(tls, origin) }),
    ...(transportSocketMatches && {
      transportSocketMatches: transportSocketMatches.map((match) =>
        match.tls === undefined ? match : { ...match, tls: resolveTls(match.tls, origin) },
      ),
    }),
  };
}

function resolveEds(config: ClusterConfig, origin: ResourceOrigin | undefined): ClusterConfig {
  const { discovery } = config;
  if (discovery.type !== "EDS" || discovery.source?.from.type !== "self") return config;
  return { ...config, discovery: { ...discovery, source: resolveSelf(discovery.source, origin) } };
}

export function resolveListenerSources(config: ListenerConfig, origin: ResourceOrigin | undefined): ListenerConfig {
  const { filterChains, defaultFilterChain } = config;
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  if (!chains.some(chainSaysSelf)) return config;
  const resolve = (chain: FilterChainConfig): FilterChainConfig => {
    const filters = chain.filters.map((filter) => resolveFilter(filter, origin));
    return { ...chain, filters, ...(chain.tls && { tls: resolveTls(chain.tls, origin) }) };
  };
  return {
    ...config,
    filterChains: filterChains.map(resolve),
    defaultFilterChain: defaultFilterChain && resolve(defaultFilterChain),
  };
}

function chainSaysSelf({ filters, tls }: FilterChainConfig): boolean {
  return filters.some(saysSelf) || (tls !== undefined && secretsOf(tls).some(isSelf));
}

function isSelf({ source }: SecretReference): boolean {
  return source?.from.type === "self";
}

function resolveTls<Config extends DownstreamTlsConfig | UpstreamTlsConfig>(
  config: Config,
  origin: ResourceOrigin | undefined,
): Config {
  const common = resolveCommon(config.common, origin);
  if (!("ticketKeys" in config) || config.ticketKeys === undefined || !("from" in config.ticketKeys)) {
    return { ...config, common };
  }
  return { ...config, common, ticketKeys: resolveSecret(config.ticketKeys, origin) };
}

function resolveCommon(common: CommonTlsConfig, origin: ResourceOrigin | undefined): CommonTlsConfig {
  const { certificateSecrets, validationSecret } = common;
  return {
    ...common,
    ...(certificateSecrets && {
      certificateSecrets: certificateSecrets.map((reference) => resolveSecret(reference, origin)),
    }),
    ...(validationSecret && { validationSecret: resolveSecret(validationSecret, origin) }),
  };
}

function resolveSecret(reference: SecretReference, origin: ResourceOrigin | undefined): SecretReference {
  if (reference.source?.from.type !== "self") return reference;
  return { ...reference, source: resolveSelf(reference.source, origin) };
}

function saysSelf(filter: NetworkFilterConfig): boolean {
  if (filter.type !== "http-connection-manager") return false;
  const { routes, httpFilters, upgradeConfigs } = filter.config;
  if (routes.type === "rds" && routes.source?.from.type === "self") return true;
  return [...httpFilters, ...upgradeConfigs.flatMap(({ filters = [] }) => filters)].some(
    ({ discovery }) => discovery?.source?.from.type === "self",
  );
}

function resolveFilter(filter: NetworkFilterConfig, origin: ResourceOrigin | undefined): NetworkFilterConfig {
  if (filter.type !== "http-connection-manager") return filter;
  const { routes, httpFilters, upgradeConfigs } = filter.config;
  const resolve = (filters: readonly HttpFilterConfig[]): readonly HttpFilterConfig[] =>
    filters.map((one) =>
      one.discovery?.source === undefined
        ? one
        : { ...one, discovery: { ...one.discovery, source: resolveSelf(one.discovery.source, origin) } },
    );
  return {
    ...filter,
    config: {
      ...filter.config,
      routes:
        routes.type === "rds" && routes.source !== undefined
          ? { ...routes, source: resolveSelf(routes.source, origin) }
          : routes,
      httpFilters: resolve(httpFilters),
      upgradeConfigs: upgradeConfigs.map((upgrade) =>
        upgrade.filters === undefined ? upgrade : { ...upgrade, filters: resolve(upgrade.filters) },
      ),
    },
  };
}
