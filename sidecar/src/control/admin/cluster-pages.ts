import type { Json } from "@heddle/base";
import type { AssembledResource, ProxyConfig } from "@heddle/config";
import { type AdminPage, JsonFields, JsonItems, type StreamedJson, streamedJsonAnswer } from "@heddle/telemetry/admin";
import {
  type CircuitBreakerThresholds,
  type ClusterConfig,
  type EndpointConfig,
  type LocalityEndpoints,
  thresholdsBy,
} from "@heddle/traffic";
import type { TrafficWorkers } from "../traffic-workers.ts";
import { addressJson, addressText } from "./address-form.ts";
import { type EndpointFigures, endpointFigures, FIGURES, type Figures } from "./endpoint-figures.ts";

/** What a worker may take to answer. Whoever asks wants the page, above all of a worker that is busy. */
const WITHIN_MS = 500;

/**
 * `/clusters` as Envoy writes it: what each cluster may do, which endpoints it has, and what runs towards them. The last is
 * left out while a worker is too busy to tell.
 */
export function clustersPage(
  config: () => ProxyConfig,
  resources: () => readonly AssembledResource[],
  workers: Pick<TrafficWorkers, "inspectWorkers">,
): AdminPage {
  return {
    path: "/clusters",
    method: "GET",
    help: "serving clusters, their endpoints, and what went towards them",
    params: [{ name: "format", help: "how it is written", values: ["text", "json"] }],
    async answer(query) {
      const figures = await endpointFigures(workers, WITHIN_MS);
      const dynamic = new Set(
        resources().flatMap(({ kind, name, source }) => (kind === "cluster" && source === "dynamic" ? [name] : [])),
      );
      const clusters = shownClusters(config(), dynamic, figures);
      return query.get("format") === "json"
        ? streamedJsonAnswer(new JsonFields([["cluster_statuses", new JsonItems(eachJson(clusters))]]))
        : { body: eachText(clusters) };
    },
  };
}

function* shownClusters(
  { clusters, endpoints, runtime }: ProxyConfig,
  dynamic: ReadonlySet<string>,
  figures: Figures | undefined,
): Generator<ShownCluster> {
  const said = (key: string): Json | undefined => runtime[key];
  for (const written of clusters.values()) {
    const { name, discovery } = written;
    const { default: byDefault, high } = written.circuitBreakers;
    const circuitBreakers = {
      default: thresholdsBy(said, byDefault, name, "default"),
      high: thresholdsBy(said, high, name, "high"),
    };
    const cluster = { ...written, circuitBreakers };
    const localities =
      discovery.type === "ORIGINAL_DST"
        ? foundByTraffic(figures?.addressesOf(name) ?? [])
        : (endpoints.get(name)?.localities ?? []);
    yield { cluster, addedViaApi: dynamic.has(name), localities, figures };
  }
}

function* eachText(clusters: Iterable<ShownCluster>): Generator<string> {
  for (const shown of clusters)
    for (const lines of toText(shown)) yield lines.map((line) => `${shown.cluster.name}::${line}\n`).join("");
}

function* eachJson(clusters: Iterable<ShownCluster>): Generator<StreamedJson> {
  for (const shown of clusters) yield toJson(shown);
}

interface ShownCluster {
  readonly cluster: ClusterConfig;
  readonly addedViaApi: boolean;
  readonly localities: readonly LocalityEndpoints[];
  readonly figures: Figures | undefined;
}

/** The lines about the cluster, then those about each endpoint. */
function* toText({ cluster, addedViaApi, localities, figures }: ShownCluster): Generator<readonly string[]> {
  const lines = [`observability_name::${cluster.statName}`];
  const { default: byDefault, high } = cluster.circuitBreakers;
  lines.push(...thresholdLines("default_priority", byDefault), ...thresholdLines("high_priority", high));
  lines.push(`added_via_api::${addedViaApi}`);
  if (cluster.discovery.type === "EDS") lines.push(`eds_service_name::${cluster.discovery.serviceName}`);
  yield lines;
  for (const { locality, priority, endpoints } of localities) {
    for (const endpoint of endpoints) {
      const address = addressText(endpoint.address);
      const counted = figures?.of(cluster.name, address);
      yield [
        ...(counted === undefined ? [] : FIGURES.map(({ name }, index) => `${address}::${name}::${counted[index]}`)),
        `${address}::hostname::${endpoint.hostname}`,
        `${address}::health_flags::${healthFlags(endpoint)}`,
        `${address}::weight::${endpoint.loadBalancingWeight}`,
        `${address}::region::${locality.region}`,
        `${address}::zone::${locality.zone}`,
        `${address}::sub_zone::${locality.subZone}`,
        `${address}::canary::${isCanary(endpoint)}`,
        `${address}::priority::${priority}`,
        `${address}::success_rate::-1`, // Envoy's word for: not enough is known
        `${address}::local_origin_success_rate::-1`,
      ];
    }
  }
}

/** Of a cluster whose endpoints no configuration has. */
function foundByTraffic(addresses: readonly string[]): readonly LocalityEndpoints[] {
  const endpoints = addresses.map((text): EndpointConfig => {
    const colon = text.lastIndexOf(":");
    const address = text.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
    return {
      address: { type: "socket", address, port: Number(text.slice(colon + 1)) },
      hostname: "",
      healthStatus: "UNKNOWN",
      loadBalancingWeight: 1,
      metadata: {},
    };
  });
  if (endpoints.length === 0) return [];
  return [{ locality: { region: "", zone: "", subZone: "" }, loadBalancingWeight: undefined, priority: 0, endpoints }];
}

function thresholdLines(priority: string, thresholds: CircuitBreakerThresholds): string[] {
  return [
    `${priority}::max_connections::${thresholds.maxConnections}`,
    `${priority}::max_pending_requests::${thresholds.maxPendingRequests}`,
    `${priority}::max_requests::${thresholds.maxRequests}`,
    `${priority}::max_retries::${thresholds.maxRetries}`,
  ];
}

function toJson(shown: ShownCluster): StreamedJson {
  const { cluster, addedViaApi } = shown;
  const head: Readonly<Record<string, Json>> = {
    name: cluster.name,
    added_via_api: addedViaApi,
    observability_name: cluster.statName,
    ...(cluster.discovery.type === "EDS" ? { eds_service_name: cluster.discovery.serviceName } : {}),
    circuit_breakers: {
      thresholds: [
        thresholdJson("DEFAULT", cluster.circuitBreakers.default),
        thresholdJson("HIGH", cluster.circuitBreakers.high),
      ],
    },
  };
  return new JsonFields([...Object.entries(head), ["host_statuses", new JsonItems(hostsJson(shown))]]);
}

function* hostsJson({ cluster, localities, figures }: ShownCluster): Generator<Json> {
  for (const { locality, priority, endpoints } of localities) {
    for (const endpoint of endpoints) {
      yield {
        address: addressJson(endpoint.address),
        ...statsJson(figures?.of(cluster.name, addressText(endpoint.address))),
        health_status: { eds_health_status: endpoint.healthStatus },
        weight: endpoint.loadBalancingWeight,
        hostname: endpoint.hostname,
        priority,
        locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
      };
    }
  }
}

/** `envoy.admin.v3.HostStatus.stats`; its numbers are 64 bits wide, so text in JSON. */
function statsJson(figures: EndpointFigures | undefined): { readonly stats?: Json } {
  if (figures === undefined) return {};
  return { stats: FIGURES.map(({ name, type }, index) => ({ type, name, value: String(figures[index]) })) };
}

function thresholdJson(priority: string, thresholds: CircuitBreakerThresholds): Json {
  return {
    priority,
    max_connections: thresholds.maxConnections,
    max_pending_requests: thresholds.maxPendingRequests,
    max_requests: thresholds.maxRequests,
    max_retries: thresholds.maxRetries,
  };
}

/** Envoy's `envoy.lb` metadata. */
function isCanary({ metadata }: EndpointConfig): boolean {
  return metadata["envoy.lb"]?.["canary"] === true;
}

/** Envoy's words for what EDS said of an endpoint. */
function healthFlags({ healthStatus }: EndpointConfig): string {
  switch (healthStatus) {
    case "UNHEALTHY":
    case "TIMEOUT":
      return "/failed_eds_health";
    case "DRAINING":
      return "/eds_status_draining";
    case "DEGRADED":
      return "/degraded_eds_health";
    case "UNKNOWN":
    case "HEALTHY":
      return "healthy";
  }
}
