import type { TcpProxyConfig, WeightedClusterName } from "@heddle/traffic";
import { decodeAccessLogs, encodeAccessLogs } from "./access-log.ts";
import { durationUnless, type LooseJsonObject, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";

export const TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";

// Envoy's defaults, by the comments of the proto.
const IDLE_TIMEOUT_MS = 3_600_000;
const MAX_CONNECT_ATTEMPTS = 1;
/** The sum of weights fits into 32 bits, as Envoy demands of every list of weighted clusters. */
const MAX_TOTAL_WEIGHT = 0xffff_ffff;

/** `envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`. */
export function decodeTcpProxy(fields: Fields): TcpProxyConfig {
  const options = fields.message("access_log_options");
  return {
    statPrefix: fields.text("stat_prefix"),
    clusters: decodeClusters(fields),
    idleTimeoutMs: fields.durationMs("idle_timeout", IDLE_TIMEOUT_MS),
    maxConnectAttempts: fields.wrappedNumber("max_connect_attempts", MAX_CONNECT_ATTEMPTS),
    maxDownstreamConnectionDurationMs: fields.durationMs("max_downstream_connection_duration", 0),
    accessLog: decodeAccessLogs(fields, "access_log"),
    // The deprecated fields count only where the options are not given.
    accessLogFlushIntervalMs: (options ?? fields).durationMs("access_log_flush_interval", 0),
    flushAccessLogOnConnected: (options ?? fields).flag("flush_access_log_on_connected"),
  };
}

function decodeClusters(fields: Fields): readonly WeightedClusterName[] {
  const weighted = fields.message("weighted_clusters");
  if (weighted === undefined) return [{ name: fields.text("cluster"), weight: 1 }];
  const clusters = weighted
    .messages("clusters")
    .map((cluster) => ({ name: cluster.text("name"), weight: cluster.number("weight") }));
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  if (total > MAX_TOTAL_WEIGHT) {
    weighted.fail("clusters", `the weights add up to ${total}, allowed is at most ${MAX_TOTAL_WEIGHT}`);
  }
  return clusters;
}

export function encodeTcpProxy(config: TcpProxyConfig): LooseJsonObject {
  const options = {
    access_log_flush_interval: durationUnless(0, config.accessLogFlushIntervalMs),
    flush_access_log_on_connected: unless(false, config.flushAccessLogOnConnected),
  };
  const [only] = config.clusters;
  const isWeighted = config.clusters.length !== 1 || only?.weight !== 1;
  return {
    stat_prefix: config.statPrefix,
    cluster: isWeighted ? undefined : only.name,
    weighted_clusters: isWeighted
      ? { clusters: config.clusters.map(({ name, weight }) => ({ name, weight })) }
      : undefined,
    idle_timeout: durationUnless(IDLE_TIMEOUT_MS, config.idleTimeoutMs),
    max_connect_attempts: unless(MAX_CONNECT_ATTEMPTS, config.maxConnectAttempts),
    max_downstream_connection_duration: durationUnless(0, config.maxDownstreamConnectionDurationMs),
    access_log: encodeAccessLogs(config.accessLog),
    access_log_options: Object.values(options).some((value) => value !== undefined) ? options : undefined,
  };
}
