import type { AppProtocol, Service, ServicePort, TargetPort } from "../model/service.ts";
import type { Field } from "./field.ts";
import { readMetadata } from "./metadata.ts";

/** Fields of a ServiceSpec that are about the cluster's own networking: a sidecar goes to the workloads directly. */
const WITHOUT_MEANING = [
  "type",
  "clusterIP",
  "clusterIPs",
  "ipFamilies",
  "ipFamilyPolicy",
  "internalTrafficPolicy",
  "externalTrafficPolicy",
  "allocateLoadBalancerNodePorts",
  "healthCheckNodePort",
  "loadBalancerClass",
  "loadBalancerIP",
  "loadBalancerSourceRanges",
  "externalIPs",
  "sessionAffinity",
  "sessionAffinityConfig",
  "publishNotReadyAddresses",
  "trafficDistribution",
] as const;

/** Reads a Kubernetes `Service` (core v1). */
export function readService(document: Field): Service {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { namespace, name } = readMetadata(metadata, "label");
  const fields = spec.object("selector", "ports", "externalName", ...WITHOUT_MEANING);
  if (fields.type.value === "ExternalName" || fields.externalName.present)
    fields.type.warn("ExternalName has no effect yet: the service has no workloads");
  if (fields.sessionAffinity.value === "ClientIP")
    fields.sessionAffinity.warn("ClientIP has no effect yet: requests are balanced one by one");
  return {
    kind: "service",
    namespace,
    name,
    selector: fields.selector.present ? fields.selector.texts() : undefined,
    ports: readPorts(fields.ports),
    origin: document.origin,
  };
}

function readPorts(ports: Field): readonly ServicePort[] {
  const read: ServicePort[] = [];
  const items = ports.items();
  for (const item of items) {
    const fields = item.object("name", "port", "targetPort", "protocol", "appProtocol", "nodePort");
    if (!fields.port.present) fields.port.error("is missing");
    const port = fields.port.integer(1, 65_535);
    const name = fields.name.text() ?? "";
    if (name === "" && items.length > 1) fields.name.error("is missing: of several ports each needs one");
    if (name !== "" && read.some((other) => other.name === name)) fields.name.error(`"${name}" names two ports`);
    const transport = fields.protocol.oneOf("TCP", "UDP", "SCTP") ?? "TCP";
    if (transport !== "TCP") {
      fields.protocol.warn(`${transport} is not carried yet: the port is left out`);
      continue;
    }
    if (port === undefined) continue;
    if (read.some((other) => other.port === port)) fields.port.error(`${port} stands here twice`);
    const protocol = readAppProtocol(fields.appProtocol, name);
    if (protocol === "tcp") fields.appProtocol.warn("is not HTTP and is not carried yet: the port is left out");
    read.push({ name, port, protocol, target: readTarget(fields.targetPort) });
  }
  return read;
}

/**
 * `appProtocol`, else the beginning of the port's name up to a "-" (Istio's convention, which many manifests follow), else
 * HTTP. Names of appProtocol: KEP-3726 and IANA's service names.
 */
export function readAppProtocol(field: Field, portName: string): AppProtocol {
  const said = field.text();
  const name = (said ?? portName.split("-", 1)[0] ?? "").toLowerCase().replace(/^kubernetes\.io\//, "");
  switch (name) {
    case "h2c":
    case "http2":
    case "grpc":
    case "grpc-web":
      return "http2";
    case "https":
    case "wss":
    case "tls":
    case "tcp":
    case "mongo":
    case "mysql":
    case "redis":
    case "postgresql":
      return "tcp";
    case "http":
    case "ws":
      return "http";
    default:
      return said === undefined ? "http" : "tcp"; // somebody's own protocol is not HTTP; a port's free name says nothing
  }
}

function readTarget(field: Field): TargetPort {
  if (!field.present) return { type: "unset" };
  if (typeof field.value === "string") return { type: "name", name: field.value };
  const number = field.integer(1, 65_535);
  return number === undefined ? { type: "unset" } : { type: "number", number };
}
