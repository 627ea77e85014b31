import {
  type ChainPlace,
  FilterChain,
  type FilterContext,
  type HttpFilterFactory,
  type HttpFilterRegistry,
  type HttpFilterType,
} from "@heddle/filter";
import type { HttpFilterConfig } from "@heddle/traffic";

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
  const places: ChainPlace[] = [];
  let terminal: HttpFilterFactory | undefined;
  for (const config of configs) {
    if (terminal !== undefined) throw new Error(`HTTP filter "${config.name}" stands behind the terminal filter`);
    const type = registry.get(config.config.type);
    if (type === undefined) {
      const known = registry.configTypes.join(", ");
      throw new Error(`HTTP filter "${config.name}": unknown type ${config.config.type}; known are ${known}`);
    }
    const factory = makeFactory(config, type, contextOf(config.name));
    if (type.terminal === true) terminal = factory;
    else places.push({ name: config.name, factory, disabled: config.disabled, type });
  }
  if (terminal === undefined) throw new Error("the last HTTP filter must be a terminal one, such as the router");
  return new FilterChain(places, terminal, bufferLimitBytes);
}

function makeFactory(
  { name, config }: HttpFilterConfig,
  type: HttpFilterType,
  context: FilterContext,
): HttpFilterFactory {
  const parsed = type.parse(config.config);
  if (parsed.ok) return type.create(parsed.value, context);
  const issues = parsed.error.map(({ path, message }) => `${path}: ${message}`).join("; ");
  throw new Error(`HTTP filter "${name}": ${issues}`);
}
