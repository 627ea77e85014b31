import { filterChainsOf, type ListenerConfig, type TypedConfig } from "@heddle/traffic";

/** The configurations of all HTTP filters that a listener names. */
export function filterConfigsOf(listener: ListenerConfig): readonly TypedConfig[] {
  return filterChainsOf(listener)
    .flatMap((chain) => chain.filters)
    .flatMap((filter) => (filter.type === "http-connection-manager" ? filter.config : []))
    .flatMap(({ httpFilters, upgradeConfigs }) => [
      ...httpFilters,
      ...upgradeConfigs.flatMap(({ filters }) => filters ?? []),
    ])
    .map(({ config }) => config);
}

/** The configurations of network filters that stand before the one that serves. */
export function gateConfigsOf(listener: ListenerConfig): readonly TypedConfig[] {
  return filterChainsOf(listener)
    .flatMap((chain) => chain.filters)
    .flatMap((filter) => (filter.type === "extension" ? [filter.config] : []));
}
