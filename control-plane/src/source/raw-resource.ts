import { isJsonObject, type Json, type Result } from "@heddle/base";
import type { Diagnostic, YamlDocument } from "@heddle/config";
import type { Origin } from "@heddle/mesh";
import type { Reference } from "@heddle/xds";

/** An xDS resource that somebody wrote as it is, in proto JSON. It goes to every node that `nodes` selects. */
export interface RawResource {
  readonly kind: "raw";
  /** "type.googleapis.com/envoy.config.cluster.v3.Cluster" */
  readonly typeUrl: string;
  /** The same without what stands before the slash. */
  readonly typeName: string;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly references: readonly Reference[] | undefined;
  /** What its wrapper says of it. */
  readonly wrapping?: Wrapping;
  /** It is no Secret, and has a secret in itself: a private key in a listener. Left out: it has none. */
  readonly holdsSecrets?: boolean;
  /** Takes the place of a generated resource of the same name; without it such a name is an error. */
  readonly override: boolean;
  readonly nodes: NodeSelector;
  readonly origin: Origin;
}

/** Undefined parts select every node. */
export interface NodeSelector {
  /** `node.cluster`: the workload. */
  readonly cluster: string | undefined;
}

/** What stands in `envoy.service.discovery.v3.Resource` beside a resource and its name. */
export interface Wrapping {
  /** Other names that clients may ask for it by. */
  readonly aliases?: readonly string[];
  /** How long a client may keep it without hearing of it again. */
  readonly ttlMs?: number;
}

/** Reads one resource in proto JSON with its "@type". Issues have paths within the resource. */
export type ResourceParser = (json: Json) => Result<ParsedResource, readonly ResourceIssue[]>;

export interface ParsedResource {
  readonly typeUrl: string;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly references?: readonly Reference[];
  readonly wrapping?: Wrapping;
  /** It has a secret in itself. Left out: it has none. */
  readonly holdsSecrets?: boolean;
}

export interface ResourceIssue {
  readonly path: string;
  readonly message: string;
}

const LIST_FIELDS = ["resources", "override", "for"];

/** Whether a document is one of raw resources: it has no `kind`, but an "@type" or a list of `resources`. */
export function holdsRawResources(document: YamlDocument): boolean {
  const { json } = document;
  return isJsonObject(json) && !("kind" in json) && ("@type" in json || "resources" in json);
}

/**
 * Reads a document that is one resource, or a list of them:
 *
 *     override: true            # may take the place of generated resources; false where left out
 *     for: { node.cluster: web } # only these nodes; all where left out
 *     resources:
 *       - "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
 *         name: backend
 */
export function readRawResources(
  document: YamlDocument,
  parse: ResourceParser,
): { readonly items: readonly RawResource[]; readonly diagnostics: readonly Diagnostic[] } {
  const diagnostics: Diagnostic[] = [];
  const items: RawResource[] = [];
  const { json } = document;
  if (!isJsonObject(json)) return { items, diagnostics };
  const common =
    "@type" in json ? { override: false, nodes: { cluster: undefined } } : readListFields(document, json, diagnostics);
  const list: readonly (readonly [path: string, json: Json])[] =
    "@type" in json
      ? [["", json]]
      : Array.isArray(json["resources"])
        ? json["resources"].map((item: Json, index) => [`resources[${index}]`, item] as const)
        : [];
  for (const [path, resource] of list) {
    const parsed = parse(resource);
    if (!parsed.ok) {
      for (const issue of parsed.error)
        diagnostics.push(document.diagnostic(joinPath(path, issue.path), issue.message));
      continue;
    }
    if (parsed.value.name === "") {
      diagnostics.push(
        document.diagnostic(joinPath(path, "name"), "is missing: a resource without name cannot be served"),
      );
      continue;
    }
    items.push(
      rawResource(parsed.value, { ...common, origin: { file: document.file, ...document.positionOf(path), path } }),
    );
  }
  diagnostics.sort((a, b) => a.line - b.line || a.column - b.column);
  return { items, diagnostics };
}

/** A resource that was read, with what stands beside it in its document. */
export function rawResource(
  { typeUrl, name, bytes, references, wrapping, holdsSecrets }: ParsedResource,
  beside: Pick<RawResource, "override" | "nodes" | "origin">,
): RawResource {
  return {
    kind: "raw",
    typeUrl,
    typeName: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    name,
    bytes,
    references,
    ...(wrapping !== undefined && { wrapping }),
    ...(holdsSecrets === true && { holdsSecrets }),
    ...beside,
  };
}

function readListFields(
  document: YamlDocument,
  json: { readonly [key: string]: Json },
  diagnostics: Diagnostic[],
): Pick<RawResource, "override" | "nodes"> {
  const fault = (path: string, message: string): void => void diagnostics.push(document.diagnostic(path, message));
  for (const key of Object.keys(json)) {
    if (!LIST_FIELDS.includes(key)) fault(key, `is not a field here; allowed are ${LIST_FIELDS.join(", ")}`);
  }
  if (!Array.isArray(json["resources"]))
    fault("resources", `found ${JSON.stringify(json["resources"])}, allowed: a list`);
  const override = json["override"] ?? false;
  if (typeof override !== "boolean") fault("override", `found ${JSON.stringify(override)}, allowed: true, false`);
  const selector = json["for"] ?? {};
  if (!isJsonObject(selector))
    fault("for", `found ${JSON.stringify(selector)}, allowed: an object such as { node.cluster: web }`);
  const cluster = isJsonObject(selector) ? selector["node.cluster"] : undefined;
  if (isJsonObject(selector)) {
    for (const key of Object.keys(selector))
      if (key !== "node.cluster") fault(`for.${key}`, "is not a field here; allowed is node.cluster");
  }
  if (cluster !== undefined && typeof cluster !== "string") fault("for.node.cluster", "allowed: text");
  return { override: override === true, nodes: { cluster: typeof cluster === "string" ? cluster : undefined } };
}

function joinPath(base: string, path: string): string {
  if (base === "" || path === "") return base + path;
  return path.startsWith("[") ? base + path : `${base}.${path}`;
}
