import { isDeepStrictEqual } from "node:util";
import type { Json, JsonObject } from "@heddle/base";
import type { Diagnostic } from "@heddle/config";
import { type MeshObject, OPAQUE_PORTS, readableOpaquePorts, readObjects } from "@heddle/mesh";
import { kubePlace, PlacelessDocument } from "../source/placeless-document.ts";
import type { KubeObject } from "./reflector.ts";

/** What is kept of one object that the mesh reads as it would from a file. */
export interface ReadObject {
  /** "kubernetes HTTPRoute shop/web", as in whatever is said of it. */
  readonly place: string;
  readonly key: string;
  /** Of what is bad now: its last good content. Undefined: there is none, or it is of no use to the mesh. */
  readonly object: MeshObject | undefined;
  readonly diagnostics: readonly Diagnostic[];
  /** Of kinds whose status is written. */
  readonly status: KubeStatus | undefined;
}

export interface KubeStatus {
  readonly resourceVersion: string;
  /** Counts the changes of `spec`. */
  readonly generation: number;
  readonly status: JsonObject;
  /** Of a route: those that are Services, as they were written. */
  readonly parentRefs: readonly JsonObject[];
}

export interface ReadableKind {
  readonly apiVersion: string;
  readonly kind: string;
  /** We tell in its `status` what has become of it. */
  readonly hasStatus: boolean;
}

/** Reads one object by the mesh's readers. What has not changed for the mesh is the same object as before. */
export function readKubeObject(kind: ReadableKind, object: KubeObject, before: ReadObject | undefined): ReadObject {
  const { key, json, resourceVersion } = object;
  const place = kubePlace(kind.kind, key);
  // In a list the items have neither; and what we write into `status` is nothing that a user says.
  const { status, ...said } = json;
  const read = readObjects(new PlacelessDocument(place, { ...said, ...kindOf(kind) }));
  const errors = read.diagnostics.filter(({ severity }) => severity === "error");
  const made =
    errors.length === 0
      ? read.objects[0]
      : kind.kind === "Service" && errors.every(({ path }) => path === OPAQUE_PORTS_PATH)
        ? readObjects(new PlacelessDocument(place, { ...withReadablePorts(said), ...kindOf(kind) })).objects[0]
        : before?.object;
  const diagnostics = read.diagnostics.filter((one) => isOfInterest(kind, one));
  const parentRefs = serviceParents(objectOf(json["spec"])["parentRefs"]);
  const isOurs = !kind.kind.endsWith("Route") || parentRefs.length > 0; // of a gateway's routes nothing is ours to say
  return {
    place,
    key,
    object: !isOurs ? undefined : isDeepStrictEqual(made, before?.object) ? before?.object : made,
    diagnostics: isOurs ? diagnostics : [],
    status: kind.hasStatus
      ? {
          resourceVersion,
          generation: generationOf(json),
          status: objectOf(status),
          parentRefs,
        }
      : undefined,
  };
}

function kindOf({ apiVersion, kind }: ReadableKind): JsonObject {
  return { apiVersion, kind };
}

const OPAQUE_PORTS_PATH = `metadata.annotations["${OPAQUE_PORTS}"]`;

/**
 * A Service in a cluster is there with or without a mesh, and nobody refuses a bad annotation when it is put there: for one that is said
 * to be bad the Service is not taken out of the mesh, by some replicas and not by others, which had read it before. Its entries that
 * are ports count.
 */
function withReadablePorts(service: JsonObject): JsonObject {
  const metadata = objectOf(service["metadata"]);
  const annotations = objectOf(metadata["annotations"]);
  const text = annotations[OPAQUE_PORTS];
  const readable = typeof text === "string" ? readableOpaquePorts(text) : "";
  return { ...service, metadata: { ...metadata, annotations: { ...annotations, [OPAQUE_PORTS]: readable } } };
}

/**
 * Every cluster has a DNS server with ports of UDP, and routes of gateways beside those of the mesh: nobody has to be told
 * of what is right as it is.
 */
function isOfInterest({ kind }: ReadableKind, { severity, path }: Diagnostic): boolean {
  if (severity === "error") return true;
  if (kind === "Service") return !/^spec\.ports\[\d+\]\.(protocol|appProtocol)$/.test(path);
  return !kind.endsWith("Route") || !/^spec\.parentRefs\[\d+\]$/.test(path);
}

function serviceParents(parentRefs: Json | undefined): readonly JsonObject[] {
  if (!Array.isArray(parentRefs)) return [];
  return parentRefs.map(objectOf).filter(({ group, kind }) => (group === "" || group === "core") && kind === "Service");
}

function generationOf(json: JsonObject): number {
  const { generation } = objectOf(json["metadata"]);
  return typeof generation === "number" ? generation : 0;
}

function objectOf(json: Json | undefined): JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json) ? (json as JsonObject) : {};
}
