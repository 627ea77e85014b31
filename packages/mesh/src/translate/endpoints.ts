import { isIP } from "node:net";
import { type EndpointConfig, type EndpointsConfig, type LocalityEndpoints, noEndpoints } from "@heddle/traffic";
import type { EndpointSlice, SliceEndpoint } from "../model/endpoint-slice.ts";
import { placesOfEndpoint, workloadsByPlace } from "../model/mesh.ts";
import { ANYWHERE, type Place } from "../model/place.ts";
import type { IpFamily, Service, ServicePort } from "../model/service.ts";
import type { Locality, Workload, WorkloadPort } from "../model/workload.ts";
import { type Placed, prioritiesFor } from "./closeness.ts";
import { mtlsMetadata } from "./mtls.ts";
import { outboundClusterName } from "./names.ts";

/** Whom the caller finds at a workload's port by mutual TLS; undefined: the port takes plaintext. */
export type IdentityOf = (workload: Workload, port: WorkloadPort) => string | undefined;

/** What is behind a service. */
export interface Backing {
  /** Of the service; where there are none, `workloads` are those that it selects. */
  readonly slices: readonly EndpointSlice[];
  /** With slices: those that they refer to. */
  readonly workloads: readonly Workload[];
}

/** Who serves one port of a service, grouped by priority and locality, for callers at a place. */
export function endpointsBehind(
  service: Service,
  port: ServicePort,
  { slices, workloads }: Backing,
  identityOf?: IdentityOf,
  place: Place = ANYWHERE,
): EndpointsConfig {
  return slices.length === 0
    ? serviceEndpoints(service, port, workloads, identityOf, place)
    : endpointsOfSlices(service, port, { slices, workloads }, identityOf, place);
}

/** The same of a service without slices: the public ports of the workloads that it selects. */
export function serviceEndpoints(
  service: Service,
  port: ServicePort,
  workloads: readonly Workload[],
  identityOf: IdentityOf = () => undefined,
  place: Place = ANYWHERE,
): EndpointsConfig {
  const found: FoundEndpoint[] = [];
  for (const workload of workloads) {
    const target = targetPort(service, port, workload);
    if (target === undefined) continue;
    const identity = identityOf(workload, target);
    const { locality, node = "" } = workload;
    const placed = { zone: locality.zone, node, hints: undefined };
    for (const address of workload.addresses)
      found.push({ locality, placed, config: endpoint(address, target.port, metadataOf(target, identity)) });
  }
  return loadAssignment(service, port, found, place);
}

function endpointsOfSlices(
  service: Service,
  port: ServicePort,
  { slices, workloads }: Backing,
  identityOf: IdentityOf = () => undefined,
  place: Place = ANYWHERE,
): EndpointsConfig {
  const places = workloadsByPlace(workloads);
  const found: FoundEndpoint[] = [];
  for (const { namespace, number, endpoint: one } of servingEndpoints(service, port, slices)) {
    const address = one.addresses[0]!; // at least one
    const workload = placesOfEndpoint(namespace, one)
      .map((place) => places.get(place))
      // A slice may say of any address whose it is: only the pod's own is believed.
      .find((candidate) => candidate?.addresses.includes(address));
    const target = workload?.ports.find((candidate) => candidate.port === number);
    const identity = workload && target && identityOf(workload, target);
    const { locality, node, hints } = one;
    const placed = { zone: locality.zone, node, hints };
    const metadata = target === undefined ? {} : metadataOf(target, identity);
    found.push({ locality, placed, config: endpoint(address, number, metadata) });
  }
  return loadAssignment(service, port, found, place);
}

/** An endpoint of a slice that serves a port of its service now. */
export interface ServingEndpoint {
  readonly namespace: string;
  readonly endpoint: SliceEndpoint;
  /** Of the pod. */
  readonly number: number;
}

/**
 * The endpoints that take new requests, by kube-proxy's rule (KEP-1669): those that are ready; where there are none, those
 * that are being ended and still serve. Of one family alone, so that each pod is there once: the first of the service's
 * that has any.
 */
export function servingEndpoints(
  service: Service,
  port: Pick<ServicePort, "name">,
  slices: readonly EndpointSlice[],
): readonly ServingEndpoint[] {
  for (const family of familiesOf(service, slices)) {
    const all = slices
      .filter((slice) => slice.family === family)
      .flatMap(({ namespace, ports, endpoints }) => {
        const number = ports.find(({ name }) => name === port.name)?.port;
        return number === undefined ? [] : endpoints.map((one) => ({ namespace, endpoint: one, number }));
      });
    const ready = all.filter(({ endpoint: one }) => one.ready);
    const found = ready.length > 0 ? ready : all.filter(({ endpoint: one }) => one.serving && one.terminating);
    // While a slice becomes two, one endpoint may stand in both.
    if (found.length > 0) return [...new Map(found.map((one) => [one.endpoint.addresses[0], one])).values()];
  }
  return [];
}

function familiesOf({ ipFamilies, clusterIps }: Service, slices: readonly EndpointSlice[]): ReadonlySet<IpFamily> {
  const said = ipFamilies.length > 0 ? ipFamilies : clusterIps.map((ip) => (isIP(ip) === 6 ? "IPv6" : "IPv4"));
  return new Set([...said, ...slices.map(({ family }) => family).sort()]);
}

interface FoundEndpoint {
  readonly locality: Locality;
  readonly placed: Placed;
  readonly config: EndpointConfig;
}

function loadAssignment(
  service: Service,
  port: ServicePort,
  found: readonly FoundEndpoint[],
  place: Place,
): EndpointsConfig {
  const endpoints = found.map(({ placed }) => placed);
  const priorities = prioritiesFor(service, endpoints, place);
  const groups = new EndpointGroups();
  for (const [index, { locality, config }] of found.entries()) {
    const priority = priorities[index];
    if (priority !== undefined) groups.add(priority, locality, config);
  }
  return {
    ...noEndpoints(outboundClusterName(service.namespace, service.name, port.port)),
    localities: groups.all,
  };
}

/** Endpoints by priority and locality. */
class EndpointGroups {
  readonly #groups = new Map<string, EndpointGroup>();

  add(priority: number, locality: Locality, one: EndpointConfig): void {
    const { region, zone, subZone } = locality;
    const key = [priority, region, zone, subZone].join("/");
    const group = this.#groups.get(key);
    if (group === undefined) this.#groups.set(key, { priority, locality, endpoints: [one] });
    else group.endpoints.push(one);
  }

  get all(): readonly LocalityEndpoints[] {
    return [...this.#groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => localityEndpoints(group));
  }
}

interface EndpointGroup {
  /** At most 2, so that the order of keys is theirs too. */
  readonly priority: number;
  readonly locality: Locality;
  readonly endpoints: EndpointConfig[];
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

function localityEndpoints({ priority, locality, endpoints }: EndpointGroup): LocalityEndpoints {
  // One weight for each endpoint: gRPC ignores a locality without weight (gRFC A27).
  return { locality, loadBalancingWeight: endpoints.length, priority, endpoints };
}

function endpoint(address: string, port: number, metadata: EndpointConfig["metadata"]): EndpointConfig {
  return {
    address: { type: "socket", address, port },
    hostname: "",
    healthStatus: "UNKNOWN",
    loadBalancingWeight: 1,
    metadata,
  };
}

function metadataOf(port: WorkloadPort, identity: string | undefined): EndpointConfig["metadata"] {
  if (identity !== undefined) return mtlsMetadata(identity, takesHttp(port));
  return takesHttp(port) ? SIDECAR : {};
}

/** Whether a sidecar of ours takes HTTP there; what is carried as bytes goes to the application as it came. */
function takesHttp({ applicationPort, protocol }: WorkloadPort): boolean {
  return applicationPort !== undefined && protocol !== "tcp";
}

/** Tells callers with a sidecar of ours that HTTP/2 is taken there, whatever the application speaks. Others pass over it. */
const SIDECAR: EndpointConfig["metadata"] = { heddle: { h2: true } };
