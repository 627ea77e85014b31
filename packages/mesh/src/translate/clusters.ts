import { isIP } from "node:net";
import {
  type CircuitBreakerThresholds,
  type ClusterConfig,
  type EndpointsConfig,
  type LocalityEndpoints,
  noEndpoints,
} from "@heddle/traffic";
import type { ExtensionProvider } from "../model/extension-provider.ts";
import type { JwksUri } from "../model/request-authentication.ts";
import type { AppProtocol, Service, ServicePort } from "../model/service.ts";
import type { CaptureMode, WorkloadPort } from "../model/workload.ts";
import { type MeshTrust, mtlsMatches, mtlsTo, publicTls } from "./mtls.ts";
import {
  BLACKHOLE_CLUSTER,
  INBOUND_PASSTHROUGH_CLUSTER,
  inboundName,
  keysClusterName,
  outboundClusterName,
  PASSTHROUGH_CLUSTER,
  podsName,
} from "./names.ts";
import { providerClusterName } from "./policy/custom-authorization.ts";

/**
 * One port of a service, as callers without an identity see it; its endpoints come by EDS under the same name, or by DNS,
 * where the service is but another name for something outside.
 *
 * @param isGrpc as clients of gRPC take it that follow xDS by themselves: of the types of DNS they know LOGICAL_DNS alone.
 */
export function outboundCluster(service: Service, port: ServicePort, isGrpc = false): ClusterConfig {
  const name = outboundClusterName(service.namespace, service.name, port.port);
  const discovery: ClusterConfig["discovery"] =
    service.externalName === undefined
      ? { type: "EDS", serviceName: name }
      : byDns(name, oneEndpoint(service.externalName, port.port), isGrpc ? "LOGICAL_DNS" : "STRICT_DNS");
  return { ...cluster(name, port.protocol), discovery };
}

/**
 * What stands for a cluster that a route names and that does not exist, and its endpoints: none. For clients of gRPC, which hold
 * every call of a virtual host back, for up to 15 s, until all clusters that it names are there (gRFC A74).
 */
export function absentCluster(name: string): ClusterConfig {
  return { ...cluster(name, "http"), discovery: { type: "EDS", serviceName: name } };
}

/**
 * The same as callers with an identity see it. Its endpoints are the same resource.
 *
 * @param identities of the workloads behind the service: see `identitiesOf`.
 */
export function securedOutboundCluster(
  service: Service,
  port: ServicePort,
  identities: readonly string[],
  trust: MeshTrust,
): ClusterConfig {
  if (service.externalName !== undefined) return outboundCluster(service, port); // nobody of the mesh is there
  return {
    ...outboundCluster(service, port),
    transportSocketMatches: mtlsMatches(service, port, identities, trust),
  };
}

/** The application behind one public port of its own workload. */
export function inboundCluster(port: WorkloadPort, applicationPort: number): ClusterConfig {
  const name = inboundName(port.port);
  return {
    ...cluster(name, port.protocol),
    discovery: { type: "STATIC", loadAssignment: loadAssignmentOf(name, oneEndpoint("127.0.0.1", applicationPort)) },
  };
}

/** In a pod: where a client has meant to go, whoever is there. */
export function passthroughCluster(): ClusterConfig {
  return { ...originalDst(PASSTHROUGH_CLUSTER, "http"), circuitBreakers: UNBROKEN };
}

/** In a pod: that pod of a headless service which the client has chosen, by mutual TLS. */
export function podsCluster(
  service: Service,
  port: ServicePort,
  identities: readonly string[],
  trust: MeshTrust,
): ClusterConfig {
  return { ...originalDst(podsName(service, port), port.protocol), tls: mtlsTo(service, port, identities, trust) };
}

/**
 * In a pod: the application, at the pod's own address to which the client has connected. The source address tells the rules of
 * capture that it is the sidecar which connects, and that this is not to be captured again.
 *
 * @param port undefined: all that no service is known for.
 */
export function capturedInboundCluster(port: WorkloadPort | undefined, capture: CaptureMode): ClusterConfig {
  const plain =
    port === undefined
      ? originalDst(INBOUND_PASSTHROUGH_CLUSTER, "http")
      : originalDst(inboundName(port.port), port.protocol);
  const made = { ...plain, circuitBreakers: UNBROKEN };
  if (capture === "tproxy") return made; // the caller's address is kept
  return { ...made, upstreamBindConfig: { sourceAddresses: APPLICATION_CALLERS } };
}

/** `PASSTHROUGH_SOURCE` of packages/capture, of each family. */
const APPLICATION_CALLERS = [
  { address: "127.0.0.6", port: 0 },
  { address: "::6", port: 0 },
];

/** Leads nowhere. */
export function blackholeCluster(): ClusterConfig {
  const name = BLACKHOLE_CLUSTER;
  return {
    ...cluster(name, "http"),
    discovery: { type: "STATIC", loadAssignment: noEndpoints(name) },
  };
}

function originalDst(name: string, protocol: AppProtocol): ClusterConfig {
  return {
    ...cluster(name, protocol),
    lbPolicy: { type: "cluster-provided" },
    discovery: { type: "ORIGINAL_DST", cleanupIntervalMs: 5000 },
  };
}

/** Where an issuer's keys are fetched from: anywhere, and believed as browsers believe. */
export function keysCluster(uri: JwksUri): ClusterConfig {
  const name = keysClusterName(uri);
  const locality = oneEndpoint(uri.host, uri.port);
  return {
    ...cluster(name, "http"),
    ...(uri.tls && { tls: publicTls(uri.host) }),
    discovery:
      isIP(uri.host) === 0
        ? byDns(name, locality)
        : { type: "STATIC", loadAssignment: loadAssignmentOf(name, locality) },
  };
}

/** Whom policies of action CUSTOM ask, where that is no service of the mesh. */
export function providerCluster(
  provider: ExtensionProvider,
  { host, port }: Extract<ExtensionProvider["server"], { type: "host" }>,
): ClusterConfig {
  const name = providerClusterName(provider);
  const locality = oneEndpoint(host, port);
  return {
    ...cluster(name, provider.asks.type === "grpc" ? "http2" : "http"),
    discovery:
      isIP(host) === 0 ? byDns(name, locality) : { type: "STATIC", loadAssignment: loadAssignmentOf(name, locality) },
  };
}

function byDns(
  clusterName: string,
  locality: LocalityEndpoints,
  type: "STRICT_DNS" | "LOGICAL_DNS" = "STRICT_DNS",
): ClusterConfig["discovery"] {
  return {
    type,
    loadAssignment: loadAssignmentOf(clusterName, locality),
    dns: { refreshRateMs: 5000, respectTtl: true, lookupFamily: "V4_PREFERRED" },
  };
}

function loadAssignmentOf(clusterName: string, locality: LocalityEndpoints): EndpointsConfig {
  return { ...noEndpoints(clusterName), localities: [locality] };
}

function oneEndpoint(address: string, port: number): LocalityEndpoints {
  return {
    locality: { region: "", zone: "", subZone: "" },
    loadBalancingWeight: undefined,
    priority: 0,
    endpoints: [
      {
        address: { type: "socket", address, port },
        hostname: "",
        healthStatus: "UNKNOWN",
        loadBalancingWeight: 1,
        metadata: {},
      },
    ],
  };
}

const THRESHOLDS: CircuitBreakerThresholds = {
  maxConnections: 1024,
  maxPendingRequests: 1024,
  maxRequests: 1024,
  maxRetries: 3,
};

/**
 * An application that nobody has told of a proxy may have as many connections as it had without: those of one cluster go to all
 * the world, or come from there. What protects the sidecar itself is its limit of connections. Istio's values.
 */
const UNLIMITED: CircuitBreakerThresholds = {
  maxConnections: 0xffff_ffff,
  maxPendingRequests: 0xffff_ffff,
  maxRequests: 0xffff_ffff,
  maxRetries: 3,
};
const UNBROKEN: ClusterConfig["circuitBreakers"] = { default: UNLIMITED, high: THRESHOLDS }; // no request has a high priority

/** Envoy's values for a proxy at the edge are written out, those that equal its defaults included. */
function cluster(name: string, protocol: AppProtocol): Omit<ClusterConfig, "discovery"> {
  return {
    name,
    statName: name,
    lbPolicy: { type: "round-robin" }, // the one policy that every xDS client knows, gRPC included
    connectTimeoutMs: 5000,
    perConnectionBufferLimitBytes: 32 * 1024,
    circuitBreakers: { default: THRESHOLDS, high: THRESHOLDS },
    healthyPanicThresholdPercent: 50,
    upstreamProtocol: protocol === "http2" ? "http2" : "unset", // unset: HTTP/2 where a sidecar of ours stands
    idleTimeoutMs: undefined,
    maxConnectionDurationMs: 0,
    maxConnectionDurationJitterPercent: 0,
    maxRequestsPerConnection: 0,
    maxResponseHeadersKb: 80,
    maxHeadersCount: 100,
    maxStreamDurationMs: 0,
    tcpKeepalive: undefined,
    metadata: {},
  };
}
