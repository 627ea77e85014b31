import { err, ok, type Result } from "@heddle/base";
import {
  decodeMessage,
  durationToMs,
  fieldOf,
  fromProtoJson,
  type JsonIssue,
  type Message,
  messageFromJson,
  typeNameOf,
} from "@heddle/proto";

/** A resource as somebody wrote it, turned into what goes over the wire. */
export interface RawResource {
  /** "type.googleapis.com/envoy.config.cluster.v3.Cluster" */
  readonly type: string;
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Other names under which it may be asked for (`Resource.aliases`). Left out: none. */
  readonly aliases?: readonly string[];
  /** `Resource.ttl`. Left out: it does not expire. */
  readonly ttlMs?: number;
}

/** What a resource may be wrapped in, to say what its message does not. */
const WRAPPER = "envoy.service.discovery.v3.Resource";

/** The resource types and the field that names a resource of theirs; undefined: its wrapper alone names it. */
const NAME_FIELDS: { readonly [typeName: string]: string | undefined } = {
  "envoy.config.listener.v3.Listener": "name",
  "envoy.config.route.v3.RouteConfiguration": "name",
  "envoy.config.cluster.v3.Cluster": "name",
  "envoy.config.endpoint.v3.ClusterLoadAssignment": "cluster_name",
  "envoy.extensions.transport_sockets.tls.v3.Secret": "name",
  "envoy.config.core.v3.TypedExtensionConfig": "name",
  "envoy.service.runtime.v3.Runtime": "name",
  "envoy.config.route.v3.VirtualHost": undefined,
};

/**
 * An xDS resource in proto JSON with its type in "@type", as Envoy's files have it, or one within a
 * `envoy.service.discovery.v3.Resource` that names it. Everything that is wrong is reported by its path in the document;
 * whether the resource makes sense is what the type's `decode` says.
 */
export function resourceFromJson(json: unknown): Result<RawResource, readonly JsonIssue[]> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return err([issue([], 'is no object with "@type"')]);
  }
  const { "@type": typeUrl, ...body } = json as { readonly [key: string]: unknown };
  const typeName = typeof typeUrl === "string" ? typeNameOf(typeUrl) : "";
  if (typeName === WRAPPER) return unwrap(body);
  if (!Object.hasOwn(NAME_FIELDS, typeName)) return err([unknownType(typeUrl)]);
  const bytes = fromProtoJson(typeName, body);
  if (!bytes.ok) return bytes;
  return named(typeName, bytes.value);
}

/** The same of a resource that is serialised already, as an Any has it. */
export function resourceFromBytes(typeUrl: string, bytes: Uint8Array): Result<RawResource, readonly JsonIssue[]> {
  const typeName = typeNameOf(typeUrl);
  return Object.hasOwn(NAME_FIELDS, typeName) ? named(typeName, bytes) : err([unknownType(typeUrl)]);
}

function named(typeName: string, bytes: Uint8Array): Result<RawResource, readonly JsonIssue[]> {
  const nameField = NAME_FIELDS[typeName];
  if (nameField === undefined) return err([issue(["@type"], `has no name of its own; it goes into a ${WRAPPER}`)]);
  const message = decodeMessage(typeName, bytes);
  if (!message.ok) return err([issue([], message.error)]);
  const name = fieldOf(message.value, nameField);
  if (typeof name !== "string") return err([issue([nameField], "is empty, allowed is at least 1 character")]);
  return ok({ type: `type.googleapis.com/${typeName}`, name, bytes });
}

function unknownType(typeUrl: unknown): JsonIssue {
  const allowed = [...Object.keys(NAME_FIELDS), WRAPPER].map((name) => `type.googleapis.com/${name}`);
  return issue(["@type"], `found ${JSON.stringify(typeUrl)}, allowed are ${allowed.join(", ")}`);
}

/** The wrapper's name counts, and has to be the message's own where that has one. */
function unwrap({ resource, ...rest }: { readonly [key: string]: unknown }): Result<RawResource, readonly JsonIssue[]> {
  const wrapper = messageFromJson(WRAPPER, rest);
  if (!wrapper.ok) return wrapper;
  const name = (fieldOf(wrapper.value, "name") ?? "") as string;
  if (name === "") return err([issue(["name"], "is empty, allowed is at least 1 character")]);
  const inner = innerResource(resource, name);
  if (!inner.ok)
    return err(inner.error.map(({ segments, message }) => issue(["resource", ...segments.map(String)], message)));
  if (inner.value.name !== name) {
    return err([issue(["name"], `found ${JSON.stringify(name)}; the resource calls itself "${inner.value.name}"`)]);
  }
  const aliases = (fieldOf(wrapper.value, "aliases") ?? []) as readonly string[];
  const ttl = fieldOf(wrapper.value, "ttl") as Message | undefined;
  return ok({
    ...inner.value,
    ...(aliases.length > 0 && { aliases }),
    ...(ttl !== undefined && { ttlMs: durationToMs(ttl) }),
  });
}

function innerResource(json: unknown, name: string): Result<RawResource, readonly JsonIssue[]> {
  const typeUrl = (json as { readonly "@type"?: unknown } | undefined | null)?.["@type"];
  const typeName = typeof typeUrl === "string" ? typeNameOf(typeUrl) : "";
  if (typeName === WRAPPER) return err([issue(["@type"], "is wrapped twice")]);
  if (!Object.hasOwn(NAME_FIELDS, typeName) || NAME_FIELDS[typeName] !== undefined) return resourceFromJson(json);
  const { "@type": _, ...body } = json as { readonly [key: string]: unknown };
  const bytes = fromProtoJson(typeName, body);
  return bytes.ok ? ok({ type: `type.googleapis.com/${typeName}`, name, bytes: bytes.value }) : bytes;
}

function issue(segments: readonly string[], message: string): JsonIssue {
  return { segments, path: segments.join("."), message };
}
