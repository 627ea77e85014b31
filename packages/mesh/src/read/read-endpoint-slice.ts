import { isIP } from "node:net";
import type { EndpointHints, EndpointSlice, SliceEndpoint, SlicePort } from "../model/endpoint-slice.ts";
import type { IpFamily } from "../model/service.ts";
import type { Field } from "./field.ts";
import { readMetadata } from "./metadata.ts";
import { appProtocolOf } from "./read-service.ts";

const SERVICE_LABEL = "kubernetes.io/service-name";

/** Reads an `EndpointSlice` (discovery.k8s.io/v1). Undefined: it is of no use here, which is no fault. */
export function readEndpointSlice(document: Field): EndpointSlice | undefined {
  const fields = document.object("apiVersion", "kind", "metadata", "addressType", "endpoints", "ports");
  const { namespace, name, labels } = readMetadata(fields.metadata, "subdomain");
  if (!fields.addressType.present) fields.addressType.error("is missing");
  const family = fields.addressType.oneOf("IPv4", "IPv6", "FQDN");
  const service = labels[SERVICE_LABEL];
  if (family === "FQDN") fields.addressType.warn("FQDN has no effect: Kubernetes itself gives it no meaning");
  const ports = readPorts(fields.ports);
  if (family === undefined || family === "FQDN" || service === undefined || service === "") return undefined;
  const endpoints = fields.endpoints.items().flatMap((item) => readEndpoint(item, family) ?? []);
  return { kind: "endpoint-slice", namespace, name, service, family, ports, endpoints, origin: document.origin };
}

function readPorts(ports: Field): readonly SlicePort[] {
  return ports.items().flatMap((item) => {
    const { name, port, protocol, appProtocol } = item.object("name", "port", "protocol", "appProtocol");
    const transport = protocol.oneOf("TCP", "UDP", "SCTP") ?? "TCP";
    const number = port.integer(1, 65_535);
    // Without a number it is all ports, which no Service asks for.
    if (transport !== "TCP" || number === undefined) return [];
    const said = appProtocol.text();
    return {
      name: name.text() ?? "",
      port: number,
      protocol: said === undefined ? undefined : (appProtocolOf(said) ?? "tcp"),
    };
  });
}

/** What nobody says is as for kube-proxy: an endpoint is ready unless somebody says that it is not. */
function readEndpoint(item: Field, family: IpFamily): SliceEndpoint | undefined {
  const fields = item.pick("addresses", "conditions", "targetRef", "nodeName", "hostname", "zone", "hints");
  const addresses = fields.addresses.items().flatMap((field) => readAddress(field, family) ?? []);
  const { ready, serving, terminating } = fields.conditions.pick("ready", "serving", "terminating");
  const isReady = ready.oneOf(true, false) ?? true;
  const target = fields.targetRef.pick("kind", "name");
  if (addresses.length === 0) {
    if (fields.addresses.items().length === 0) fields.addresses.error("is missing: at least one IP address");
    return undefined;
  }
  const hints = readHints(fields.hints);
  return {
    addresses,
    ready: isReady,
    serving: serving.oneOf(true, false) ?? isReady,
    terminating: terminating.oneOf(true, false) ?? false,
    pod: target.kind.value === "Pod" ? target.name.text() : undefined,
    node: fields.nodeName.text() ?? "",
    hostname: fields.hostname.text() ?? "",
    locality: { region: "", zone: fields.zone.text() ?? "", subZone: "" },
    ...(hints !== undefined && { hints }),
  };
}

function readHints(field: Field): EndpointHints | undefined {
  const { forZones, forNodes } = field.pick("forZones", "forNodes");
  const names = (list: Field): readonly string[] => list.items().map((item) => item.pick("name").name.requiredText());
  const hints = { zones: names(forZones), nodes: names(forNodes) };
  return hints.zones.length + hints.nodes.length > 0 ? hints : undefined;
}

function readAddress(field: Field, family: IpFamily): string | undefined {
  const address = field.requiredText();
  if (address === "") return undefined;
  if (isIP(address) === (family === "IPv4" ? 4 : 6)) return address;
  field.error(`found "${address}", allowed: an ${family} address`);
  return undefined;
}
