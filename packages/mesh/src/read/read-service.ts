import { isIP, SocketAddress } from "node:net";
import type { AppProtocol, Service, ServicePort, TargetPort } from "../model/service.ts";
import type { Field } from "./field.ts";
import { checkName, readMetadata } from "./metadata.ts";

/** Fields of a ServiceSpec that are about the cluster's own networking: a sidecar goes to the workloads directly. */
const WITHOUT_MEANING = [
  "ipFamilyPolicy",
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
] as const;

/** Reads a Kubernetes `Service` (core v1). */
export function readService(document: Field): Service {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { namespace, name, annotations } = readMetadata(metadata, "label");
  const fields = spec.object(
    "selector",
    "ports",
    "externalName",
    "type",
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "internalTrafficPolicy",
    "trafficDistribution",
    ...WITHOUT_MEANING,
  );
  const isExternal = fields.type.value === "ExternalName";
  if (fields.sessionAffinity.value === "ClientIP")
    fields.sessionAffinity.warn("ClientIP has no effect yet: requests are balanced one by one");
  const prefers = readTrafficDistribution(fields.trafficDistribution);
  const isNodeLocal = fields.internalTrafficPolicy.oneOf("Cluster", "Local") === "Local";
  return {
    kind: "service",
    namespace,
    name,
    selector: fields.selector.present ? fields.selector.texts() : undefined,
    ports: readPorts(fields.ports, readOpaquePorts(annotations)),
    ...readAddresses(fields.clusterIP, fields.clusterIPs),
    ipFamilies: fields.ipFamilies.items().flatMap((item) => item.oneOf("IPv4", "IPv6") ?? []),
    externalName: isExternal ? readExternalName(fields.externalName) : undefined,
    ...(prefers !== undefined && { prefers }),
    ...(isNodeLocal && { isNodeLocal }),
    origin: document.origin,
  };
}

/** Kubernetes has more of them from time to time, and asks that they be passed over by who does not know them. */
function readTrafficDistribution(field: Field): Service["prefers"] {
  const said = field.text();
  switch (said) {
    case undefined:
      return undefined;
    case "PreferClose":
    case "PreferSameZone":
      return "same-zone";
    case "PreferSameNode":
      return "same-node";
    default:
      field.warn(`"${said}" has no effect; Heddle knows PreferClose, PreferSameZone, PreferSameNode`);
      return undefined;
  }
}

/** `clusterIPs` has the second family's too; where it is left out, in a file say, `clusterIP` alone counts. */
function readAddresses(one: Field, many: Field): Pick<Service, "clusterIps" | "headless"> {
  const items = many.items();
  const said = (items.length > 0 ? items : [one]).map((field) => ({ field, text: field.text() ?? "" }));
  const headless = said.some(({ text }) => text === "None");
  const clusterIps: string[] = [];
  for (const { field, text } of said) {
    if (text === "" || text === "None") continue;
    if (isIP(text) === 0) field.error(`found "${text}", allowed: an IPv4 or IPv6 address, None`);
    else clusterIps.push(canonicalIp(text));
  }
  return { clusterIps: headless ? [] : [...new Set(clusterIps)], headless };
}

/** An IPv6 address has many spellings (RFC 5952). */
function canonicalIp(text: string): string {
  return isIP(text) === 6 ? new SocketAddress({ address: text, family: "ipv6" }).address : text;
}

/** Nobody's calls are led to the caller's own machine, where its sidecar has its admin page. */
function readExternalName(field: Field): string | undefined {
  const name = field.requiredText().toLowerCase().replace(/\.$/, "");
  if (name === "") return undefined;
  if (isIP(name) !== 0 || /^[\d.]+$/.test(name) || name === "localhost" || name.endsWith(".localhost")) {
    field.warn(`"${name}" has no effect: allowed is a DNS name, and none of this machine`);
    return undefined;
  }
  const before = field.value;
  checkName(field, name, "subdomain");
  return typeof before === "string" ? name : undefined;
}

/** Annotation of a Service: see `readOpaquePorts`. */
export const OPAQUE_PORTS = "heddle.dev/opaque-ports";

/** The entries of that annotation that can be read. */
export function readableOpaquePorts(text: string): string {
  return portTexts(text)
    .filter((entry) => opaquePort(entry) !== undefined)
    .join();
}

function portTexts(text: string): readonly string[] {
  return text.split(",").map((entry) => entry.trim());
}

function opaquePort(text: string): number | undefined {
  return /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined;
}

/**
 * Ports of the service that are bytes, whatever is said of them elsewhere and whatever they look like: for callers what the
 * annotation of that name is for the pods. Strict, since what was to be carried as it is would be changed.
 */
function readOpaquePorts(annotations: Field): ReadonlySet<number> {
  const field = annotations.pick(OPAQUE_PORTS)[OPAQUE_PORTS];
  const texts = portTexts(field.text() ?? "");
  if (texts.length === 1 && texts[0] === "") return new Set();
  const ports = texts.flatMap((text) => opaquePort(text) ?? []);
  if (ports.length < texts.length)
    field.error(`found "${texts.join(",")}", allowed: ports, 1 to 65535, with commas between`);
  return new Set(ports);
}

function readPorts(ports: Field, opaque: ReadonlySet<number>): readonly ServicePort[] {
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
    const said = readAppProtocol(fields.appProtocol, name);
    const { protocol, detect } = opaque.has(port) ? OPAQUE : said;
    if (said.protocol === "tcp")
      fields.appProtocol.warn("is not HTTP: captured callers alone (pods) are led there by the mesh, as bytes");
    read.push({ name, port, protocol, detect, target: readTarget(fields.targetPort) });
  }
  return read;
}

/** What is spoken on a port, and whether nobody has said so: then HTTP, except where first bytes are seen. */
interface SpokenProtocol {
  readonly protocol: AppProtocol;
  readonly detect: boolean;
}

const OPAQUE: SpokenProtocol = { protocol: "tcp", detect: false };

function readAppProtocol(field: Field, portName: string): SpokenProtocol {
  const said = field.text();
  if (said !== undefined) return { protocol: appProtocolOf(said) ?? "tcp", detect: false }; // somebody's own is not HTTP
  return protocolOfPortName(portName);
}

/** By the beginning of the port's name up to a "-": Istio's convention, which many manifests follow. */
export function protocolOfPortName(portName: string): SpokenProtocol {
  const protocol = appProtocolOf(portName.split("-", 1)[0] ?? "");
  return protocol === undefined ? { protocol: "http", detect: true } : { protocol, detect: false }; // a free name says nothing
}

/** Names of `appProtocol`: KEP-3726 and IANA's service names. Undefined: it is none of those. */
export function appProtocolOf(name: string): AppProtocol | undefined {
  switch (name.toLowerCase().replace(/^kubernetes\.io\//, "")) {
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
      return undefined;
  }
}

function readTarget(field: Field): TargetPort {
  if (!field.present) return { type: "unset" };
  if (typeof field.value === "string") return { type: "name", name: field.value };
  const number = field.integer(1, 65_535);
  return number === undefined ? { type: "unset" } : { type: "number", number };
}
