import type { JwksUri } from "../model/request-authentication.ts";
import type { BackendRef } from "../model/route-ends.ts";
import type { Service, ServicePort } from "../model/service.ts";

/* The names of generated resources. People see them in `heddle status`, in the access log and in metrics. */

export const OUTBOUND_LISTENER = "outbound";
export const OUTBOUND_ROUTES = "outbound";
export const ROUTER_FILTER = "envoy.filters.http.router";

/** Clusters that go where the client has meant to go: out of the pod, and to the application. */
export const PASSTHROUGH_CLUSTER = "passthrough";
export const INBOUND_PASSTHROUGH_CLUSTER = "inbound/passthrough";
/** A cluster that leads nowhere. */
export const BLACKHOLE_CLUSTER = "blackhole";
/** In a pod. */
export const INBOUND_LISTENER = "inbound";
export const DNS_LISTENER = "dns";
export const DNS_TCP_LISTENER = "dns/tcp";

/** In a pod: of the listener of all HTTP of one port, and of its route configuration. */
export function outboundPortName(port: number): string {
  return `outbound/${port}`;
}

/** In a pod: of the listener of one service's port, at the service's own address. */
export function outboundAddressName(port: number, address: string): string {
  return `outbound/${port}/${address}`;
}

/** Of the cluster and of its endpoints. */
export function outboundClusterName(namespace: string, service: string, port: number): string {
  return `outbound/${port}/${service}.${namespace}`;
}

/** Of the cluster that a route's backend is. */
export function clusterNameOf({ namespace, name, port }: Pick<BackendRef, "namespace" | "name" | "port">): string {
  return outboundClusterName(namespace, name, port);
}

/** Of no cluster: where requests of a backend go that must not have them. */
export const NO_CLUSTER = "refused";

/** Of the listener at a workload's public port, its route configuration, and the cluster that is the application. */
export function inboundName(publicPort: number): string {
  return `inbound/${publicPort}`;
}

/**
 * What callers of ours ask for by SNI where they call by mutual TLS. It tells the mesh's TLS from an application's own on the
 * same port, without a word of ALPN; ".internal" is nobody's (ICANN keeps it for private use).
 */
export function meshServerName({ name, namespace }: Service, { port }: ServicePort): string {
  return `${port}.${name}.${namespace}.${MESH_DOMAIN}`;
}

const MESH_DOMAIN = "heddle.internal";

/** Every `meshServerName`, as a filter chain asks for them. */
export const MESH_SERVER_NAMES = `*.${MESH_DOMAIN}`;

/** Of the cluster that an issuer's keys come from. */
export function keysClusterName({ tls, host, port }: JwksUri): string {
  return `jwks/${tls ? "https" : "http"}/${host}/${port}`;
}

const CLUSTER_DOMAIN = "svc.cluster.local";

/**
 * The names that a caller may use for a service, as Kubernetes DNS has them; the bare one only within its namespace.
 *
 * @param fromNamespace the caller's; undefined: names that everybody may use.
 */
export function serviceHosts(service: Service, fromNamespace: string | undefined): readonly string[] {
  const { name, namespace } = service;
  const everywhere = [`${name}.${namespace}`, `${name}.${namespace}.svc`, `${name}.${namespace}.${CLUSTER_DOMAIN}`];
  return namespace === fromNamespace ? [name, ...everywhere] : everywhere;
}

/** The port that is meant by a name without one: 80, as "http://" has it, else the first. */
export function defaultPort(service: Service): ServicePort | undefined {
  const ports = service.ports.filter(isCarried);
  return ports.find(({ port }) => port === 80) ?? ports[0];
}

/** Whether requests to the port are routed; others wait until the mesh carries TCP. */
export function isCarried(port: ServicePort): boolean {
  return port.protocol !== "tcp";
}

/** What somebody may have meant by "orders.default:80": a service and one of its ports. */
export interface ServiceHost {
  readonly namespace: string;
  readonly name: string;
  /** Undefined: the default one. */
  readonly port: number | undefined;
}

/** Reads one of `serviceHosts`, with or without port. Undefined: it is no name of a service. */
export function parseServiceHost(host: string, fromNamespace: string): ServiceHost | undefined {
  const match = /^([a-z0-9-]+)(?:\.([a-z0-9-]+)(?:\.svc(?:\.cluster\.local)?)?)?(?::(\d{1,5}))?$/.exec(host);
  if (match === null) return undefined;
  const [, name = "", namespace = fromNamespace, port] = match;
  return { namespace, name, port: port === undefined ? undefined : Number(port) };
}

/** Of the cluster, and of the listener, of a headless service's pods, each of which is called by its own address. */
export function podsName(service: Service, { port }: ServicePort): string {
  return `${outboundClusterName(service.namespace, service.name, port)}/pods`;
}

/** Reads a name made by `outboundClusterName`. */
export function parseOutboundClusterName(name: string): ServiceHost | undefined {
  const match = /^outbound\/(\d{1,5})\/([a-z0-9-]+)\.([a-z0-9-]+)$/.exec(name);
  if (match === null) return undefined;
  return { port: Number(match[1]), name: match[2] ?? "", namespace: match[3] ?? "" };
}
