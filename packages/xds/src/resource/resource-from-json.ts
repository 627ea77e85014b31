import { err, ok, type Result } from "@heddle/base";
import { decodeMessage, fieldOf, fromProtoJson, type JsonIssue, typeNameOf } from "@heddle/proto";

/** A resource as somebody wrote it, turned into what goes over the wire. */
export interface RawResource {
  /** "type.googleapis.com/envoy.config.cluster.v3.Cluster" */
  readonly type: string;
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The resource types and the field that names a resource of theirs. */
const NAME_FIELDS: { readonly [typeName: string]: string } = {
  "envoy.config.listener.v3.Listener": "name",
  "envoy.config.route.v3.RouteConfiguration": "name",
  "envoy.config.cluster.v3.Cluster": "name",
  "envoy.config.endpoint.v3.ClusterLoadAssignment": "cluster_name",
};

/**
 * An xDS resource in proto JSON with its type in "@type", as Envoy's files have it. Everything that is wrong is reported
 * by its path in the document; whether the resource makes sense is what the type's `decode` says.
 */
export function resourceFromJson(json: unknown): Result<RawResource, readonly JsonIssue[]> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return err([issue([], 'is no object with "@type"')]);
  }
  const { "@type": typeUrl, ...body } = json as { readonly [key: string]: unknown };
  const typeName = typeof typeUrl === "string" ? typeNameOf(typeUrl) : "";
  const nameField = Object.hasOwn(NAME_FIELDS, typeName) ? NAME_FIELDS[typeName] : undefined;
  if (nameField === undefined) {
    const allowed = Object.keys(NAME_FIELDS).map((name) => `type.googleapis.com/${name}`);
    return err([issue(["@type"], `found ${JSON.stringify(typeUrl)}, allowed are ${allowed.join(", ")}`)]);
  }
  const bytes = fromProtoJson(typeName, body);
  if (!bytes.ok) return bytes;
  const message = decodeMessage(typeName, bytes.value);
  const name = message.ok ? fieldOf(message.value, nameField) : undefined;
  if (typeof name !== "string") return err([issue([nameField], "is empty, allowed is at least 1 character")]);
  return ok({ type: `type.googleapis.com/${typeName}`, name, bytes: bytes.value });
}

function issue(segments: readonly string[], message: string): JsonIssue {
  return { segments, path: segments.join("."), message };
}
