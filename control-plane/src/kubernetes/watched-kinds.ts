import { INJECTED_LABEL } from "@heddle/inject";
import type { KubeApi } from "./kube-client.ts";
import { KubeError } from "./kube-error.ts";
import type { ReadableKind } from "./object-reader.ts";

/** A kind of objects that the source follows. */
export interface WatchedKind extends ReadableKind {
  readonly plural: string;
  /** Defined by a CustomResourceDefinition, which may not be there, or come later. */
  readonly isCustom: boolean;
  /** The mesh does without it where our account may not read it. */
  readonly isDispensable: boolean;
  /** Of the same group, which older definitions serve in the place of `apiVersion`: the best first. */
  readonly olderVersions?: readonly string[];
}

const GATEWAY = "gateway.networking.k8s.io";
const OURS = "heddle.dev";

/** What the mesh's own readers read. */
export const MESH_KINDS: readonly WatchedKind[] = [
  core("v1", "Service", "services"),
  core("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
  { ...gateway("HTTPRoute", "httproutes", "v1beta1"), hasStatus: true, isDispensable: false },
  { ...custom(`${GATEWAY}/v1`, "GRPCRoute", "grpcroutes"), hasStatus: true, isDispensable: true },
  { ...gateway("TLSRoute", "tlsroutes", "v1alpha3", "v1alpha2"), hasStatus: true },
  { ...gateway("TCPRoute", "tcproutes", "v1alpha2"), hasStatus: true },
  gateway("ReferenceGrant", "referencegrants", "v1beta1"),
  { ...custom(`${OURS}/v1`, "Workload", "workloads"), hasStatus: true },
  { ...custom(`${OURS}/v1`, "PeerAuthentication", "peerauthentications"), hasStatus: true },
  { ...custom(`${OURS}/v1`, "AuthorizationPolicy", "authorizationpolicies"), hasStatus: true },
  // An earlier installation has not defined it, nor given the right to read it.
  {
    ...custom(`${OURS}/v1`, "ExtensionProvider", "extensionproviders"),
    hasStatus: true,
    isDispensable: true,
  },
  { ...custom(`${OURS}/v1`, "RequestAuthentication", "requestauthentications"), hasStatus: true },
];

export const PODS = core("v1", "Pod", "pods");
export const NODES: WatchedKind = { ...core("v1", "Node", "nodes"), isDispensable: true };
export const NAMESPACES = core("v1", "Namespace", "namespaces");

/** Pods without a sidecar are but endpoints, which their slices tell. */
export const INJECTED_PODS = `${INJECTED_LABEL}=true`;

/** Of an object its metadata alone: a Node's status is large, and changes all the time. */
export const METADATA_ONLY =
  "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

function core(apiVersion: string, kind: string, plural: string): WatchedKind {
  return { apiVersion, kind, plural, isCustom: false, isDispensable: false, hasStatus: false };
}

function custom(apiVersion: string, kind: string, plural: string): WatchedKind {
  return { ...core(apiVersion, kind, plural), isCustom: true };
}

/** An account of an earlier installation may not read it. */
function gateway(kind: string, plural: string, ...olderVersions: readonly string[]): WatchedKind {
  return {
    ...custom(`${GATEWAY}/v1`, kind, plural),
    isDispensable: true,
    olderVersions: olderVersions.map((version) => `${GATEWAY}/${version}`),
  };
}

/** Of the collection, in one namespace or in all. */
export function collectionPath({ apiVersion, plural }: WatchedKind, namespace?: string): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return namespace === undefined
    ? `${root}/${plural}`
    : `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
}

/** The kind in the version whose collection has that path. */
export function atVersionOf(kind: WatchedKind, path: string): WatchedKind {
  const version = /^\/apis\/([^/]+\/[^/]+)\//.exec(path)?.[1];
  return version === undefined || version === kind.apiVersion ? kind : { ...kind, apiVersion: version };
}

/** Of one object; `name` as in its key: "shop/web". */
export function objectPath(kind: WatchedKind, key: string, subresource = ""): string {
  const [first = "", second] = key.split("/", 2);
  const path = second === undefined ? collectionPath(kind) : collectionPath(kind, first);
  return `${path}/${encodeURIComponent(second ?? first)}${subresource}`;
}

/**
 * Which version of a kind the API server has: the first of ours that the kind's definition serves. Where we may not read
 * definitions, the API server's word for the versions counts. Undefined: there is no such kind, and the API server does not but
 * start. Rejects where nobody can say.
 */
export async function servedVersion(
  api: KubeApi,
  { apiVersion, olderVersions = [], plural }: WatchedKind,
  signal: AbortSignal,
): Promise<string | undefined> {
  const versions = [apiVersion, ...olderVersions];
  const [group = ""] = apiVersion.split("/", 1);
  const definition = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.${group}`;
  try {
    const { spec } = (await api.request({ method: "GET", path: definition, signal })) as Definition;
    const served = new Set(spec?.versions?.flatMap((one) => (one.served === true ? [`${group}/${one.name}`] : [])));
    return versions.find((version) => served.has(version));
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.status === 404) return undefined;
    if (error.status !== 403) throw error;
  }
  for (const version of versions) if (await serves(api, version, plural, signal)) return version;
  return undefined;
}

async function serves(api: KubeApi, version: string, plural: string, signal: AbortSignal): Promise<boolean> {
  try {
    const found = (await api.request({ method: "GET", path: `/apis/${version}`, signal })) as ApiResources;
    return found.resources?.some(({ name }) => name === plural) === true;
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return false;
    throw error;
  }
}

interface Definition {
  readonly spec?: { readonly versions?: readonly { readonly name?: string; readonly served?: boolean }[] };
}

interface ApiResources {
  readonly resources?: readonly { readonly name?: string }[];
}
