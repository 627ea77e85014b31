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
}

const GATEWAY = "gateway.networking.k8s.io";
const OURS = "heddle.dev";

/** What the mesh's own readers read. */
export const MESH_KINDS: readonly WatchedKind[] = [
  core("v1", "Service", "services"),
  core("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
  { ...custom(`${GATEWAY}/v1`, "HTTPRoute", "httproutes"), hasStatus: true },
  // Of these it is said that they have no effect yet.
  { ...custom(`${GATEWAY}/v1`, "GRPCRoute", "grpcroutes"), isDispensable: true },
  { ...custom(`${OURS}/v1`, "Workload", "workloads"), hasStatus: true },
  { ...custom(`${OURS}/v1`, "PeerAuthentication", "peerauthentications"), hasStatus: true },
  { ...custom(`${OURS}/v1`, "AuthorizationPolicy", "authorizationpolicies"), hasStatus: true },
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

/** Of the collection, in one namespace or in all. */
export function collectionPath({ apiVersion, plural }: WatchedKind, namespace?: string): string {
  const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return namespace === undefined
    ? `${root}/${plural}`
    : `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
}

/** Of one object; `name` as in its key: "shop/web". */
export function objectPath(kind: WatchedKind, key: string, subresource = ""): string {
  const [first = "", second] = key.split("/", 2);
  const path = second === undefined ? collectionPath(kind) : collectionPath(kind, first);
  return `${path}/${encodeURIComponent(second ?? first)}${subresource}`;
}

/**
 * Whether the API server has no such kind, and does not but start: its definition says. Where we may not read definitions, the
 * API server's word for the version counts. Rejects where nobody can say.
 */
export async function isAbsentKind(
  api: KubeApi,
  { apiVersion, plural }: WatchedKind,
  signal: AbortSignal,
): Promise<boolean> {
  const [group = "", version] = apiVersion.split("/", 2);
  const definition = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.${group}`;
  try {
    const found = (await api.request({ method: "GET", path: definition, signal })) as Definition;
    return found.spec?.versions?.some(({ name, served }) => name === version && served === true) !== true;
  } catch (error) {
    if (!(error instanceof KubeError)) throw error;
    if (error.status === 404) return true;
    if (error.status !== 403) throw error;
  }
  try {
    const found = (await api.request({ method: "GET", path: `/apis/${apiVersion}`, signal })) as ApiResources;
    return found.resources?.some(({ name }) => name === plural) !== true;
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return true;
    throw error;
  }
}

interface Definition {
  readonly spec?: { readonly versions?: readonly { readonly name?: string; readonly served?: boolean }[] };
}

interface ApiResources {
  readonly resources?: readonly { readonly name?: string }[];
}
