import type { FilterChainConfig, FilterChainMatch } from "@heddle/traffic";
import { decodeCidr, encodeCidr } from "./address.ts";
import { durationUnless, type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";
import { decodeNetworkFilters, encodeNetworkFilter, type ListenerOptions } from "./network-filter.ts";
import { decodeDownstreamTransport, encodeDownstreamTransport } from "./transport-socket.ts";

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
  const tls = decodeDownstreamTransport(fields, options.data);
  const match = fields.message("filter_chain_match");
  return {
    name: fields.text("name"),
    match: match && decodeMatch(match),
    filters: decodeNetworkFilters(fields, options),
    ...(tls && { tls }),
    transportSocketConnectTimeoutMs: fields.durationMs("transport_socket_connect_timeout", 0),
  };
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
    serverNames: decodeServerNames(fields),
    transportProtocol: decodeTransportProtocol(fields),
    applicationProtocols: fields.texts("application_protocols"),
  };
}

/** A wildcard stands for whole labels, and for nothing else, as in Envoy. An empty name alone is any, as in Envoy (Consul sends it). */
function decodeServerNames(fields: Fields): readonly string[] {
  const names = fields.texts("server_names");
  if (names.length === 1 && names[0] === "") return [];
  for (const [index, name] of names.entries()) {
    if (name === "" || (name.startsWith("*.") ? name.slice(2) : name).includes("*") || name === "*.") {
      fields.fail(`server_names[${index}]`, `found ${JSON.stringify(name)}, allowed are names like "a.b" and "*.b"`);
    }
  }
  return names.map((name) => name.toLowerCase());
}

function decodeTransportProtocol(fields: Fields): string {
  const protocol = fields.text("transport_protocol");
  if (protocol !== "" && protocol !== "raw_buffer" && protocol !== "tls") {
    fields.fail("transport_protocol", `found ${JSON.stringify(protocol)}, supported are "tls" and "raw_buffer"`);
  }
  return protocol;
}

export function encodeFilterChain(chain: FilterChainConfig): LooseJsonObject {
  return {
    name: unless("", chain.name),
    filter_chain_match: chain.match && encodeMatch(chain.match),
    filters: chain.filters.map(encodeNetworkFilter),
    transport_socket: encodeDownstreamTransport(chain.tls),
    transport_socket_connect_timeout: durationUnless(0, chain.transportSocketConnectTimeoutMs),
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
