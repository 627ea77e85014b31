import type { Json } from "@heddle/base";
import type { HttpFilterType } from "@heddle/filter";
import { fieldOf } from "@heddle/proto";
import type { HttpFilterConfig, PerFilterConfig, TypedConfig } from "@heddle/traffic";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import { checkClasses, Fields } from "./fields.ts";
import { HARMLESS_EXTENSIONS } from "./honoured.ts";
import { anyJson, type Extension, openAny } from "./typed-config.ts";

/** What decoding asks of a kind of HTTP filter. */
export type HttpFilterReader = Pick<
  HttpFilterType,
  "name" | "configType" | "routeConfigType" | "terminal" | "parse" | "parseRoute"
>;

/**
 * The kinds of HTTP filters that exist where the resource will be used, by the type of their configuration.
 *
 * "unchecked" takes every filter unread: for a control plane that hands a resource on to proxies that are not ours.
 */
export type HttpFilterRegistry = ReadonlyMap<string, HttpFilterReader> | "unchecked";

/** A registry of these kinds. */
export function httpFilterRegistry(types: Iterable<HttpFilterReader>): ReadonlyMap<string, HttpFilterReader> {
  return new Map([...types].map((type) => [type.configType, type]));
}

const FILTER_CONFIG = "envoy.config.route.v3.FilterConfig";

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
      const isTerminal = registry.get(config.config.type)?.terminal === true;
      const isLast = index === filters.length - 1;
      if (isTerminal && !isLast) filter.fail("", "ends the chain, so it has to be the last filter");
      if (isLast && !isTerminal) filter.fail("", "cannot be the last filter; the chain has to end with the router");
    }
    if (filters.length === 0) fields.fail(field, "holds no filter; the chain has to end with the router");
  }
  return filters.map(({ config }) => config);
}

function decodeFilterConfig(filter: Fields, name: string, registry: HttpFilterRegistry): HttpFilterConfig | undefined {
  const any = filter.raw("typed_config");
  const optional = filter.flag("is_optional");
  if (any === undefined) {
    filter.fail("typed_config", "must be set");
    return undefined;
  }
  const path = filter.at("typed_config");
  const extension = openAny(any, path, filter.findings);
  if (extension === undefined) return undefined;
  const disabled = filter.flag("disabled");
  const config = toTypedConfig(name, extension);
  if (registry === "unchecked") return { name, config, disabled };

  const type = registry.get(extension.type);
  if (type === undefined) {
    leaveOut(filter.findings, path, extension, optional);
    return undefined;
  }
  if (extension.message !== undefined) checkClasses(extension.type, extension.message, path, filter.findings);
  const parsed = type.parse(config.config);
  if (!parsed.ok) for (const issue of parsed.error) filter.findings.error(join(path, issue.path), issue.message);
  return { name, config, disabled };
}

/** `typed_per_filter_config`: filter name to an Any that is a `FilterConfig`, or the filter's own message. */
export function decodePerFilterConfig(fields: Fields, registry: HttpFilterRegistry): PerFilterConfig {
  const entries = fields.rawMap("typed_per_filter_config").flatMap(([name, any, path]) => {
    const extension = openAny(any, path, fields.findings);
    if (extension === undefined) return [];
    const entry =
      extension.type === FILTER_CONFIG && extension.message !== undefined
        ? decodeWrapped(new Fields(FILTER_CONFIG, extension.message, path, fields.findings), name, registry)
        : decodeRouteConfig(fields, extension, name, path, false, false, registry);
    return entry === undefined ? [] : [[name, entry] as const];
  });
  return Object.fromEntries(entries);
}

function decodeWrapped(
  wrapper: Fields,
  name: string,
  registry: HttpFilterRegistry,
): PerFilterConfig[string] | undefined {
  const disabled = wrapper.flag("disabled");
  const any = wrapper.raw("config");
  // An Any without a type is what `config: {}` gives: nothing but the flag was meant.
  if (any === undefined || fieldOf(any, "type_url") === undefined) return { disabled, config: undefined };
  const path = wrapper.at("config");
  const extension = openAny(any, path, wrapper.findings);
  if (extension === undefined) return undefined;
  return decodeRouteConfig(wrapper, extension, name, path, wrapper.flag("is_optional"), disabled, registry);
}

function decodeRouteConfig(
  fields: Fields,
  extension: Extension,
  name: string,
  path: string,
  optional: boolean,
  disabled: boolean,
  registry: HttpFilterRegistry,
): PerFilterConfig[string] | undefined {
  const config = toTypedConfig(name, extension);
  if (registry === "unchecked") return { disabled, config };
  const type = [...registry.values()].find((candidate) => readsRouteConfig(candidate, extension.type));
  if (type?.parseRoute === undefined) {
    leaveOut(fields.findings, path, extension, optional);
    return disabled ? { disabled, config: undefined } : undefined;
  }
  const parsed = type.parseRoute(config.config);
  if (!parsed.ok) for (const issue of parsed.error) fields.findings.error(join(path, issue.path), issue.message);
  return { disabled, config };
}

function readsRouteConfig(type: HttpFilterReader, message: string): boolean {
  return type.parseRoute !== undefined && (type.routeConfigType ?? type.configType) === message;
}

/** A filter that we do not have: left out if it may be, else the resource cannot be used. */
function leaveOut(findings: Fields["findings"], path: string, extension: Extension, optional: boolean): void {
  const harmless = HARMLESS_EXTENSIONS.get(extension.type);
  if (harmless !== undefined) findings.report(path, harmless);
  else if (optional) findings.report(path, `there is no filter ${extension.type}; it is optional and left out`);
  else findings.error(path, `there is no filter ${extension.type}, and it is not marked is_optional`);
}

function toTypedConfig(name: string, extension: Extension): TypedConfig {
  return { name, type: extension.type, config: extension.config ?? null };
}

function join(path: string, inner: string): string {
  if (inner === "") return path;
  return inner.startsWith("[") ? path + inner : `${path}.${inner}`;
}

export function encodeHttpFilters(filters: readonly HttpFilterConfig[]): readonly LooseJsonObject[] | undefined {
  return list(
    filters.map((filter) => ({
      name: filter.name,
      typed_config: anyJson(filter.config),
      disabled: unless(false, filter.disabled),
    })),
  );
}

export function encodePerFilterConfig(config: PerFilterConfig): LooseJsonObject | undefined {
  const entries = Object.entries(config);
  if (entries.length === 0) return undefined;
  const wrap = (entry: PerFilterConfig[string]): Json | LooseJsonObject =>
    entry.config !== undefined && !entry.disabled
      ? anyJson(entry.config)
      : {
          "@type": `type.googleapis.com/${FILTER_CONFIG}`,
          config: entry.config && anyJson(entry.config),
          disabled: unless(false, entry.disabled),
        };
  return Object.fromEntries(entries.map(([name, entry]) => [name, wrap(entry)])) as LooseJsonObject;
}
