import type { Json } from "@heddle/base";
import { fieldOf, type Message } from "@heddle/proto";
import type { PerFilterConfig } from "@heddle/traffic";
import { type LooseJsonObject, unless } from "./encode.ts";
import { checkClasses, Fields, type Findings } from "./fields.ts";
import { type HttpFilterReader, type HttpFilterRegistry, leaveOut, reportIssues } from "./filter-config.ts";
import { anyJson, openAny, toTypedConfig } from "./typed-config.ts";

const FILTER_CONFIG = "envoy.config.route.v3.FilterConfig";

type Entry = PerFilterConfig[string];

/** Where a filter's configuration stands, and what the `FilterConfig` around it said. */
interface Place {
  readonly filterName: string;
  readonly path: string;
  readonly wrapped: boolean;
  readonly optional: boolean;
  readonly disabled: boolean;
}

/** `typed_per_filter_config`: filter name to an Any that is a `FilterConfig`, or the filter's own message. */
export function decodePerFilterConfig(fields: Fields, registry: HttpFilterRegistry): PerFilterConfig {
  const entries = fields.rawMap("typed_per_filter_config").flatMap(([filterName, any, path]) => {
    const place = { filterName, path, wrapped: false, optional: false, disabled: false };
    const entry = decodeEntry(any, place, fields.findings, registry);
    return entry === undefined ? [] : [[filterName, entry] as const];
  });
  return Object.fromEntries(entries);
}

function decodeEntry(any: Message, place: Place, findings: Findings, registry: HttpFilterRegistry): Entry | undefined {
  const extension = openAny(any, place.path, findings);
  if (extension === undefined) return undefined;
  if (extension.type === FILTER_CONFIG && extension.message !== undefined && !place.wrapped) {
    return decodeWrapped(new Fields(FILTER_CONFIG, extension.message, place.path, findings), place, registry);
  }
  const { disabled } = place;
  const config = toTypedConfig(place.filterName, extension);
  if (registry === "unchecked") return { disabled, config };

  const type = [...registry.values()].find((candidate) => readsRouteConfig(candidate, extension.type));
  if (type?.parseRoute === undefined) {
    leaveOut(findings, place.path, extension, place.optional);
    return disabled ? { disabled, config: undefined } : undefined;
  }
  if (extension.message !== undefined) checkClasses(extension.type, extension.message, place.path, findings);
  const parsed = type.parseRoute(config.config);
  if (!parsed.ok) reportIssues(parsed.error, place.path, findings);
  return { disabled, config };
}

function decodeWrapped(wrapper: Fields, place: Place, registry: HttpFilterRegistry): Entry | undefined {
  const disabled = wrapper.flag("disabled");
  const optional = wrapper.flag("is_optional");
  const any = wrapper.raw("config");
  // An Any without a type is what `config: {}` gives: nothing but the flag was meant.
  if (any === undefined || fieldOf(any, "type_url") === undefined) return { disabled, config: undefined };
  const inner = { ...place, path: wrapper.at("config"), wrapped: true, optional, disabled };
  return decodeEntry(any, inner, wrapper.findings, registry);
}

function readsRouteConfig(type: HttpFilterReader, message: string): boolean {
  return type.parseRoute !== undefined && (type.routeConfigType ?? type.configType) === message;
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
