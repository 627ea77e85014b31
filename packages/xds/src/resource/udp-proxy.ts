import type { DnsFilterConfig, ListenerConfig, UdpListenerConfig, UdpProxyConfig } from "@heddle/traffic";
import { decodeAccessLogs, encodeAccessLogs } from "./access-log.ts";
import { DNS_FILTER, decodeDnsFilter, encodeDnsFilter } from "./dns-filter.ts";
import { durationUnless, type LooseJsonObject, unless } from "./encode.ts";
import { Fields } from "./fields.ts";
import { openAny } from "./typed-config.ts";

const UDP_PROXY = "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig";
const ROUTE = "envoy.extensions.filters.udp.udp_proxy.v3.Route";

// Envoy's defaults, by the comments of the proto.
const IDLE_TIMEOUT_MS = 60_000;
const MAX_DATAGRAM_BYTES = 1500;

/** Whether the listener's address asks for datagrams (`socket_address.protocol`). */
export function isUdp(listener: Fields): boolean {
  return listener.message("address")?.message("socket_address")?.enumName("protocol") === "UDP";
}

/** The UDP side of a listener: `udp_listener_config` and its one listener filter, a UDP proxy or a DNS filter. */
export function decodeUdpListener(listener: Fields): UdpListenerConfig | undefined {
  for (const [index, more] of listener.messages("additional_addresses").entries()) {
    if (isUdp(more)) continue;
    listener.fail(`additional_addresses[${index}].address`, "has to be one of UDP, as the listener's first address");
  }
  if (listener.messages("filter_chains").length > 0 || listener.has("default_filter_chain")) {
    listener.fail("filter_chains", "a UDP listener has no connections that they could serve");
  }
  const filters = listener.messages("listener_filters");
  const served = filters.flatMap(decodeFilter);
  if (filters.length !== 1) {
    const allowed = "allowed for UDP is exactly 1, a UDP proxy or a DNS filter";
    listener.fail("listener_filters", `found ${filters.length}, ${allowed}`);
  }
  const [one] = served;
  if (one === undefined) return undefined;
  const socket = listener.message("udp_listener_config")?.message("downstream_socket_config");
  const maxDatagramBytes = socket?.wrappedNumber("max_rx_datagram_size", undefined) ?? MAX_DATAGRAM_BYTES;
  return { maxDatagramBytes, ...one };
}

type Served = { readonly proxy: UdpProxyConfig } | { readonly dns: DnsFilterConfig };

function decodeFilter(filter: Fields): Served[] {
  const any = filter.raw("typed_config");
  const path = filter.at("typed_config");
  const extension = any && openAny(any, path, filter.findings);
  if (any === undefined) filter.fail("typed_config", "must be set");
  if (extension === undefined) return [];
  const { type, message } = extension;
  if (message !== undefined && type === UDP_PROXY)
    return [{ proxy: decodeProxy(new Fields(type, message, path, filter.findings)) }];
  if (message !== undefined && type === DNS_FILTER)
    return [{ dns: decodeDnsFilter(new Fields(type, message, path, filter.findings)) }];
  filter.fail("typed_config", `there is no UDP listener filter ${type}`);
  return [];
}

function decodeProxy(fields: Fields): UdpProxyConfig {
  const socket = fields.message("upstream_socket_config");
  return {
    statPrefix: fields.text("stat_prefix"),
    cluster: decodeCluster(fields),
    idleTimeoutMs: fields.durationMs("idle_timeout", IDLE_TIMEOUT_MS),
    maxUpstreamDatagramBytes: socket?.wrappedNumber("max_rx_datagram_size", undefined) ?? MAX_DATAGRAM_BYTES,
    perPacketLoadBalancing: fields.flag("use_per_packet_load_balancing"),
    accessLog: decodeAccessLogs(fields, "access_log"),
  };
}

/** Of a matcher only the action for everything is known (`on_no_match`). */
function decodeCluster(fields: Fields): string {
  const matcher = fields.message("matcher");
  if (matcher === undefined) return fields.text("cluster");
  for (const name of ["matcher_list", "matcher_tree"])
    if (matcher.has(name)) matcher.fail(name, "only on_no_match is supported here");
  const onNoMatch = matcher.message("on_no_match");
  if (onNoMatch?.has("matcher")) onNoMatch.fail("matcher", "only an action is supported here");
  if (onNoMatch?.flag("keep_matching")) onNoMatch.fail("keep_matching", "there is nothing else to match");
  const action = onNoMatch?.message("action");
  const any = action?.raw("typed_config");
  const path = action?.at("typed_config") ?? "";
  const extension = any && openAny(any, path, fields.findings);
  if (extension?.type === ROUTE && extension.message !== undefined) {
    return new Fields(ROUTE, extension.message, path, fields.findings).text("cluster");
  }
  fields.fail("matcher.on_no_match", "must have an action that is a UDP route");
  return "";
}

/** The fields of the listener that say so. */
export function encodeUdpListener(udp: UdpListenerConfig): LooseJsonObject {
  return {
    udp_listener_config: {
      downstream_socket_config: socketConfig(udp.maxDatagramBytes),
    },
    listener_filters: [
      udp.dns === undefined
        ? typedFilter("envoy.filters.udp_listener.udp_proxy", UDP_PROXY, encodeProxy(udp.proxy))
        : typedFilter("envoy.filters.udp.dns_filter", DNS_FILTER, encodeDnsFilter(udp.dns)),
    ],
  };
}

function typedFilter(name: string, type: string, config: LooseJsonObject): LooseJsonObject {
  return { name, typed_config: { "@type": `type.googleapis.com/${type}`, ...config } };
}

function encodeProxy(proxy: UdpProxyConfig): LooseJsonObject {
  const route = { name: "route", typed_config: { "@type": `type.googleapis.com/${ROUTE}`, cluster: proxy.cluster } };
  return {
    stat_prefix: proxy.statPrefix,
    matcher: { on_no_match: { action: route } },
    idle_timeout: durationUnless(IDLE_TIMEOUT_MS, proxy.idleTimeoutMs),
    upstream_socket_config: socketConfig(proxy.maxUpstreamDatagramBytes),
    use_per_packet_load_balancing: unless(false, proxy.perPacketLoadBalancing),
    access_log: encodeAccessLogs(proxy.accessLog),
  };
}

function socketConfig(bytes: number): LooseJsonObject | undefined {
  return bytes === MAX_DATAGRAM_BYTES ? undefined : { max_rx_datagram_size: String(bytes) };
}

/** The clusters that the listener names by its UDP proxy, or whose addresses its DNS filter answers with. */
export function udpClusters({ udp }: ListenerConfig): readonly string[] {
  if (udp?.dns === undefined) return udp === undefined ? [] : [udp.proxy.cluster];
  return udp.dns.domains.flatMap(({ cluster, services = [] }) => [
    ...(cluster === undefined ? [] : [cluster]),
    ...services.flatMap(({ targets }) => targets.flatMap((target) => target.cluster ?? [])),
  ]);
}
