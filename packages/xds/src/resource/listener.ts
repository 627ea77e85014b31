import { err, ok, type Result } from "@heddle/base";
import { decodeMessage, validate } from "@heddle/proto";
import type {
  Address,
  FilterChainConfig,
  HttpConnectionManagerConfig,
  ListenerConfig,
  NetworkFilterConfig,
} from "@heddle/traffic";
import { decodeAccessLogs, encodeAccessLogs } from "./access-log.ts";
import { decodeAddress, encodeAddress, requireIpAddress } from "./address.ts";
import { durationUnless, encodeJson, type LooseJsonObject, list, unless } from "./encode.ts";
import { Fields, Findings } from "./fields.ts";
import { decodeFilterChain, encodeFilterChain, MATCH_ALL } from "./filter-chain.ts";
import { encodeHttpConnectionManager, HTTP_CONNECTION_MANAGER } from "./http-connection-manager.ts";
import { decodeListenerFilter, encodeListenerFilter, NO_SOCKET_OPTIONS, withInspector } from "./listener-filter.ts";
import type { ListenerOptions } from "./network-filter.ts";
import type { Decoded, Reference, ResourceType } from "./resource-type.ts";
import { clusterReferences } from "./route-configuration.ts";
import { decodeUdpListener, encodeUdpListener, isUdp, udpClusters } from "./udp-proxy.ts";

const LISTENER = "envoy.config.listener.v3.Listener";
const BUFFER_LIMIT_BYTES = 1024 * 1024;
const LISTENER_FILTERS_TIMEOUT_MS = 15_000;

/** LDS. */
export function makeListenerType(options: ListenerOptions): ResourceType<ListenerConfig> {
  return {
    typeUrl: `type.googleapis.com/${LISTENER}`,
    kind: "listener",
    completeInSotw: true,
    decode: (bytes) => decode(bytes, options),
    encode: (config) => encodeJson(LISTENER, encodeListener(config)),
    nameOf: (config) => config.name,
    references,
  };
}

/**
 * A listener for clients that are no proxies (gRPC's `xds:///` names, A27): no address, the connection manager in
 * `api_listener`.
 */
export function encodeApiListener(name: string, manager: HttpConnectionManagerConfig): Uint8Array {
  const any = { "@type": `type.googleapis.com/${HTTP_CONNECTION_MANAGER}`, ...encodeHttpConnectionManager(manager) };
  return encodeJson(LISTENER, { name, api_listener: { api_listener: any } });
}

function decode(bytes: Uint8Array, options: ListenerOptions): Result<Decoded<ListenerConfig>, readonly string[]> {
  const message = decodeMessage(LISTENER, bytes);
  if (!message.ok) return err([message.error]);
  const findings = Findings.of(validate(LISTENER, message.value));
  const config = decodeListener(new Fields(LISTENER, message.value, "", findings), options);
  return findings.errors.length > 0 ? err(findings.errors) : ok({ config, unhonoured: findings.unhonoured });
}

function decodeListener(fields: Fields, options: ListenerOptions): ListenerConfig {
  const name = fields.text("name");
  if (name === "") fields.fail("name", "is empty, allowed is at least 1 character");
  const defaultChain = fields.message("default_filter_chain");
  // listener.proto: "the filter chain match is ignored in this field". Istio sends an empty one.
  const ignored = defaultChain?.message("filter_chain_match");
  if (ignored?.isEmpty === false) defaultChain?.report("filter_chain_match", "is ignored in the default chain");
  const takesDatagrams = isUdp(fields);
  const udp = takesDatagrams ? decodeUdpListener(fields) : undefined;
  const chains = takesDatagrams
    ? []
    : fields.messages("filter_chains").map((chain) => decodeFilterChain(chain, options));
  const listenerFilters = takesDatagrams
    ? []
    : fields.messages("listener_filters").flatMap((filter) => decodeListenerFilter(filter, options));
  const allFilters = withInspector(listenerFilters, chains);
  if (allFilters !== listenerFilters)
    fields.report("listener_filters", "tls_inspector is added, since a chain asks for what it finds");
  const config: ListenerConfig = {
    name,
    address: decodeListenAddress(fields),
    additionalAddresses: fields.messages("additional_addresses").map(decodeListenAddress),
    statPrefix: fields.text("stat_prefix"),
    filterChains: chains,
    defaultFilterChain: takesDatagrams ? undefined : defaultChain && decodeFilterChain(defaultChain, options),
    perConnectionBufferLimitBytes: fields.wrappedNumber("per_connection_buffer_limit_bytes", BUFFER_LIMIT_BYTES),
    listenerFiltersTimeoutMs: fields.durationMs("listener_filters_timeout", LISTENER_FILTERS_TIMEOUT_MS),
    continueOnListenerFiltersTimeout: fields.flag("continue_on_listener_filters_timeout"),
    listenerFilters: allFilters,
    ...(udp && { udp }),
    trafficDirection: fields.enumName("traffic_direction") as ListenerConfig["trafficDirection"],
    tcpBacklogSize: fields.wrappedNumber("tcp_backlog_size", undefined),
    reusePort: fields.wrappedFlag("enable_reuse_port", true),
    drainType: fields.enumName("drain_type") as ListenerConfig["drainType"],
    accessLog: decodeAccessLogs(fields, "access_log"),
    ...decodeSocketChoices(fields, options),
  };
  if (takesDatagrams) {
    for (const choice of ["useOriginalDst", "bindToPort", "transparent", "freebind"] as const)
      if (config[choice] !== undefined) fields.fail(SOCKET_CHOICES[choice], "is for TCP");
  } else {
    checkChains(config, fields);
    checkTcp(fields);
  }
  return config;
}

const SOCKET_CHOICES = {
  useOriginalDst: "use_original_dst",
  bindToPort: "bind_to_port",
  transparent: "transparent",
  freebind: "freebind",
} as const;

/** How its socket is made, and whether there is one. */
function decodeSocketChoices(
  fields: Fields,
  { withoutSocketOptions = false }: ListenerOptions,
): Pick<ListenerConfig, "useOriginalDst" | "bindToPort" | "transparent" | "freebind"> {
  for (const choice of ["use_original_dst", "transparent", "freebind"]) {
    if (withoutSocketOptions && fields.wrappedFlag(choice, false)) fields.fail(choice, NO_SOCKET_OPTIONS);
  }
  // As in Envoy either of the two can say it.
  const old = fields.message("deprecated_v1")?.wrappedFlag("bind_to_port", true) ?? true;
  return {
    ...(fields.wrappedFlag("use_original_dst", false) && { useOriginalDst: true }),
    ...(!(fields.wrappedFlag("bind_to_port", true) && old) && { bindToPort: false }),
    ...(fields.wrappedFlag("transparent", false) && { transparent: true }),
    ...(fields.wrappedFlag("freebind", false) && { freebind: true }),
  };
}

/** What belongs to UDP alone. */
function checkTcp(fields: Fields): void {
  if (fields.has("udp_listener_config")) fields.fail("udp_listener_config", "is only for addresses of protocol UDP");
  for (const [index, more] of fields.messages("additional_addresses").entries()) {
    if (isUdp(more))
      fields.fail(`additional_addresses[${index}].address`, "has to be one of TCP, as the first address");
  }
}

function decodeListenAddress(fields: Fields): Address {
  const address = decodeAddress(fields.message("address"));
  if (!fields.has("address")) fields.fail("address", "must be set");
  else requireIpAddress(address, fields.message("address") ?? fields);
  return address;
}

// Envoy refuses two chains that match the same: which one served would be chance.
function checkChains(config: ListenerConfig, fields: Fields): void {
  if (config.filterChains.length === 0 && config.defaultFilterChain === undefined) {
    fields.fail("filter_chains", "holds no chain, and there is no default_filter_chain");
  }
  const seen = new Map<string, number>();
  for (const [index, chain] of config.filterChains.entries()) {
    const key = JSON.stringify(chain.match ?? MATCH_ALL);
    const earlier = seen.get(key);
    if (earlier === undefined) seen.set(key, index);
    else fields.fail(`filter_chains[${index}].filter_chain_match`, `is the same as that of filter_chains[${earlier}]`);
  }
}

function encodeListener(config: ListenerConfig): LooseJsonObject {
  return {
    name: config.name,
    address: encodeListenAddress(config.address, config),
    additional_addresses: list(
      config.additionalAddresses.map((address) => ({ address: encodeListenAddress(address, config) })),
    ),
    stat_prefix: unless("", config.statPrefix),
    filter_chains: list(config.filterChains.map(encodeFilterChain)),
    default_filter_chain: config.defaultFilterChain && encodeFilterChain(config.defaultFilterChain),
    per_connection_buffer_limit_bytes: unless(BUFFER_LIMIT_BYTES, config.perConnectionBufferLimitBytes),
    listener_filters_timeout: durationUnless(LISTENER_FILTERS_TIMEOUT_MS, config.listenerFiltersTimeoutMs),
    continue_on_listener_filters_timeout: unless(false, config.continueOnListenerFiltersTimeout),
    listener_filters: list(config.listenerFilters.map(encodeListenerFilter)),
    ...(config.udp && encodeUdpListener(config.udp)),
    traffic_direction: unless("UNSPECIFIED", config.trafficDirection),
    tcp_backlog_size: config.tcpBacklogSize,
    enable_reuse_port: unless(true, config.reusePort),
    drain_type: unless("DEFAULT", config.drainType),
    access_log: encodeAccessLogs(config.accessLog),
    use_original_dst: config.useOriginalDst,
    bind_to_port: config.bindToPort,
    transparent: config.transparent,
    freebind: config.freebind,
  };
}

function encodeListenAddress(address: Address, { udp }: ListenerConfig): LooseJsonObject {
  if (udp === undefined || address.type === "pipe") return encodeAddress(address);
  return { socket_address: { protocol: "UDP", address: address.address, port_value: address.port } };
}

/** The route configurations that its connection managers ask for, and the clusters that it names itself; each once. */
function references(config: ListenerConfig): readonly Reference[] {
  const found = new Map<string, Reference>();
  const clusters = udpClusters(config).map((name): Reference => ({ kind: "cluster", name }));
  for (const reference of [...networkFilters(config).flatMap(filterReferences), ...clusters]) {
    found.set(`${reference.kind}/${reference.name}`, reference);
  }
  return [...found.values()];
}

function filterReferences(filter: NetworkFilterConfig): readonly Reference[] {
  if (filter.type === "tcp-proxy") return filter.config.clusters.map(({ name }) => ({ kind: "cluster", name }));
  if (filter.type !== "http-connection-manager") return [];
  const { routes } = filter.config;
  if (routes.type === "rds") return [{ kind: "route-configuration", name: routes.routeConfigName }];
  return clusterReferences(routes.routeConfig);
}

function networkFilters(config: ListenerConfig): readonly NetworkFilterConfig[] {
  const chains: readonly FilterChainConfig[] =
    config.defaultFilterChain === undefined ? config.filterChains : [...config.filterChains, config.defaultFilterChain];
  return chains.flatMap((chain) => chain.filters);
}
