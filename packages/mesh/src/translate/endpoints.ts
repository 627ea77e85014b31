import type { EndpointConfig, EndpointsConfig, LocalityEndpoints } from "@heddle/traffic";
import type { Service, ServicePort } from "../model/service.ts";
import type { Locality, Workload, WorkloadPort } from "../model/workload.ts";
import { mtlsMetadata } from "./mtls.ts";
import { outboundClusterName } from "./names.ts";

/**
 * Who serves one port of a service: the public ports of the workloads that it selects, grouped by locality.
 *
 * @param identityOf whom the caller finds at a workload's port by mutual TLS; undefined: the port takes plaintext.
 */
export function serviceEndpoints(
  service: Service,
  port: ServicePort,
  workloads: readonly Workload[],
  identityOf: (workload: Workload, port: WorkloadPort) => string | undefined = () => undefined,
): EndpointsConfig {
  const localities = new Map<string, { locality: Locality; endpoints: EndpointConfig[] }>();
  for (const workload of workloads) {
    const target = targetPort(service, port, workload);
    if (target === undefined) continue;
    const { region, zone, subZone } = workload.locality;
    const key = [region, zone, subZone].join("/");
    const group = localities.get(key) ?? { locality: workload.locality, endpoints: [] };
    localities.set(key, group);
    const identity = identityOf(workload, target);
    group.endpoints.push(...workload.addresses.map((address) => endpoint(address, target, identity)));
  }
  return {
    clusterName: outboundClusterName(service.namespace, service.name, port.port),
    localities: [...localities].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => localityEndpoints(group)),
    overprovisioningFactorPercent: 140,
    dropOverloads: [],
  };
}

/** The port of the workload that is meant by the port of the service; see `TargetPort`. */
export function targetPort(
  service: Service,
  { name, port, target }: ServicePort,
  workload: Workload,
): WorkloadPort | undefined {
  const { ports } = workload;
  switch (target.type) {
    case "name":
      return ports.find((candidate) => candidate.name === target.name);
    case "number":
      // In a pod it is the number that the application listens on.
      return (
        ports.find((candidate) => candidate.applicationPort === target.number) ??
        ports.find((candidate) => candidate.port === target.number)
      );
    case "unset":
      return (
        ports.find((candidate) => candidate.name === name) ??
        ports.find((candidate) => candidate.port === port) ??
        (ports.length === 1 && service.ports.length === 1 ? ports[0] : undefined)
      );
  }
}

function localityEndpoints({
  locality,
  endpoints,
}: {
  locality: Locality;
  endpoints: EndpointConfig[];
}): LocalityEndpoints {
  // One weight for each endpoint: gRPC ignores a locality without weight (gRFC A27).
  return { locality, loadBalancingWeight: endpoints.length, priority: 0, endpoints };
}

function endpoint(address: string, port: WorkloadPort, identity: string | undefined): EndpointConfig {
  return {
    address: { type: "socket", address, port: port.port },
    hostname: "",
    healthStatus: "UNKNOWN",
    loadBalancingWeight: 1,
    metadata: identity !== undefined ? mtlsMetadata(identity, takesHttp(port)) : takesHttp(port) ? SIDECAR : {},
  };
}

/** Whether a sidecar of ours takes HTTP there; what is carried as bytes goes to the application as it came. */
function takesHttp({ applicationPort, protocol }: WorkloadPort): boolean {
  return applicationPort !== undefined && protocol !== "tcp";
}

/** Tells callers with a sidecar of ours that HTTP/2 is taken there, whatever the application speaks. Others pass over it. */
const SIDECAR: EndpointConfig["metadata"] = { heddle: { h2: true } };
