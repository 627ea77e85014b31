import { type HttpFilterConfig, MISSING_CONFIG_TYPE, missingConfig, type TypedConfig } from "@heddle/traffic";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import { decodeDiscovery, encodeDiscovery } from "./extension-config.ts";
import type { Fields } from "./fields.ts";
import { type HttpFilterReader, type HttpFilterRegistry, readFilterConfig } from "./filter-config.ts";
import { anyJson } from "./typed-config.ts";

/** A list of `HttpFilter`: every one known, and exactly the last one terminal (the router). */
export function decodeHttpFilters(
  fields: Fields,
  field: string,
  registry: HttpFilterRegistry,
): readonly HttpFilterConfig[] {
  const errorsBefore = fields.findings.errorCount;
  const filters = fields.messages(field).flatMap((filter) => {
    const name = filter.text("name");
    const config = decodeFilterConfig(filter, name, registry);
    return config === undefined ? [] : [{ filter, config }];
  });
  // The order says nothing as long as a filter is missing for another reason.
  if (registry !== "unchecked" && fields.findings.errorCount === errorsBefore) {
    for (const [index, { filter, config }] of filters.entries()) {
      const isTerminal = isTerminalFilter(config, filter, registry);
      const isLast = index === filters.length - 1;
      if (isTerminal && !isLast) filter.fail("", "ends the chain, so it has to be the last filter");
      if (isLast && !isTerminal) filter.fail("", "cannot be the last filter; the chain has to end with the router");
    }
    if (filters.length === 0) fields.fail(field, "holds no filter; the chain has to end with the router");
  }
  return filters.map(({ config }) => config);
}

function decodeFilterConfig(filter: Fields, name: string, registry: HttpFilterRegistry): HttpFilterConfig | undefined {
  const optional = filter.flag("is_optional");
  const disabled = filter.flag("disabled");
  const discovery = filter.message("config_discovery");
  if (discovery !== undefined) {
    const discovered = decodeDiscovery(discovery, name, optional, {
      knows: (type) => registry === "unchecked" || registry.has(type),
      read: (fields, field) => readFilterConfig(fields, field, name, false, registry),
    });
    return discovered && { name, disabled, ...discovered, config: discovered.config ?? missingConfig(name) };
  }
  const config = readFilterConfig(filter, "typed_config", name, optional, registry);
  return config && { name, config, disabled };
}

/** Of a filter whose configuration is yet to come, what may come has to agree. */
function isTerminalFilter(
  { config, discovery }: HttpFilterConfig,
  filter: Fields,
  registry: ReadonlyMap<string, HttpFilterReader>,
): boolean {
  const types = discovery?.types ?? [config.type];
  const terminal = types.filter((type) => registry.get(type)?.terminal === true);
  if (terminal.length > 0 && terminal.length < types.length)
    filter.fail("config_discovery.type_urls", "holds types that end the chain and types that do not");
  return terminal.length > 0;
}

function defaultOf(config: TypedConfig): ReturnType<typeof anyJson> | undefined {
  return config.type === MISSING_CONFIG_TYPE ? undefined : anyJson(config);
}

export function encodeHttpFilters(filters: readonly HttpFilterConfig[]): readonly LooseJsonObject[] | undefined {
  return list(
    filters.map((filter) => ({
      name: filter.name,
      ...(filter.discovery === undefined
        ? { typed_config: anyJson(filter.config) }
        : { config_discovery: encodeDiscovery(filter.discovery, defaultOf(filter.config)) }),
      is_optional: filter.optional,
      disabled: unless(false, filter.disabled),
    })),
  );
}
