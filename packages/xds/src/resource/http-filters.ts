import type { ConfigIssue, HttpFilterType } from "@heddle/filter";
import type { HttpFilterConfig } from "@heddle/traffic";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import { checkClasses, type Fields, type Findings } from "./fields.ts";
import { HARMLESS_EXTENSIONS } from "./honoured.ts";
import { anyJson, openAny, toTypedConfig } from "./typed-config.ts";

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
    leaveOut(filter.findings, path, extension.type, optional);
    return undefined;
  }
  if (extension.message !== undefined) checkClasses(extension.type, extension.message, path, filter.findings);
  const parsed = type.parse(config.config);
  if (!parsed.ok) reportIssues(parsed.error, path, filter.findings);
  return { name, config, disabled };
}

/** A filter that we do not have: left out if it may be, else the resource cannot be used. */
export function leaveOut(findings: Findings, path: string, type: string, optional: boolean): void {
  const harmless = HARMLESS_EXTENSIONS.get(type);
  if (harmless !== undefined) findings.report(path, harmless);
  else if (optional) findings.report(path, `there is no filter ${type}; it is optional and left out`);
  else findings.error(path, `there is no filter ${type}, and it is not marked is_optional`);
}

/** What a filter says against its configuration, with the path of the configuration before it. */
export function reportIssues(issues: readonly ConfigIssue[], path: string, findings: Findings): void {
  for (const { path: inner, message } of issues) {
    findings.error(inner === "" || inner.startsWith("[") ? path + inner : `${path}.${inner}`, message);
  }
}

export function encodeHttpFilters(filters: readonly HttpFilterConfig[]): readonly LooseJsonObject[] | undefined {
  return list(
    filters.map((filter) => ({
      name: filter.name,
      typed_config: anyJson(filter.config),
      is_optional: filter.optional,
      disabled: unless(false, filter.disabled),
    })),
  );
}
