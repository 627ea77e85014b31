import type { Result } from "@heddle/base";
import {
  decodeMessage,
  durationFromMs,
  durationToMs,
  encodeMessage,
  flagOf,
  type Message,
  messageOf,
  messagesOf,
  nodeFromMessage,
  nodeToMessage,
  numberOf,
  textOf,
  textsOf,
} from "@heddle/proto";
import { type Address, addMetric, type MetricLoad, type MetricSum, metricLoads } from "@heddle/traffic";
import type { XdsNode } from "../snapshot.ts";

/*
 * `envoy.service.load_stats.v3` as plain objects, and as bytes: what a proxy tells a management server about the traffic
 * towards each cluster and locality, so that it can spread load over zones.
 */

export const LOAD_REPORT_PATH = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";

/** The proxy reports whatever clusters it has if it is asked for all of them. */
export const SUPPORTS_SEND_ALL_CLUSTERS = "envoy.lrs.supports_send_all_clusters";

export interface LoadStatsRequest {
  /** On the first message of a stream. */
  readonly node: XdsNode | undefined;
  readonly clusters: readonly ClusterLoadReport[];
}

/** `envoy.config.endpoint.v3.ClusterStats`: what happened since the report before. */
export interface ClusterLoadReport {
  readonly cluster: string;
  /** The EDS service name, where it is another one. */
  readonly serviceName: string;
  readonly localities: readonly LocalityLoadReport[];
  readonly dropped: number;
  readonly intervalMs: number;
}

export interface LocalityLoadReport {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
  readonly priority: number;
  readonly issued: number;
  readonly succeeded: number;
  readonly failed: number;
  /** At the end of the interval. */
  readonly inProgress: number;
  /** What endpoints have said of their own load, by names as in `lrs_report_endpoint_metrics`. Left out: nothing. */
  readonly metrics?: readonly MetricLoad[];
  /** Left out: they were not asked for, or nothing went to any. */
  readonly endpoints?: readonly EndpointLoadReport[];
}

/** `envoy.config.endpoint.v3.UpstreamEndpointStats` */
export interface EndpointLoadReport {
  readonly address: Address;
  readonly issued: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly inProgress: number;
  readonly metrics?: readonly MetricLoad[];
}

export interface LoadStatsResponse {
  readonly clusters: "all" | readonly string[];
  readonly intervalMs: number;
  /** `report_endpoint_granularity` */
  readonly byEndpoint: boolean;
}

const REQUEST = "envoy.service.load_stats.v3.LoadStatsRequest";
const RESPONSE = "envoy.service.load_stats.v3.LoadStatsResponse";

/** Envoy's name for what `drop_overloads` drops, whatever its categories. */
const DROP_CATEGORY = "drop_overload";

export function encodeLoadStatsRequest({ node, clusters }: LoadStatsRequest): Uint8Array {
  return encodeMessage(REQUEST, {
    ...(node !== undefined && { node: nodeToMessage(node) }),
    cluster_stats: clusters.map(clusterMessage),
  });
}

export function decodeLoadStatsRequest(bytes: Uint8Array): Result<LoadStatsRequest, string> {
  const decoded = decodeMessage(REQUEST, bytes);
  if (!decoded.ok) return decoded;
  const node = messageOf(decoded.value, "node");
  const clusters = messagesOf(decoded.value, "cluster_stats").map(clusterFrom);
  return { ok: true, value: { node: node && nodeFromMessage(node), clusters } };
}

export function encodeLoadStatsResponse({ clusters, intervalMs, byEndpoint }: LoadStatsResponse): Uint8Array {
  return encodeMessage(RESPONSE, {
    ...(clusters === "all" ? { send_all_clusters: true } : { clusters }),
    load_reporting_interval: durationFromMs(intervalMs),
    ...(byEndpoint && { report_endpoint_granularity: true }),
  });
}

export function decodeLoadStatsResponse(bytes: Uint8Array): Result<LoadStatsResponse, string> {
  const decoded = decodeMessage(RESPONSE, bytes);
  if (!decoded.ok) return decoded;
  const { value } = decoded;
  const interval = messageOf(value, "load_reporting_interval");
  const all = flagOf(value, "send_all_clusters");
  return {
    ok: true,
    value: {
      clusters: all ? "all" : textsOf(value, "clusters"),
      intervalMs: interval === undefined ? 0 : durationToMs(interval),
      byEndpoint: flagOf(value, "report_endpoint_granularity"),
    },
  };
}

function clusterMessage({ cluster, serviceName, localities, dropped, intervalMs }: ClusterLoadReport): Message {
  return {
    cluster_name: cluster,
    ...(serviceName !== cluster && { cluster_service_name: serviceName }),
    upstream_locality_stats: localities.map(({ region, zone, subZone, priority, endpoints, ...counts }) => ({
      locality: { region, zone, sub_zone: subZone },
      ...countsMessage(counts),
      ...(endpoints && {
        upstream_endpoint_stats: endpoints.map(({ address, ...own }) => ({
          address: addressMessage(address),
          ...countsMessage(own),
        })),
      }),
      priority,
    })),
    ...(dropped > 0 && {
      total_dropped_requests: dropped,
      dropped_requests: [{ category: DROP_CATEGORY, dropped_count: dropped }],
    }),
    load_report_interval: durationFromMs(intervalMs),
  };
}

type Counts = Omit<EndpointLoadReport, "address">;

function countsMessage({ issued, succeeded, failed, inProgress, metrics }: Counts): Message {
  return {
    total_successful_requests: succeeded,
    total_requests_in_progress: inProgress,
    total_error_requests: failed,
    total_issued_requests: issued,
    ...(metrics && {
      load_metric_stats: metrics.map(({ name, requests, total }) => ({
        metric_name: name,
        num_requests_finished_with_metric: requests,
        total_metric_value: total,
      })),
    }),
  };
}

function countsFrom(message: Message): Counts {
  return {
    issued: numberOf(message, "total_issued_requests"),
    succeeded: numberOf(message, "total_successful_requests"),
    failed: numberOf(message, "total_error_requests"),
    inProgress: numberOf(message, "total_requests_in_progress"),
    ...metricsFrom(message),
  };
}

/** Of a locality three metrics have fields of their own as well, which gRPC fills (gRFC A85). Envoy tells of all by their names. */
const UNNAMED_METRICS = ["cpu_utilization", "mem_utilization", "application_utilization"];

function metricsFrom(message: Message): Pick<Counts, "metrics"> {
  const sums = new Map<string, MetricSum>();
  const add = (name: string, stats: Message): void =>
    addMetric(sums, name, numberOf(stats, "num_requests_finished_with_metric"), numberOf(stats, "total_metric_value"));
  for (const stats of messagesOf(message, "load_metric_stats")) add(textOf(stats, "metric_name"), stats);
  for (const name of UNNAMED_METRICS) {
    const stats = messageOf(message, name);
    if (stats !== undefined) add(name, stats);
  }
  return sums.size === 0 ? {} : { metrics: metricLoads(sums) };
}

function addressMessage(address: Address): Message {
  return address.type === "pipe"
    ? { pipe: { path: address.path } }
    : { socket_address: { address: address.address, port_value: address.port } };
}

function endpointFrom(message: Message): EndpointLoadReport {
  const address = messageOf(message, "address") ?? {};
  const pipe = messageOf(address, "pipe");
  const socket = messageOf(address, "socket_address") ?? {};
  return {
    address:
      pipe === undefined
        ? { type: "socket", address: textOf(socket, "address"), port: numberOf(socket, "port_value") }
        : { type: "pipe", path: textOf(pipe, "path"), mode: undefined },
    ...countsFrom(message),
  };
}

function clusterFrom(message: Message): ClusterLoadReport {
  const cluster = textOf(message, "cluster_name");
  const interval = messageOf(message, "load_report_interval");
  return {
    cluster,
    serviceName: textOf(message, "cluster_service_name") || cluster,
    localities: messagesOf(message, "upstream_locality_stats").map((stats) => {
      const locality = messageOf(stats, "locality") ?? {};
      const endpoints = messagesOf(stats, "upstream_endpoint_stats");
      return {
        region: textOf(locality, "region"),
        zone: textOf(locality, "zone"),
        subZone: textOf(locality, "sub_zone"),
        priority: numberOf(stats, "priority"),
        ...countsFrom(stats),
        ...(endpoints.length > 0 && { endpoints: endpoints.map(endpointFrom) }),
      };
    }),
    dropped: numberOf(message, "total_dropped_requests"),
    intervalMs: interval === undefined ? 0 : durationToMs(interval),
  };
}
