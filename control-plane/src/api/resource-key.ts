import { err, ok, type Result } from "@heddle/base";

/** Which stored resource is meant. */
export interface ResourceKey {
  /** "envoy.config.cluster.v3.Cluster", "Service", "gateway.networking.k8s.io/HTTPRoute". */
  readonly type: string;
  /** "" of an xDS resource, which has none. */
  readonly namespace: string;
  readonly name: string;
  /** The `node.cluster` of the nodes that it is for; "" for all. */
  readonly nodeCluster: string;
}

/** A type of resources that can be stored. */
export interface StoredType {
  readonly type: string;
  readonly namespaced: boolean;
  /** The first is what people are shown. */
  readonly shortNames: readonly string[];
}

const XDS = { namespaced: false } as const;
const OBJECT = { namespaced: true } as const;

/** Every type that people may name, whether or not this version can read one. */
export const STORED_TYPES: readonly StoredType[] = [
  { ...OBJECT, type: "Service", shortNames: ["service", "services", "svc"] },
  { ...OBJECT, type: "gateway.networking.k8s.io/HTTPRoute", shortNames: ["httproute", "httproutes"] },
  { ...OBJECT, type: "gateway.networking.k8s.io/GRPCRoute", shortNames: ["grpcroute", "grpcroutes"] },
  { ...OBJECT, type: "gateway.networking.k8s.io/TLSRoute", shortNames: ["tlsroute", "tlsroutes"] },
  { ...OBJECT, type: "gateway.networking.k8s.io/TCPRoute", shortNames: ["tcproute", "tcproutes"] },
  {
    ...OBJECT,
    type: "gateway.networking.k8s.io/ReferenceGrant",
    shortNames: ["referencegrant", "referencegrants", "refgrant"],
  },
  { ...OBJECT, type: "heddle.dev/Workload", shortNames: ["workload", "workloads"] },
  { ...OBJECT, type: "heddle.dev/PeerAuthentication", shortNames: ["peerauthentication", "peerauthentications", "pa"] },
  {
    ...OBJECT,
    type: "heddle.dev/AuthorizationPolicy",
    shortNames: ["authorizationpolicy", "authorizationpolicies", "ap"],
  },
  {
    ...OBJECT,
    type: "heddle.dev/ExtensionProvider",
    shortNames: ["extensionprovider", "extensionproviders", "ep"],
  },
  {
    ...OBJECT,
    type: "heddle.dev/RequestAuthentication",
    shortNames: ["requestauthentication", "requestauthentications", "ra"],
  },
  { ...XDS, type: "envoy.config.listener.v3.Listener", shortNames: ["listener", "listeners", "lds"] },
  {
    ...XDS,
    type: "envoy.config.route.v3.RouteConfiguration",
    shortNames: ["route", "routes", "routeconfiguration", "route-configuration", "rds"],
  },
  { ...XDS, type: "envoy.config.route.v3.VirtualHost", shortNames: ["virtualhost", "virtual-host", "vhds"] },
  { ...XDS, type: "envoy.config.cluster.v3.Cluster", shortNames: ["cluster", "clusters", "cds"] },
  {
    ...XDS,
    type: "envoy.config.endpoint.v3.ClusterLoadAssignment",
    shortNames: ["endpoints", "endpoint", "clusterloadassignment", "eds"],
  },
  {
    ...XDS,
    type: "envoy.extensions.transport_sockets.tls.v3.Secret",
    shortNames: ["secret", "secrets", "sds"],
  },
  {
    ...XDS,
    type: "envoy.config.core.v3.TypedExtensionConfig",
    shortNames: ["extension", "extensions", "extension-config", "ecds"],
  },
  { ...XDS, type: "envoy.service.runtime.v3.Runtime", shortNames: ["runtime", "runtimes", "rtds"] },
];

/** The type that is meant by "cluster", "Cluster", "envoy.config.cluster.v3.Cluster" or its type URL. */
export function findStoredType(text: string): StoredType | undefined {
  const name = text.replace(/^type\.googleapis\.com\//, "");
  const short = name.toLowerCase();
  return STORED_TYPES.find(({ type, shortNames }) => type === name || shortNames.includes(short));
}

/** "Cluster" is envoy.config.cluster.v3.Cluster: what people are told where they have named no type that there is. */
export function knownTypes(): string {
  return STORED_TYPES.map(({ shortNames: [short = ""] }) => short).join(", ");
}

/** A key as somebody wrote it, with what he has left out. The error says what is wrong with it. */
export function completeKey(key: Partial<ResourceKey>): Result<ResourceKey, string> {
  const { type = "", namespace = "", name = "", nodeCluster = "" } = key;
  const found = findStoredType(type);
  if (found === undefined) return err(`type: found "${type}", allowed: ${knownTypes()}`);
  if (name === "") return err("name: is missing");
  for (const [field, value] of Object.entries({ namespace, name, nodeCluster }))
    if (value.length > MAX_NAME_LENGTH || !value.isWellFormed())
      return err(`${field}: allowed are ${MAX_NAME_LENGTH} characters of Unicode`);
  if (!found.namespaced && namespace !== "") return err(`namespace: found "${namespace}"; an xDS resource has none`);
  if (found.namespaced && nodeCluster !== "") return err(`nodeCluster: ${NOT_FOR_SOME}`);
  return ok({ type: found.type, namespace: found.namespaced ? namespace || "default" : "", name, nodeCluster });
}

export const NOT_FOR_SOME =
  "only xDS resources can be for some nodes; Services, routes, Workloads and policies are the mesh's";

const MAX_NAME_LENGTH = 1024;

/** What the store knows it by. Keys sort by type, namespace, name and node group. */
export function storeKeyOf({ type, namespace, name, nodeCluster }: ResourceKey): string {
  return [type, namespace, name, nodeCluster].map(encodeURIComponent).join("/");
}

/** Undefined: no key of ours. */
export function parseStoreKey(text: string): ResourceKey | undefined {
  try {
    const [type, namespace, name, nodeCluster, ...more] = text.split("/").map(decodeURIComponent);
    if (type === undefined || namespace === undefined || name === undefined || nodeCluster === undefined)
      return undefined;
    return more.length > 0 || type === "" || name === "" ? undefined : { type, namespace, name, nodeCluster };
  } catch {
    return undefined; // a "%" with something else behind it
  }
}

/**
 * "cluster/backend for node.cluster=web", "service/default/orders". On one line whatever the name holds: it goes to terminals
 * and into comments of YAML, where a line break would be what its writer makes of it.
 */
export function formatKey({ type, namespace, name, nodeCluster }: ResourceKey): string {
  const short = findStoredType(type)?.shortNames[0] ?? type;
  const full = namespace === "" ? `${short}/${name}` : `${short}/${namespace}/${name}`;
  const text = nodeCluster === "" ? full : `${full} for node.cluster=${nodeCluster}`;
  return text.replaceAll(NOT_ON_ONE_LINE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Controls, line and paragraph separators, and what turns the direction of writing. */
const NOT_ON_ONE_LINE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
