import { err, ok, type Result } from "@heddle/base";
import { decodeMessage, encodeMessage, type Message, messageToJson, structFromJson, validate } from "@heddle/proto";
import type { EndpointConfig, EndpointsConfig, LocalityEndpoints } from "@heddle/traffic";
import { decodeAddress, encodeAddress, requireIpAddress } from "./address.ts";
import type { LooseJsonObject } from "./encode.ts";
import { Fields, Findings } from "./fields.ts";
import { decodeMetadata, type MetadataConfig } from "./metadata.ts";
import type { Decoded, ResourceType } from "./resource-type.ts";
import { decodeFraction, encodeFraction } from "./route-match.ts";

export const CLUSTER_LOAD_ASSIGNMENT = "envoy.config.endpoint.v3.ClusterLoadAssignment";

const OVERPROVISIONING_PERCENT = 140;
const HEALTH_STATUSES = ["UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT", "DEGRADED"] as const;

/** EDS. */
export const endpointsType: ResourceType<EndpointsConfig> = {
  typeUrl: `type.googleapis.com/${CLUSTER_LOAD_ASSIGNMENT}`,
  kind: "endpoints",
  completeInSotw: false,
  decode,
  encode: (config) => encodeMessage(CLUSTER_LOAD_ASSIGNMENT, encodeEndpoints(config)),
  nameOf: (config) => config.clusterName,
  references: () => [],
};

function decode(bytes: Uint8Array): Result<Decoded<EndpointsConfig>, readonly string[]> {
  const message = decodeMessage(CLUSTER_LOAD_ASSIGNMENT, bytes);
  if (!message.ok) return err([message.error]);
  const findings = Findings.of(validate(CLUSTER_LOAD_ASSIGNMENT, message.value));
  const config = decodeEndpoints(new Fields(CLUSTER_LOAD_ASSIGNMENT, message.value, "", findings), "ip");
  return findings.errors.length > 0 ? err(findings.errors) : ok({ config, unhonoured: findings.unhonoured });
}

/**
 * `envoy.config.endpoint.v3.ClusterLoadAssignment`, of EDS or in a cluster.
 *
 * @param addresses "ip" where nobody resolves names (EDS and STATIC), "name" for the DNS types
 */
export function decodeEndpoints(fields: Fields, addresses: "ip" | "name"): EndpointsConfig {
  const policy = fields.message("policy");
  return {
    clusterName: fields.text("cluster_name"),
    localities: fields.messages("endpoints").map((locality) => decodeLocality(locality, addresses)),
    overprovisioningFactorPercent:
      policy?.wrappedNumber("overprovisioning_factor", undefined) ?? OVERPROVISIONING_PERCENT,
    dropOverloads: (policy?.messages("drop_overloads") ?? []).map((drop) => ({
      category: drop.text("category"),
      ...(decodeFraction(drop.message("drop_percentage")) ?? { numerator: 0, denominator: 100 }),
    })),
  };
}

function decodeLocality(fields: Fields, addresses: "ip" | "name"): LocalityEndpoints {
  const locality = fields.message("locality");
  return {
    locality: {
      region: locality?.text("region") ?? "",
      zone: locality?.text("zone") ?? "",
      subZone: locality?.text("sub_zone") ?? "",
    },
    loadBalancingWeight: fields.wrappedNumber("load_balancing_weight", undefined),
    priority: fields.number("priority"),
    endpoints: fields.messages("lb_endpoints").map((endpoint) => decodeEndpoint(endpoint, addresses)),
  };
}

function decodeEndpoint(fields: Fields, addresses: "ip" | "name"): EndpointConfig {
  const endpoint = fields.message("endpoint");
  const addressFields = endpoint?.message("address");
  if (endpoint === undefined) fields.fail("endpoint", "must be set");
  else if (addressFields === undefined) endpoint.fail("address", "must be set");
  const address = decodeAddress(addressFields);
  if (addressFields !== undefined && addresses === "ip") requireIpAddress(address, addressFields);
  return {
    address,
    hostname: endpoint?.text("hostname") ?? "",
    healthStatus: fields.enumName("health_status") as EndpointConfig["healthStatus"],
    loadBalancingWeight: fields.wrappedNumber("load_balancing_weight", 1),
    metadata: decodeEndpointMetadata(fields),
  };
}

function decodeEndpointMetadata(endpoint: Fields): MetadataConfig {
  const fields = endpoint.message("metadata");
  const metadata = decodeMetadata(fields);
  for (const namespace in metadata) {
    if (READ_METADATA.has(namespace)) continue;
    // There may be thousands of endpoints with the same.
    endpoint.findings.reportOnce(
      `endpoint metadata ${namespace}`,
      `${endpoint.at("metadata")}.filter_metadata[${JSON.stringify(namespace)}]`,
      "is kept, and not copied to filters and logs",
    );
  }
  return metadata;
}

/**
 * Namespaces that have an effect. heddle.h2: a sidecar of ours stands there, which takes HTTP/2. The other one chooses among
 * the cluster's `transport_socket_matches`.
 */
const READ_METADATA: ReadonlySet<string> = new Set(["heddle", "envoy.transport_socket_match"]);

/*
 * As a message and not by way of JSON like the other types: a cluster has thousands of endpoints, and this runs whenever
 * one of them comes or goes.
 */
function encodeEndpoints(config: EndpointsConfig): Message {
  const message: { [field: string]: unknown } = {
    cluster_name: config.clusterName,
    endpoints: config.localities.map(encodeLocality),
  };
  const factor = config.overprovisioningFactorPercent;
  if (factor !== OVERPROVISIONING_PERCENT || config.dropOverloads.length > 0) {
    message["policy"] = {
      ...(factor !== OVERPROVISIONING_PERCENT && { overprovisioning_factor: { value: factor } }),
      drop_overloads: config.dropOverloads.map(encodeDropOverload),
    };
  }
  return message;
}

function encodeDropOverload(drop: EndpointsConfig["dropOverloads"][number]): Message {
  const { numerator, denominator } = encodeFraction(drop);
  const number = ["HUNDRED", "TEN_THOUSAND", "MILLION"].indexOf(denominator as string);
  return { category: drop.category, drop_percentage: { numerator, denominator: number } };
}

function encodeLocality(locality: LocalityEndpoints): Message {
  const { region, zone, subZone } = locality.locality;
  const message: { [field: string]: unknown } = {
    lb_endpoints: locality.endpoints.map(encodeEndpoint),
    priority: locality.priority,
  };
  // Also where it is empty: gRPC refuses endpoints without one (grpc-js-xds "locality unset").
  message["locality"] = { region, zone, sub_zone: subZone };
  if (locality.loadBalancingWeight !== undefined) {
    message["load_balancing_weight"] = { value: locality.loadBalancingWeight };
  }
  return message;
}

function encodeEndpoint(endpoint: EndpointConfig): Message {
  const message: { [field: string]: unknown } = {
    endpoint: { address: encodeAddress(endpoint.address), hostname: endpoint.hostname },
    health_status: HEALTH_STATUSES.indexOf(endpoint.healthStatus),
  };
  if (endpoint.loadBalancingWeight !== 1) message["load_balancing_weight"] = { value: endpoint.loadBalancingWeight };
  const metadata = encodeMetadataMessage(endpoint.metadata);
  if (metadata !== undefined) message["metadata"] = metadata;
  return message;
}

function encodeMetadataMessage(metadata: MetadataConfig): Message | undefined {
  const namespaces = Object.keys(metadata).sort();
  if (namespaces.length === 0) return undefined;
  const structs = namespaces.map((namespace) => [namespace, structFromJson(metadata[namespace] ?? {})]);
  return { filter_metadata: Object.fromEntries(structs) };
}

/** As proto JSON, for a cluster that holds its endpoints. */
export function endpointsJson(config: EndpointsConfig): LooseJsonObject {
  return messageToJson(CLUSTER_LOAD_ASSIGNMENT, encodeEndpoints(config)) as LooseJsonObject;
}
