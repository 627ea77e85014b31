import type { FilterChainConfig, ListenerFilterConfig, ListenerFilterMatch } from "@heddle/traffic";
import { duration, type LooseJsonObject, list, unless } from "./encode.ts";
import { type DiscoveredKind, decodeDiscovery, encodeDiscovery } from "./extension-config.ts";
import { Fields } from "./fields.ts";
import type { ListenerOptions } from "./network-filter.ts";
import { decodeProxyProtocol, encodeProxyProtocol, PROXY_PROTOCOL } from "./proxy-protocol.ts";
import { anyJson, openAny } from "./typed-config.ts";

/* `envoy.config.listener.v3.ListenerFilter`: what looks at a connection before a filter chain is chosen. */

/** None: it cannot be read, which has been reported. */
export function decodeListenerFilter(fields: Fields, options: ListenerOptions): ListenerFilterConfig[] {
  const name = fields.text("name");
  const discovery = fields.message("config_discovery");
  const filter =
    discovery === undefined
      ? decodeKind(fields, "typed_config", name, options)
      : decodeDiscovered(discovery, name, options);
  const exception = fields.message("filter_disabled");
  const disabled = exception && decodeMatch(exception);
  return filter === undefined ? [] : [{ ...filter, ...(disabled && { disabled }) }];
}

/** As it is read wherever its configuration stands. */
export function listenerFilterKind(options: ListenerOptions): DiscoveredKind<ListenerFilterConfig> {
  return {
    knows: (type) => KNOWN.includes(type) && type !== SERVER_FIRST, // which a listener asks for before it has any connection
    read: (fields, field, name) => decodeKind(fields, field, name, options),
  };
}

function decodeDiscovered(fields: Fields, name: string, options: ListenerOptions): ListenerFilterConfig | undefined {
  const found = decodeDiscovery(fields, name, false, listenerFilterKind(options));
  return (
    found && { type: "discovered", name, discovered: found.discovery, ...(found.config && { fallback: found.config }) }
  );
}

function decodeKind(
  fields: Fields,
  field: "typed_config" | "default_config",
  name: string,
  options: ListenerOptions,
): ListenerFilterConfig | undefined {
  const any = fields.raw(field);
  const extension = any && openAny(any, fields.at(field), fields.findings);
  if (any === undefined) fields.fail(field, "must be set");
  if (extension === undefined) return undefined;
  const { type, message } = extension;
  if (message === undefined || !KNOWN.includes(type)) {
    fields.fail(field, `there is no listener filter ${type}`);
    return undefined;
  }
  const asksKernel = type === ORIGINAL_DST || type === ORIGINAL_SRC;
  if (asksKernel && options.withoutSocketOptions === true) fields.fail(field, NO_SOCKET_OPTIONS);
  const config = new Fields(type, message, fields.at(field), fields.findings);
  switch (type) {
    case PROXY_PROTOCOL:
      return { type: "proxy-protocol", name, config: decodeProxyProtocol(config) };
    case TLS_INSPECTOR:
      return { type: "tls-inspector", name, maxClientHelloBytes: MAX_CLIENT_HELLO_BYTES };
    case HTTP_INSPECTOR:
      return { type: "http-inspector", name };
    case SERVER_FIRST:
      return { type: "server-first", name, afterMs: config.durationMs("after", SERVER_FIRST_AFTER_MS) };
    case ORIGINAL_DST:
      return { type: "original-dst", name };
    default:
      return { type: "original-src", name, mark: config.number("mark") };
  }
}

/** As messages nest, so does this; protobuf's own limit is what ends it. */
function decodeMatch(fields: Fields): ListenerFilterMatch {
  if (fields.flag("any_match")) return { type: "any" };
  const not = fields.message("not_match");
  if (not !== undefined) return { type: "not", rule: decodeMatch(not) };
  const and = fields.message("and_match");
  if (and !== undefined) return { type: "and", rules: and.messages("rules").map(decodeMatch) };
  const or = fields.message("or_match");
  if (or !== undefined) return { type: "or", rules: or.messages("rules").map(decodeMatch) };
  const range = fields.message("destination_port_range"); // validation wants one of them
  return { type: "destination-port", start: range?.number("start") ?? 0, end: range?.number("end") ?? 0 };
}

export function encodeListenerFilter(filter: ListenerFilterConfig): LooseJsonObject {
  const { name, disabled } = filter;
  return { name, ...encodeWhole(filter), filter_disabled: disabled && encodeMatch(disabled) };
}

function encodeWhole(filter: ListenerFilterConfig): LooseJsonObject {
  if (filter.type === "missing") return {};
  if (filter.type !== "discovered") return { typed_config: encodeConfig(filter) };
  const { discovered, fallback } = filter;
  return {
    config_discovery: discovered && encodeDiscovery(discovered, fallback && encodeWhole(fallback)["typed_config"]),
  };
}

function encodeConfig(
  filter: Exclude<ListenerFilterConfig, { readonly type: "discovered" | "missing" }>,
): LooseJsonObject {
  switch (filter.type) {
    case "proxy-protocol":
      return { ...ofType(PROXY_PROTOCOL), ...encodeProxyProtocol(filter.config) };
    case "tls-inspector":
      return ofType(TLS_INSPECTOR);
    case "http-inspector":
      return ofType(HTTP_INSPECTOR);
    case "original-dst":
      return ofType(ORIGINAL_DST);
    case "original-src":
      return { ...ofType(ORIGINAL_SRC), mark: unless(0, filter.mark) };
    case "server-first":
      return anyJson({
        name: filter.name,
        type: SERVER_FIRST,
        config: serverFirstJson(filter.afterMs),
      }) as LooseJsonObject;
    case "extension":
      return anyJson(filter.config) as LooseJsonObject;
    default:
      throw new Error(`unknown listener filter ${JSON.stringify(filter satisfies never)}`);
  }
}

/** As a TypedStruct, like all that is ours: see `anyJson`. */
function serverFirstJson(afterMs: number): { readonly [field: string]: string } {
  return afterMs === SERVER_FIRST_AFTER_MS ? {} : { after: duration(afterMs) };
}

function ofType(type: string): LooseJsonObject {
  return { "@type": `type.googleapis.com/${type}` };
}

function encodeMatch(match: ListenerFilterMatch): LooseJsonObject {
  switch (match.type) {
    case "any":
      return { any_match: true };
    case "not":
      return { not_match: encodeMatch(match.rule) };
    case "and":
    case "or":
      return { [`${match.type}_match`]: { rules: list(match.rules.map(encodeMatch)) } };
    case "destination-port":
      return { destination_port_range: { start: unless(0, match.start), end: unless(0, match.end) } };
    default:
      throw new Error(`unknown match ${JSON.stringify(match satisfies never)}`);
  }
}

/**
 * As in Envoy a chain that asks what the client's TLS says gets its inspector, whoever forgot it: no connection could match
 * otherwise.
 */
export function withInspector(filters: readonly ListenerFilterConfig[], chains: readonly FilterChainConfig[]) {
  if (filters.some(mayInspect) || !chains.some(asksForTls)) return filters;
  return [...filters, ADDED_INSPECTOR];
}

function mayInspect({ type, discovered }: ListenerFilterConfig): boolean {
  return type === "tls-inspector" || discovered?.types.includes(TLS_INSPECTOR) === true;
}

function asksForTls({ match }: FilterChainConfig): boolean {
  if (match === undefined) return false;
  if (match.transportProtocol === "tls") return true;
  if (match.transportProtocol !== "") return false;
  return match.serverNames.length > 0 || match.applicationProtocols.length > 0;
}

export const NO_SOCKET_OPTIONS = "needs options of sockets, which need Linux and the package koffi; they are not there";

const TLS_INSPECTOR = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
const HTTP_INSPECTOR = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";
const ORIGINAL_DST = "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
const ORIGINAL_SRC = "envoy.extensions.filters.listener.original_src.v3.OriginalSrc";
const SERVER_FIRST = "heddle.filters.listener.v1.ServerFirst";
const KNOWN: readonly string[] = [
  PROXY_PROTOCOL,
  TLS_INSPECTOR,
  HTTP_INSPECTOR,
  ORIGINAL_DST,
  ORIGINAL_SRC,
  SERVER_FIRST,
];
/** Our default, by the comment of the proto. */
const SERVER_FIRST_AFTER_MS = 10;
/** Envoy's TLS_MAX_CLIENT_HELLO. */
const MAX_CLIENT_HELLO_BYTES = 16 * 1024;
const ADDED_INSPECTOR: ListenerFilterConfig = {
  type: "tls-inspector",
  name: "envoy.filters.listener.tls_inspector",
  maxClientHelloBytes: MAX_CLIENT_HELLO_BYTES,
};
