import type { FilterChainConfig, ListenerConfig } from "./listener-config.ts";

/** Every filter chain of a listener, the default one last. */
export function filterChainsOf({ filterChains, defaultFilterChain }: ListenerConfig): readonly FilterChainConfig[] {
  return defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
}
