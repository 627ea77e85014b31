import { type ChainPlace, FilterChain, type FilterContext, type HttpFilterRegistry } from "@heddle/filter";
import type { HttpFilterConfig } from "@heddle/traffic";
import { type BuiltFilter, FilterBuilder, NO_EXTENSIONS } from "./filter-builder.ts";

/**
 * Builds the filters of a connection manager. Throws, naming the filter, on what validation refuses: an unknown type, a
 * bad configuration, a chain that does not end with its only terminal filter.
 */
export function buildFilterChain(
  configs: readonly HttpFilterConfig[],
  registry: HttpFilterRegistry,
  bufferLimitBytes: number,
  contextOf: (filterName: string) => FilterContext,
): FilterChain {
  const builder = new FilterBuilder(registry, contextOf);
  return joinFilterChain(
    configs,
    configs.map((config) => builder.build(config, NO_EXTENSIONS)),
    bufferLimitBytes,
  );
}

/** The chain of filters that have been built, in their order. Throws as above. */
export function joinFilterChain(
  configs: readonly HttpFilterConfig[],
  filters: readonly BuiltFilter[],
  bufferLimitBytes: number,
): FilterChain {
  const places: ChainPlace[] = [];
  let terminal: BuiltFilter | undefined;
  for (const [index, config] of configs.entries()) {
    if (terminal !== undefined) throw new Error(`HTTP filter "${config.name}" stands behind the terminal filter`);
    const filter = filters[index]!; // as many
    if (filter.terminal) terminal = filter;
    else places.push({ name: config.name, factory: filter.factory, disabled: config.disabled, type: filter.type });
  }
  if (terminal === undefined) throw new Error("the last HTTP filter must be a terminal one, such as the router");
  return new FilterChain(places, terminal.factory, bufferLimitBytes);
}
