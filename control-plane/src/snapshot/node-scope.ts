import {
  askedServices,
  type CapturedRules,
  type ExtensionProvider,
  type InboundSecurity,
  type Mesh,
  type MeshTrust,
  NO_POLICIES,
  type OutboundOptions,
  type Place,
  parseOutboundClusterName,
  parseServiceHost,
  type ScopeRules,
  type ServiceHost,
  type UnknownDestinations,
  type Workload,
} from "@heddle/mesh";
import type { XdsNode } from "@heddle/xds";
import type { NodeClaim } from "@heddle/xds/server";
import { accountOf, type SecretRights } from "./node-rights.ts";

/** What of the mesh a node gets. */
export interface NodeScope {
  readonly rules: ScopeRules;
  /** Where it is, as far as that makes a difference to any of the mesh's callers. */
  readonly place: Place;
  /** The node's own; undefined for a client that the mesh does not know. */
  readonly workload: Workload | undefined;
  /** How it takes what others send to its workload; with an identity it also calls others by mutual TLS. */
  readonly security: InboundSecurity;
  readonly secrets: SecretRights;
  /** Undefined: it takes no calls of an application (a gRPC client does its own, an Envoy has its own listeners). */
  readonly outbound: OutboundOptions | undefined;
  /** Names of services that the client dials by itself (gRPC): each gets a listener of just that name. */
  readonly dialledNames: readonly string[];
  readonly cluster: string;
}

/** What a node has asked for by name, over and above its scope. */
export interface Demand {
  readonly services: readonly ServiceHost[];
  readonly dialledNames: readonly string[];
}

export const NO_DEMAND: Demand = { services: [], dialledNames: [] };

/** `node.user_agent_name` of a sidecar of ours. */
const OUR_SIDECAR = "heddle";

const DEFAULT_OUTBOUND_PORT = 15_001;

/**
 * @param trust undefined: the mesh has no authority of its own.
 * @param unknown what captured nodes do with what the mesh does not know.
 */
export function nodeScope(
  node: XdsNode,
  mesh: Mesh,
  demand: Demand,
  trust: MeshTrust | undefined,
  unknown: UnknownDestinations = "passthrough",
): NodeScope {
  const identity = identityOf(node);
  const workload = workloadOf(identity, mesh);
  const policies = workload === undefined ? NO_POLICIES : mesh.policiesOf(workload);
  return {
    rules: {
      namespace: identity.namespace,
      egress: workload?.egress,
      demanded: policies.providers === undefined ? demand.services : withAsked(demand.services, policies.providers),
      // An Envoy asks for virtual hosts by delta alone, and gRPC not at all.
      onDemand: node.userAgentName === OUR_SIDECAR,
      ...(isGrpc(node) && { isGrpc: true }),
      ...(workload?.capture !== undefined && { captured: capturedRules(workload, unknown, isEnvoy(node)) }),
    },
    place: placeOf(node, workload, mesh),
    workload,
    security: {
      policies,
      trust,
      hasIdentity: trust !== undefined && hasIdentity(node),
    },
    secrets: trust === undefined ? "all" : node.identity === undefined ? "none" : "own",
    outbound: outboundOf(node, workload),
    dialledNames: demand.dialledNames,
    cluster: node.cluster,
  };
}

/** A node that the mesh does not know is where it says. */
export function placeOf(node: XdsNode, workload: Workload | undefined, { sensitivity }: Mesh): Place {
  const { zone } = workload?.locality ?? node.locality;
  return { zone: sensitivity.zone ? zone : "", node: sensitivity.node ? (workload?.node ?? "") : "" };
}

/** Its policies ask them, whatever its application may call. */
function withAsked(demanded: readonly ServiceHost[], providers: readonly ExtensionProvider[]): readonly ServiceHost[] {
  const asked = askedServices(providers).filter(
    ({ name, namespace }) => !demanded.some((one) => one.name === name && one.namespace === namespace),
  );
  return [...demanded, ...asked].sort(byName);
}

function capturedRules(
  { accessLog, addresses }: Workload,
  unknown: UnknownDestinations,
  isAnEnvoy: boolean,
): CapturedRules {
  const ipv6 = addresses.some((address) => address.includes(":"));
  const ipv4 = addresses.some((address) => !address.includes(":"));
  const key = `${accessLog} ${ipv4} ${ipv6} ${unknown} ${isAnEnvoy}`;
  let rules = capturedRulesMade.get(key);
  if (rules === undefined)
    capturedRulesMade.set(key, (rules = { accessLog, ipv4, ipv6, unknown, ...(isAnEnvoy && { isEnvoy: true }) }));
  return rules;
}

/** The same object for the same rules: what is made of them is kept by it. There are 48 at most. */
const capturedRulesMade = new Map<string, CapturedRules>();

/**
 * X1: what a node says of itself gives it no identity. gRPC has none here either: it refuses a cluster with
 * `transport_socket_matches`, whoever it is.
 */
function hasIdentity(node: XdsNode): boolean {
  return node.identity !== undefined && !isGrpc(node);
}

function isEnvoy({ userAgentName }: XdsNode): boolean {
  return userAgentName === "envoy";
}

function isGrpc({ userAgentName }: XdsNode): boolean {
  return /^grpc/i.test(userAgentName);
}

/** The node's own workload, if the mesh knows it. */
export function workloadOf({ namespace, workload, instance }: NodeIdentity, mesh: Mesh): Workload | undefined {
  return workload === undefined ? undefined : mesh.workload(namespace, workload, instance);
}

function outboundOf(node: XdsNode, workload: Workload | undefined): OutboundOptions | undefined {
  if (workload?.capture !== undefined) return undefined; // those are of its scope
  if (workload !== undefined) return { port: workload.outboundPort, accessLog: workload.accessLog };
  const ours = ourMetadata(node);
  if (ours === undefined) return undefined;
  const port = ours["outboundPort"];
  return { port: typeof port === "number" ? port : DEFAULT_OUTBOUND_PORT, accessLog: "off" };
}

/** Where in the mesh a node says that it is. */
export interface NodeIdentity {
  readonly namespace: string;
  /** The name of its workload. */
  readonly workload: string | undefined;
  /** Which of that name: the pod's own name, where it is one. */
  readonly instance: string | undefined;
}

/**
 * A sidecar of ours says `<namespace>/<workload>/<instance>`; others are in the namespace that their metadata names, or in
 * that of their certificate.
 */
export function identityOf(node: NodeClaim): NodeIdentity {
  const match = /^([a-z0-9-]+)\/([a-z0-9.-]+)\/([^/]+)$/.exec(node.id);
  if (match !== null) return { namespace: match[1] ?? "default", workload: match[2], instance: match[3] };
  const namespace = ourMetadata(node)?.["namespace"] ?? node.metadata["NAMESPACE"]; // the latter is Istio's
  if (typeof namespace === "string") return { namespace, ...NO_WORKLOAD };
  return { namespace: (node.identity && accountOf(node.identity)?.namespace) ?? "default", ...NO_WORKLOAD };
}

const NO_WORKLOAD = { workload: undefined, instance: undefined };

function ourMetadata(node: NodeClaim): { readonly [key: string]: unknown } | undefined {
  const ours = node.metadata["heddle"];
  return typeof ours === "object" && ours !== null ? (ours as { readonly [key: string]: unknown }) : undefined;
}

/**
 * The demand after more names have been asked for; the same object if they add nothing. Names of services that do not
 * exist count too, since they may come to exist; a node asks for no more than `MAX_DEMAND` of them.
 */
export function addDemand(demand: Demand, namespace: string, names: AskedNames): Demand {
  const services = [...demand.services];
  const dialledNames = [...demand.dialledNames];
  const addService = (host: ServiceHost | undefined): void => {
    if (host === undefined || services.length >= MAX_DEMAND) return;
    if (!services.some((known) => known.name === host.name && known.namespace === host.namespace)) services.push(host);
  };
  for (const name of names.clusters) addService(parseOutboundClusterName(name));
  for (const host of names.services) addService(host);
  for (const name of names.listeners) {
    const host = parseServiceHost(name, namespace);
    if (host === undefined || dialledNames.includes(name) || dialledNames.length >= MAX_DEMAND) continue;
    dialledNames.push(name);
    addService(host);
  }
  const same = services.length === demand.services.length && dialledNames.length === demand.dialledNames.length;
  return same ? demand : { services: services.sort(byName), dialledNames: dialledNames.sort() };
}

/** Names by what they are names of; those of clusters are also those of their endpoints. */
export interface AskedNames {
  readonly clusters: readonly string[];
  readonly listeners: readonly string[];
  readonly services: readonly ServiceHost[];
}

const MAX_DEMAND = 1000;

function byName(a: ServiceHost, b: ServiceHost): number {
  const [left, right] = [`${a.namespace}/${a.name}`, `${b.namespace}/${b.name}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
