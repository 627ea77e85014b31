import type { Json } from "@heddle/base";
import type { AssembledResource, ProxyConfig } from "@heddle/config";
import { type AdminPage, jsonAnswer } from "@heddle/telemetry/admin";
import type { CircuitBreakerThresholds, ClusterConfig, EndpointConfig, LocalityEndpoints } from "@heddle/traffic";
import { addressJson, addressText } from "./address-form.ts";

/** `/clusters` as Envoy writes it: what each cluster may do and which endpoints it has. */
export function clustersPage(config: () => ProxyConfig, resources: () => readonly AssembledResource[]): AdminPage {
  return {
    path: "/clusters",
    method: "GET",
    help: "serving clusters and their endpoints (?format=json)",
    answer(query) {
      const dynamic = new Set(
        resources().flatMap(({ kind, name, source }) => (kind === "cluster" && source === "dynamic" ? [name] : [])),
      );
      const clusters = [...config().clusters.values()].map((cluster) => ({
        cluster,
        addedViaApi: dynamic.has(cluster.name),
        localities: config().endpoints.get(cluster.name)?.localities ?? [],
      }));
      return query.get("format") === "json"
        ? jsonAnswer({ cluster_statuses: clusters.map(toJson) })
        : { body: clusters.map(toText).join("") };
    },
  };
}

interface ShownCluster {
  readonly cluster: ClusterConfig;
  readonly addedViaApi: boolean;
  readonly localities: readonly LocalityEndpoints[];
}

function toText({ cluster, addedViaApi, localities }: ShownCluster): string {
  const lines = [`observability_name::${cluster.statName}`];
  const { default: byDefault, high } = cluster.circuitBreakers;
  lines.push(...thresholdLines("default_priority", byDefault), ...thresholdLines("high_priority", high));
  lines.push(`added_via_api::${addedViaApi}`);
  if (cluster.discovery.type === "EDS") lines.push(`eds_service_name::${cluster.discovery.serviceName}`);
  for (const { locality, priority, endpoints } of localities) {
    for (const endpoint of endpoints) {
      const address = addressText(endpoint.address);
      lines.push(
        `${address}::hostname::${endpoint.hostname}`,
        `${address}::health_flags::${healthFlags(endpoint)}`,
        `${address}::weight::${endpoint.loadBalancingWeight}`,
        `${address}::region::${locality.region}`,
        `${address}::zone::${locality.zone}`,
        `${address}::sub_zone::${locality.subZone}`,
        `${address}::priority::${priority}`,
      );
    }
  }
  return lines.map((line) => `${cluster.name}::${line}\n`).join("");
}

function thresholdLines(priority: string, thresholds: CircuitBreakerThresholds): string[] {
  return [
    `${priority}::max_connections::${thresholds.maxConnections}`,
    `${priority}::max_pending_requests::${thresholds.maxPendingRequests}`,
    `${priority}::max_requests::${thresholds.maxRequests}`,
    `${priority}::max_retries::${thresholds.maxRetries}`,
  ];
}

function toJson({ cluster, addedViaApi, localities }: ShownCluster): Json {
  return {
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
    host_statuses: localities.flatMap(({ locality, priority, endpoints }) =>
      endpoints.map((endpoint) => ({
        address: addressJson(endpoint.address),
        health_status: { eds_health_status: endpoint.healthStatus },
        weight: endpoint.loadBalancingWeight,
        hostname: endpoint.hostname,
        priority,
        locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
      })),
    ),
  };
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
