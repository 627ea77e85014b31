import { err, ok, type Result } from "@heddle/base";
import { decodeMessage, validate } from "@heddle/proto";
import {
  type CircuitBreakerThresholds,
  type ClusterConfig,
  type DnsConfig,
  type EndpointsConfig,
  noEndpoints,
} from "@heddle/traffic";
import { decodeBindConfig, encodeBindConfig } from "./bind-config.ts";
import { encodeConfigSource, readConfigSourceOf, unlessAds } from "./config-source.ts";
import type { DataReader } from "./data-source.ts";
import { duration, durationUnless, encodeJson, type LooseJsonObject, unless } from "./encode.ts";
import { decodeEndpoints, endpointsJson } from "./endpoints.ts";
import { Fields, Findings } from "./fields.ts";
import { HARMLESS_EXTENSIONS } from "./honoured.ts";
import { decodeLbPolicy, encodeLbPolicy, reportUnknownMetrics } from "./load-balancing.ts";
import { decodeMetadata, encodeMetadata } from "./metadata.ts";
import { decodeOriginalDst, encodeOriginalDst } from "./original-dst.ts";
import type { Decoded, ResourceType } from "./resource-type.ts";
import {
  decodeTransportMatches,
  decodeUpstreamTransport,
  encodeTransportMatches,
  encodeUpstreamTransport,
} from "./transport-socket.ts";
import { anyTypeName, openAny } from "./typed-config.ts";
import { decodeUpstreamProtocol, encodeUpstreamProtocol } from "./upstream-protocol.ts";

const CLUSTER = "envoy.config.cluster.v3.Cluster";
const DNS_CLUSTER = "envoy.extensions.clusters.dns.v3.DnsCluster";
/** What a cluster says itself where it has a type, and its `DnsCluster` where it has that. */
const DNS_SETTINGS = ["dns_refresh_rate", "respect_dns_ttl", "dns_lookup_family"];

const CONNECT_TIMEOUT_MS = 5000;
const BUFFER_LIMIT_BYTES = 1024 * 1024;
const PANIC_THRESHOLD_PERCENT = 50;
const DNS_REFRESH_MS = 5000;
const THRESHOLDS: CircuitBreakerThresholds = {
  maxConnections: 1024,
  maxPendingRequests: 1024,
  maxRequests: 1024,
  maxRetries: 3,
};
/** Linux' own (tcp(7)), which Envoy leaves in force for what is not set. */
const KEEPALIVE = { idleSeconds: 7200, intervalSeconds: 75, probes: 9 };

/** CDS. Without a reader, files that a cluster names are left alone. */
export function makeClusterType(reader?: DataReader): ResourceType<ClusterConfig> {
  return {
    typeUrl: `type.googleapis.com/${CLUSTER}`,
    kind: "cluster",
    completeInSotw: true,
    decode: (bytes) => decode(bytes, reader),
    encode: (config) => encodeJson(CLUSTER, encodeCluster(config)),
    nameOf: (config) => config.name,
    references: ({ discovery }) =>
      discovery.type === "EDS" ? [{ kind: "endpoints", name: discovery.serviceName }] : [],
  };
}

/** As a control plane reads clusters, which are for other machines. */
export const clusterType = makeClusterType();

function decode(bytes: Uint8Array, reader: DataReader | undefined): Result<Decoded<ClusterConfig>, readonly string[]> {
  const message = decodeMessage(CLUSTER, bytes);
  if (!message.ok) return err([message.error]);
  const findings = Findings.of(validate(CLUSTER, message.value));
  const config = decodeCluster(new Fields(CLUSTER, message.value, "", findings), reader);
  return findings.errors.length > 0 ? err(findings.errors) : ok({ config, unhonoured: findings.unhonoured });
}

function decodeCluster(fields: Fields, reader: DataReader | undefined): ClusterConfig {
  const name = fields.text("name");
  const thresholds = fields.message("circuit_breakers")?.messages("thresholds") ?? [];
  const keepalive = fields.message("upstream_connection_options")?.message("tcp_keepalive");
  const panic = fields.message("common_lb_config")?.message("healthy_panic_threshold");
  const upstreamBindConfig = decodeBindConfig(fields.message("upstream_bind_config"));
  const discovery = decodeDiscovery(fields, name);
  const lbPolicy = decodeLbPolicy(fields);
  checkPolicy(fields, discovery, lbPolicy);
  leaveOutFilters(fields);
  const lrsReportEndpointMetrics = fields.texts("lrs_report_endpoint_metrics");
  reportUnknownMetrics(fields, "lrs_report_endpoint_metrics", lrsReportEndpointMetrics);
  return {
    name,
    statName: fields.text("alt_stat_name") === "" ? name : fields.text("alt_stat_name"),
    discovery,
    lbPolicy,
    connectTimeoutMs: fields.durationMs("connect_timeout", CONNECT_TIMEOUT_MS),
    perConnectionBufferLimitBytes: fields.wrappedNumber("per_connection_buffer_limit_bytes", BUFFER_LIMIT_BYTES),
    circuitBreakers: {
      default: decodeThresholds(thresholds, "DEFAULT"),
      high: decodeThresholds(thresholds, "HIGH"),
    },
    healthyPanicThresholdPercent: panic?.number("value") ?? PANIC_THRESHOLD_PERCENT,
    ...decodeUpstreamProtocol(fields),
    tcpKeepalive: keepalive && {
      idleSeconds: keepalive.wrappedNumber("keepalive_time", KEEPALIVE.idleSeconds),
      intervalSeconds: keepalive.wrappedNumber("keepalive_interval", KEEPALIVE.intervalSeconds),
      probes: keepalive.wrappedNumber("keepalive_probes", KEEPALIVE.probes),
    },
    metadata: decodeMetadata(fields.message("metadata")),
    ...decodeUpstreamTransport(fields, reader),
    ...decodeTransportMatches(fields, reader),
    ...(upstreamBindConfig && { upstreamBindConfig }),
    ...(lrsReportEndpointMetrics.length > 0 && { lrsReportEndpointMetrics }),
  };
}

/** Only a cluster that knows its endpoints from its clients chooses among them itself, and nobody else can for it. */
function checkPolicy(fields: Fields, { type }: ClusterConfig["discovery"], policy: ClusterConfig["lbPolicy"]): void {
  if ((type === "ORIGINAL_DST") === (policy.type === "cluster-provided")) return;
  if (type === "EDS" && fields.has("cluster_type")) return; // it has been refused
  if (type === "ORIGINAL_DST") fields.fail("lb_policy", "has to be CLUSTER_PROVIDED for type ORIGINAL_DST");
  else fields.fail("lb_policy", `CLUSTER_PROVIDED goes with type ORIGINAL_DST alone, and this is ${type}`);
}

/** Filters of connections to endpoints: those that only watch are left out (Istio sends one with each cluster). */
function leaveOutFilters(fields: Fields): void {
  for (const filter of fields.messages("filters")) {
    const any = filter.raw("typed_config");
    const extension = any && openAny(any, filter.at("typed_config"), fields.findings);
    const harmless = extension && HARMLESS_EXTENSIONS.get(extension.type);
    if (harmless !== undefined) filter.report("typed_config", harmless);
    else filter.fail("", `${filter.text("name")}: upstream filters are not supported`);
  }
}

// Envoy takes the first thresholds of a priority.
function decodeThresholds(all: readonly Fields[], priority: "DEFAULT" | "HIGH"): CircuitBreakerThresholds {
  const fields = all.find((candidate) => candidate.enumName("priority") === priority);
  if (priority === "HIGH") fields?.report("priority", "no request has a high priority yet");
  return {
    maxConnections: fields?.wrappedNumber("max_connections", undefined) ?? THRESHOLDS.maxConnections,
    maxPendingRequests: fields?.wrappedNumber("max_pending_requests", undefined) ?? THRESHOLDS.maxPendingRequests,
    maxRequests: fields?.wrappedNumber("max_requests", undefined) ?? THRESHOLDS.maxRequests,
    maxRetries: fields?.wrappedNumber("max_retries", undefined) ?? THRESHOLDS.maxRetries,
  };
}

function decodeDiscovery(fields: Fields, name: string): ClusterConfig["discovery"] {
  const custom = fields.message("cluster_type");
  if (custom !== undefined) return decodeCustom(fields, custom, name);
  const type = fields.enumName("type");
  switch (type) {
    case "STATIC":
      return { type, loadAssignment: decodeLoadAssignment(fields, name, "ip") };
    case "STRICT_DNS":
    case "LOGICAL_DNS":
      return decodeNamed(fields, type, name, decodeDns(fields));
    case "EDS":
      return decodeEds(fields, name);
    case "ORIGINAL_DST":
      return decodeOriginalDst(fields);
    default:
      fields.fail(
        "type",
        `${type} is not supported yet; allowed are STATIC, STRICT_DNS, LOGICAL_DNS, EDS and ORIGINAL_DST`,
      );
      return { type: "EDS", serviceName: name };
  }
}

/** `cluster_type`: the same as a type, in a message of its own. */
function decodeCustom(fields: Fields, custom: Fields, name: string): ClusterConfig["discovery"] {
  const any = custom.raw("typed_config");
  const at = custom.at("typed_config");
  if (any === undefined || anyTypeName(any) !== DNS_CLUSTER) {
    const found = `found ${custom.text("name")}${any === undefined ? "" : ` (${anyTypeName(any)})`}`;
    fields.fail("cluster_type", `${found}, allowed is ${DNS_CLUSTER}; else give a type instead`);
    return { type: "EDS", serviceName: name };
  }
  const message = openAny(any, at, fields.findings)?.message;
  const dns = new Fields(DNS_CLUSTER, message ?? {}, at, fields.findings);
  for (const field of DNS_SETTINGS)
    if (fields.has(field)) fields.report(field, "is ignored, since cluster_type says it");
  const type = dns.flag("all_addresses_in_single_endpoint") ? "LOGICAL_DNS" : "STRICT_DNS";
  return decodeNamed(fields, type, name, decodeDns(dns));
}

function decodeNamed(
  fields: Fields,
  type: "STRICT_DNS" | "LOGICAL_DNS",
  name: string,
  dns: DnsConfig,
): ClusterConfig["discovery"] {
  const loadAssignment = decodeLoadAssignment(fields, name, "name");
  const count = loadAssignment.localities.reduce((sum, locality) => sum + locality.endpoints.length, 0);
  if (type === "LOGICAL_DNS" && count !== 1)
    fields.fail("load_assignment", `found ${count} endpoints, allowed for LOGICAL_DNS is exactly 1`);
  return { type, loadAssignment, dns };
}

/** Without one a cluster has no endpoints, as in Envoy: Istio's BlackHoleCluster. */
function decodeLoadAssignment(fields: Fields, name: string, addresses: "ip" | "name"): EndpointsConfig {
  if (fields.has("eds_cluster_config")) fields.fail("eds_cluster_config", "is only for clusters of type EDS");
  const assignment = fields.message("load_assignment");
  return assignment === undefined ? noEndpoints(name) : decodeEndpoints(assignment, addresses);
}

function decodeEds(fields: Fields, name: string): ClusterConfig["discovery"] {
  if (fields.has("load_assignment")) fields.fail("load_assignment", "excludes type EDS");
  const eds = fields.message("eds_cluster_config");
  if (eds === undefined) {
    fields.fail("eds_cluster_config", "must be set for clusters of type EDS");
    return { type: "EDS", serviceName: name };
  }
  const serviceName = eds.text("service_name") === "" ? name : eds.text("service_name");
  return { type: "EDS", serviceName, ...unlessAds(readConfigSourceOf(serviceName, eds, "eds_config")) };
}

/** Of a cluster, or of its `DnsCluster`, which calls AUTO by another name as well. */
function decodeDns(fields: Fields): DnsConfig {
  const family = fields.enumName("dns_lookup_family");
  return {
    refreshRateMs: fields.durationMs("dns_refresh_rate", DNS_REFRESH_MS),
    respectTtl: fields.flag("respect_dns_ttl"),
    lookupFamily: family === "UNSPECIFIED" ? "AUTO" : (family as DnsConfig["lookupFamily"]),
  };
}

function encodeCluster(config: ClusterConfig): LooseJsonObject {
  return {
    name: config.name,
    alt_stat_name: unless(config.name, config.statName),
    ...encodeDiscovery(config),
    ...encodeLbPolicy(config.lbPolicy),
    connect_timeout: durationUnless(CONNECT_TIMEOUT_MS, config.connectTimeoutMs),
    per_connection_buffer_limit_bytes: unless(BUFFER_LIMIT_BYTES, config.perConnectionBufferLimitBytes),
    circuit_breakers: encodeCircuitBreakers(config.circuitBreakers),
    common_lb_config:
      config.healthyPanicThresholdPercent === PANIC_THRESHOLD_PERCENT
        ? undefined
        : { healthy_panic_threshold: { value: config.healthyPanicThresholdPercent } },
    ...encodeUpstreamProtocol(config),
    upstream_connection_options: config.tcpKeepalive && {
      tcp_keepalive: {
        keepalive_time: unless(KEEPALIVE.idleSeconds, config.tcpKeepalive.idleSeconds),
        keepalive_interval: unless(KEEPALIVE.intervalSeconds, config.tcpKeepalive.intervalSeconds),
        keepalive_probes: unless(KEEPALIVE.probes, config.tcpKeepalive.probes),
      },
    },
    transport_socket: encodeUpstreamTransport(config),
    transport_socket_matches: encodeTransportMatches(config.transportSocketMatches),
    metadata: encodeMetadata(config.metadata),
    upstream_bind_config: encodeBindConfig(config.upstreamBindConfig),
    lrs_report_endpoint_metrics: config.lrsReportEndpointMetrics,
  };
}

function encodeDiscovery({ name, discovery }: ClusterConfig): LooseJsonObject {
  if (discovery.type === "EDS") {
    return {
      type: "EDS",
      eds_cluster_config: {
        eds_config: encodeConfigSource(discovery.source),
        service_name: unless(name, discovery.serviceName),
      },
    };
  }
  if (discovery.type === "ORIGINAL_DST") return encodeOriginalDst(discovery);
  const load_assignment = endpointsJson(discovery.loadAssignment);
  if (discovery.type === "STATIC") return { type: "STATIC", load_assignment };
  return {
    type: discovery.type,
    load_assignment,
    dns_refresh_rate:
      discovery.dns.refreshRateMs === DNS_REFRESH_MS ? undefined : duration(discovery.dns.refreshRateMs),
    respect_dns_ttl: unless(false, discovery.dns.respectTtl),
    dns_lookup_family: unless("AUTO", discovery.dns.lookupFamily),
  };
}

function encodeCircuitBreakers(breakers: ClusterConfig["circuitBreakers"]): LooseJsonObject | undefined {
  const thresholds = [encodeThresholds("DEFAULT", breakers.default), encodeThresholds("HIGH", breakers.high)].filter(
    (json) => Object.values(json).some((value, index) => index > 0 && value !== undefined),
  );
  return thresholds.length === 0 ? undefined : { thresholds };
}

function encodeThresholds(priority: "DEFAULT" | "HIGH", thresholds: CircuitBreakerThresholds): LooseJsonObject {
  return {
    priority: unless("DEFAULT", priority),
    max_connections: unless(THRESHOLDS.maxConnections, thresholds.maxConnections),
    max_pending_requests: unless(THRESHOLDS.maxPendingRequests, thresholds.maxPendingRequests),
    max_requests: unless(THRESHOLDS.maxRequests, thresholds.maxRequests),
    max_retries: unless(THRESHOLDS.maxRetries, thresholds.maxRetries),
  };
}
