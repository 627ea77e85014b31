import { isJsonObject } from "@heddle/base";
import type { ConfigIssue, HttpFilterType } from "@heddle/filter";
import { unknownFields } from "@heddle/proto";
import type { TypedConfig } from "@heddle/traffic";
import { checkClasses, type Fields, type Findings } from "./fields.ts";
import { HARMLESS_EXTENSIONS, HARMLESS_WHEN_EMPTY } from "./honoured.ts";
import { type Extension, openAny, toTypedConfig } from "./typed-config.ts";

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

/** The filter's configuration in the Any of that field. Undefined: it is left out, or cannot be read, and an error says why. */
export function readFilterConfig(
  fields: Fields,
  field: string,
  name: string,
  optional: boolean,
  registry: HttpFilterRegistry,
): TypedConfig | undefined {
  const any = fields.raw(field);
  if (any === undefined) {
    fields.fail(field, "must be set");
    return undefined;
  }
  const path = fields.at(field);
  const extension = openAny(any, path, fields.findings);
  if (extension === undefined) return undefined;
  const config = toTypedConfig(name, extension);
  if (registry === "unchecked") return config;

  const type = registry.get(extension.type);
  if (type === undefined) {
    leaveOut(fields.findings, path, extension, optional);
    return undefined;
  }
  if (extension.message !== undefined) checkClasses(extension.type, extension.message, path, fields.findings);
  const parsed = type.parse(config.config);
  if (!parsed.ok) reportIssues(parsed.error, path, fields.findings);
  return config;
}

/** A filter that we do not have: left out if it may be, else the resource cannot be used. */
export function leaveOut(
  findings: Findings,
  path: string,
  { type, message, config }: Extension,
  optional: boolean,
): void {
  // JSON does not show what a newer message may say.
  const saysMore = message !== undefined && unknownFields(message).size > 0;
  const isEmpty = isJsonObject(config) && Object.keys(config).length === 0 && !saysMore;
  const harmless = HARMLESS_EXTENSIONS.get(type) ?? (isEmpty ? HARMLESS_WHEN_EMPTY.get(type) : undefined);
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
