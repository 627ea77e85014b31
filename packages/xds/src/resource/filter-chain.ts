import type { FilterChainConfig, FilterChainMatch, NetworkFilterConfig } from "@heddle/traffic";
import { decodeCidr, encodeCidr } from "./address.ts";
import { durationUnless, type LooseJsonObject, list, unless } from "./encode.ts";
import { Fields } from "./fields.ts";
import { HARMLESS_EXTENSIONS } from "./honoured.ts";
import {
  decodeHttpConnectionManager,
  encodeHttpConnectionManager,
  HTTP_CONNECTION_MANAGER,
} from "./http-connection-manager.ts";
import type { HttpFilterRegistry } from "./http-filters.ts";
import { requirePlaintext } from "./transport-socket.ts";
import { anyJson, openAny, toTypedConfig } from "./typed-config.ts";

/** What exists where a listener will be used. */
export interface ListenerOptions {
  readonly httpFilters: HttpFilterRegistry;
  /** Types of network filters besides the HTTP connection manager. None where it is not given. */
  readonly networkFilters?: ReadonlySet<string>;
}

/** What a chain without `filter_chain_match` matches, and one with an empty one: everything. */
export const MATCH_ALL: FilterChainMatch = {
  destinationPort: undefined,
  prefixRanges: [],
  directSourcePrefixRanges: [],
  sourceType: "ANY",
  sourcePrefixRanges: [],
  sourcePorts: [],
  serverNames: [],
  transportProtocol: "",
  applicationProtocols: [],
};

/** `envoy.config.listener.v3.FilterChain`. */
export function decodeFilterChain(fields: Fields, options: ListenerOptions): FilterChainConfig {
  requirePlaintext(fields);
  const match = fields.message("filter_chain_match");
  const errorsBefore = fields.findings.errorCount;
  const filters = fields.messages("filters").flatMap((filter) => decodeNetworkFilter(filter, options));
  const allRead = fields.findings.errorCount === errorsBefore;
  if (filters.length === 0 && allRead) fields.fail("filters", "holds no filter; every connection would be closed");
  for (const [index, { type, name }] of filters.entries()) {
    if (type === "http-connection-manager" && index < filters.length - 1) {
      fields.fail("filters", `"${name}" ends the chain, so it has to be the last filter`);
    }
  }
  return {
    name: fields.text("name"),
    match: match && decodeMatch(match),
    filters,
    transportSocketConnectTimeoutMs: fields.durationMs("transport_socket_connect_timeout", 0),
  };
}

function decodeNetworkFilter(fields: Fields, options: ListenerOptions): NetworkFilterConfig[] {
  const name = fields.text("name");
  const any = fields.raw("typed_config");
  if (any === undefined) {
    fields.fail("typed_config", "must be set");
    return [];
  }
  const path = fields.at("typed_config");
  const extension = openAny(any, path, fields.findings);
  if (extension === undefined) return [];
  if (extension.type === HTTP_CONNECTION_MANAGER && extension.message !== undefined) {
    const manager = new Fields(HTTP_CONNECTION_MANAGER, extension.message, path, fields.findings);
    return [
      { type: "http-connection-manager", name, config: decodeHttpConnectionManager(manager, options.httpFilters) },
    ];
  }
  if (options.httpFilters === "unchecked" || options.networkFilters?.has(extension.type) === true) {
    return [{ type: "extension", name, config: toTypedConfig(name, extension) }];
  }
  const harmless = HARMLESS_EXTENSIONS.get(extension.type);
  if (harmless === undefined) fields.fail("typed_config", `there is no network filter ${extension.type}`);
  else fields.report("typed_config", harmless);
  return [];
}

/** `envoy.config.listener.v3.FilterChainMatch`. */
function decodeMatch(fields: Fields): FilterChainMatch {
  return {
    destinationPort: fields.wrappedNumber("destination_port", undefined),
    prefixRanges: fields.messages("prefix_ranges").map(decodeCidr),
    directSourcePrefixRanges: fields.messages("direct_source_prefix_ranges").map(decodeCidr),
    sourceType: fields.enumName("source_type") as FilterChainMatch["sourceType"],
    sourcePrefixRanges: fields.messages("source_prefix_ranges").map(decodeCidr),
    sourcePorts: fields.numbers("source_ports"),
    serverNames: [],
    transportProtocol: decodeTransportProtocol(fields),
    applicationProtocols: [],
  };
}

// Without TLS every connection is "raw_buffer", as in Envoy without an inspector.
function decodeTransportProtocol(fields: Fields): string {
  const protocol = fields.text("transport_protocol");
  if (protocol !== "" && protocol !== "raw_buffer") {
    fields.fail("transport_protocol", `found ${JSON.stringify(protocol)}, supported yet is "raw_buffer"`);
  }
  return protocol;
}

export function encodeFilterChain(chain: FilterChainConfig): LooseJsonObject {
  return {
    name: unless("", chain.name),
    filter_chain_match: chain.match && encodeMatch(chain.match),
    filters: chain.filters.map(encodeNetworkFilter),
    transport_socket_connect_timeout: durationUnless(0, chain.transportSocketConnectTimeoutMs),
  };
}

function encodeNetworkFilter(filter: NetworkFilterConfig): LooseJsonObject {
  if (filter.type === "extension") return { name: filter.name, typed_config: anyJson(filter.config) };
  return {
    name: filter.name,
    typed_config: {
      "@type": `type.googleapis.com/${HTTP_CONNECTION_MANAGER}`,
      ...encodeHttpConnectionManager(filter.config),
    },
  };
}

function encodeMatch(match: FilterChainMatch): LooseJsonObject {
  return {
    destination_port: match.destinationPort,
    prefix_ranges: list(match.prefixRanges.map(encodeCidr)),
    direct_source_prefix_ranges: list(match.directSourcePrefixRanges.map(encodeCidr)),
    source_type: unless("ANY", match.sourceType),
    source_prefix_ranges: list(match.sourcePrefixRanges.map(encodeCidr)),
    source_ports: list(match.sourcePorts),
    server_names: list(match.serverNames),
    transport_protocol: unless("", match.transportProtocol),
    application_protocols: list(match.applicationProtocols),
  };
}
