import { isIP } from "node:net";
import type { EgressRule, Workload, WorkloadPort } from "../model/workload.ts";
import type { Field } from "./field.ts";
import { checkName, readMetadata } from "./metadata.ts";

const DEFAULT_OUTBOUND_PORT = 15_001;

/** Reads Heddle's own kind `Workload` (heddle.dev/v1). */
export function readWorkload(document: Field): Workload {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { namespace, name, labels } = readMetadata(metadata, "label");
  const fields = spec.object(
    "addresses",
    "ports",
    "serviceAccount",
    "capture",
    "locality",
    "egress",
    "outboundPort",
    "accessLog",
  );
  const capture = fields.capture.oneOf("redirect", "tproxy");
  const locality = fields.locality.object("region", "zone", "subZone");
  const outboundPort = fields.outboundPort.integer(1, 65_535) ?? DEFAULT_OUTBOUND_PORT;
  const ports = readPorts(fields.ports, capture !== undefined);
  if (ports.some(({ port, applicationPort }) => port === outboundPort || applicationPort === outboundPort))
    fields.outboundPort.error(`${outboundPort} is one of the workload's own ports`);
  return {
    kind: "workload",
    namespace,
    name,
    instance: undefined,
    labels,
    addresses: readAddresses(fields.addresses),
    ports,
    serviceAccount: readServiceAccount(fields.serviceAccount),
    capture,
    locality: {
      region: locality.region.text() ?? "",
      zone: locality.zone.text() ?? "",
      subZone: locality.subZone.text() ?? "",
    },
    egress: fields.egress.present ? readEgress(fields.egress, namespace) : undefined,
    outboundPort,
    accessLog: fields.accessLog.oneOf("off", "json", "text") ?? "off",
    origin: document.origin,
  };
}

/** It becomes part of a SPIFFE ID. Names of Kubernetes' accounts are subdomains. */
function readServiceAccount(field: Field): string {
  const account = field.text() ?? "default";
  checkName(field, account, "subdomain");
  return account;
}

function readAddresses(field: Field): readonly string[] {
  const addresses: string[] = [];
  for (const item of field.items()) {
    const address = item.requiredText();
    if (address !== "" && isIP(address) === 0) item.error(`found "${address}", allowed: an IPv4 or IPv6 address`);
    else if (addresses.includes(address)) item.error(`"${address}" stands here twice`);
    else if (address !== "") addresses.push(address);
  }
  if (!field.present || (Array.isArray(field.value) && field.value.length === 0))
    field.error("is missing: at least one IP address");
  return addresses;
}

function readPorts(field: Field, captured: boolean): readonly WorkloadPort[] {
  const ports: WorkloadPort[] = [];
  for (const item of field.items()) {
    const fields = item.object("name", "protocol", "port", "applicationPort");
    const name = fields.name.requiredText();
    if (name !== "" && ports.some((other) => other.name === name)) fields.name.error(`"${name}" names two ports`);
    const protocol = fields.protocol.oneOf("http", "http2", "grpc", "tcp") ?? "http";
    if (protocol === "tcp")
      fields.protocol.warn("tcp is carried to the application; callers' sidecars carry it where traffic is captured");
    if (!fields.port.present) fields.port.error("is missing");
    const port = fields.port.integer(1, 65_535);
    const applicationPort = fields.applicationPort.integer(1, 65_535);
    if (port === undefined) continue;
    if (ports.some((other) => other.port === port)) fields.port.error(`${port} stands here twice`);
    if (captured && applicationPort !== undefined)
      fields.applicationPort.error(
        "has no place where traffic is captured: the application listens on the port itself",
      );
    else if (applicationPort === port)
      fields.applicationPort.error(
        `is the public port itself; leave it out where no sidecar stands before the application`,
      );
    ports.push({
      name,
      protocol: protocol === "grpc" ? "http2" : protocol,
      detect: captured && !fields.protocol.present,
      port,
      applicationPort: captured ? port : applicationPort,
    });
  }
  return ports;
}

/** "orders", "orders.shop", "*.shop", "*". */
function readEgress(field: Field, ownNamespace: string): readonly EgressRule[] {
  const rules: EgressRule[] = [];
  for (const item of field.items()) {
    const text = item.requiredText();
    const match = /^(?:(\*)|([a-z0-9-]+|\*)\.([a-z0-9-]+)|([a-z0-9-]+))$/.exec(text);
    if (match === null) {
      if (text !== "") item.error(`found "${text}", allowed: "orders", "orders.shop", "*.shop" or "*"`);
      continue;
    }
    const [, everything, service, namespace, local] = match;
    if (everything !== undefined) rules.push({ namespace: undefined, service: undefined });
    else if (local !== undefined) rules.push({ namespace: ownNamespace, service: local });
    else rules.push({ namespace, service: service === "*" ? undefined : service });
  }
  return rules;
}
