import { err, type Json, ok, type Result } from "@heddle/base";
import { type Diagnostic, parseJsonDocument, parseYamlDocuments, splitPath, type YamlDocument } from "@heddle/config";
import { readObjects } from "@heddle/mesh";
import { parseBinaryResource, parseResource } from "../source/parse-resource.ts";
import { holdsRawResources, readRawResources } from "../source/raw-resource.ts";
import { readStored } from "../source/read-stored.ts";
import type { SourceItem } from "../source/source.ts";
import { fault } from "./api-errors.ts";
import { NOT_FOR_SOME, type ResourceKey, storeKeyOf } from "./resource-key.ts";
import { MAX_YAML_BYTES, MAX_YAML_BYTES_HERE } from "./resource-limits.ts";
import type { StoredContent } from "./stored-value.ts";
import type { ApiDiagnostic, ApiError, Manifest } from "./wire.ts";
import type { ReadYaml, YamlThread } from "./yaml-thread.ts";

/** A resource as somebody wants it stored, checked by itself. */
export interface Draft {
  readonly key: ResourceKey;
  readonly content: StoredContent;
  readonly override: boolean;
  /** As the source will hold it. */
  readonly item: SourceItem;
  /** Something about it, at a path within it, told of the place where it was written. */
  readonly diagnostic: (path: string, message: string, severity: Diagnostic["severity"]) => ApiDiagnostic;
}

export interface ReadManifests {
  readonly drafts: readonly Draft[];
  /** Where there is an error among them, nothing may be stored. */
  readonly diagnostics: readonly ApiDiagnostic[];
}

/**
 * Reads what somebody wants stored, for a group of nodes ("" for all): every fault, each with its place. An error where there is
 * more YAML, or such, as takes too much to read. More of it than a little is read by the thread.
 */
export async function readManifests(
  manifests: readonly Manifest[],
  nodeCluster: string,
  thread: YamlThread,
): Promise<Result<ReadManifests, ApiError>> {
  const texts = await readTexts(manifests, thread);
  if (!texts.ok) return texts;
  const reader = new ManifestReader(nodeCluster);
  for (const manifest of manifests) {
    const { source, binary, override = false } = manifest;
    if (binary !== undefined) reader.readBinary(source, binary, override);
    else reader.readText(texts.value.get(manifest) ?? ok([]));
  }
  return ok({ drafts: [...reader.drafts.values()], diagnostics: reader.diagnostics });
}

type ReadTexts = ReadonlyMap<Manifest, ReadYaml>;

async function readTexts(manifests: readonly Manifest[], thread: YamlThread): Promise<Result<ReadTexts, ApiError>> {
  const read = new Map<Manifest, ReadYaml>();
  const rest: { readonly manifest: Manifest; readonly source: string; readonly text: string }[] = [];
  for (const manifest of manifests) {
    const { source, text = "", binary } = manifest;
    if (binary !== undefined) continue;
    const json = parseJsonDocument(source, text);
    if (json === undefined) rest.push({ manifest, source, text });
    else read.set(manifest, ok([json]));
  }
  const bytes = rest.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  if (bytes > MAX_YAML_BYTES)
    return err(
      fault(
        "INVALID_ARGUMENT",
        `found ${bytes} bytes of YAML, allowed are ${MAX_YAML_BYTES} in one batch; JSON may be longer`,
      ),
    );
  if (bytes <= MAX_YAML_BYTES_HERE) {
    for (const { manifest, source, text } of rest) read.set(manifest, parseYamlDocuments(source, text));
    return ok(read);
  }
  const answer = await thread.read(rest.map(({ source, text }) => ({ source, text })));
  if (!answer.ok) return answer;
  for (const [index, documents] of answer.value.entries()) read.set(rest[index]!.manifest, documents); // one of each text
  return ok(read);
}

export function apiDiagnostic({ file, ...rest }: Diagnostic, document: number): ApiDiagnostic {
  return { ...rest, source: file, document };
}

class ManifestReader {
  /** By the key that the store will know them by. */
  readonly drafts = new Map<string, Draft>();
  readonly diagnostics: ApiDiagnostic[] = [];
  readonly #nodeCluster: string;

  constructor(nodeCluster: string) {
    this.#nodeCluster = nodeCluster;
  }

  readText(documents: ReadYaml): void {
    if (documents.ok) for (const [index, document] of documents.value.entries()) this.#readDocument(document, index);
    else this.diagnostics.push(...documents.error.map((fault) => apiDiagnostic(fault, 0)));
  }

  #readDocument(document: YamlDocument, index: number): void {
    const say = (path: string, message: string, severity?: Diagnostic["severity"]): void => {
      this.diagnostics.push(apiDiagnostic(document.diagnostic(path, message, severity), index));
    };
    const redacted = pathOfRedacted(document.json, "");
    if (redacted !== undefined) {
      say(redacted, `found "${REDACTED}", which is shown in the place of a secret; allowed is the secret itself`);
      return;
    }
    if (holdsRawResources(document)) this.#readRaw(document, index, say);
    else this.#readObjects(document, index, say);
  }

  readBinary(source: string, { typeUrl, value }: NonNullable<Manifest["binary"]>, override: boolean): void {
    const bytes = Buffer.from(value, "base64");
    const parsed = parseBinaryResource(typeUrl, bytes);
    const say: Draft["diagnostic"] = (path, message, severity) =>
      apiDiagnostic({ severity, file: source, line: 0, column: 0, path, message }, 0);
    if (!parsed.ok) {
      for (const { path, message } of parsed.error) this.diagnostics.push(say(path, message, "error"));
      return;
    }
    const key = xdsKey(typeUrl, parsed.value.name, this.#nodeCluster);
    this.#add(key, { type: "binary", typeUrl: parsed.value.typeUrl, bytes }, override, say);
  }

  #readRaw(document: YamlDocument, index: number, say: (path: string, message: string) => void): void {
    const { items, diagnostics } = readRawResources(document, parseResource);
    this.diagnostics.push(...diagnostics.map((fault) => apiDiagnostic(fault, index)));
    const own = items[0]?.nodes.cluster;
    if (own !== undefined && this.#nodeCluster !== "" && own !== this.#nodeCluster) {
      say("for", `found "${own}", allowed: "${this.#nodeCluster}", which the batch is for`);
      return;
    }
    for (const { typeName, name, nodes, override, origin } of items) {
      const key = xdsKey(typeName, name, nodes.cluster ?? this.#nodeCluster);
      this.#addDocument(key, document, index, origin.path, override);
    }
  }

  #readObjects(document: YamlDocument, index: number, say: (path: string, message: string) => void): void {
    const { objects, diagnostics } = readObjects(document);
    this.diagnostics.push(...diagnostics.map((fault) => apiDiagnostic(fault, index)));
    for (const { namespace, name, origin } of objects) {
      if (this.#nodeCluster !== "") say(origin.path, NOT_FOR_SOME);
      else {
        const type = typeOfObject(elementAt(document.json, origin.path));
        this.#addDocument({ type, namespace, name, nodeCluster: "" }, document, index, origin.path, false);
      }
    }
  }

  #addDocument(key: ResourceKey, document: YamlDocument, index: number, at: string, override: boolean): void {
    const json = elementAt(document.json, at);
    this.#add(key, { type: "json", json }, override, (path, message, severity) =>
      apiDiagnostic(document.diagnostic(joinPath(at, path), message, severity), index),
    );
  }

  #add(key: ResourceKey, content: StoredContent, override: boolean, diagnostic: Draft["diagnostic"]): void {
    const storeKey = storeKeyOf(key);
    const twin = this.drafts.get(storeKey);
    if (twin !== undefined) {
      const { source, line } = twin.diagnostic("", "", "error");
      const message = `the same resource stands also in ${line === 0 ? source : `${source}:${line}`}; remove one of them`;
      this.diagnostics.push(diagnostic("", message, "error"));
      return;
    }
    // What was read once is read again as the source will: what cannot be read there must not be stored.
    const [item] = readStored(key, { content, override }).items;
    if (item === undefined) this.diagnostics.push(diagnostic("", "cannot be read alone", "error"));
    else this.drafts.set(storeKey, { key, content, override, item, diagnostic });
  }
}

export const REDACTED = "[redacted]";

function pathOfRedacted(json: Json, path: string): string | undefined {
  if (json === REDACTED) return path;
  if (typeof json !== "object" || json === null) return undefined;
  const isList = Array.isArray(json);
  for (const [name, value] of Object.entries(json)) {
    const found = pathOfRedacted(value, isList ? `${path}[${name}]` : joinPath(path, name));
    if (found !== undefined) return found;
  }
  return undefined;
}

function xdsKey(type: string, name: string, nodeCluster: string): ResourceKey {
  return { type: type.slice(type.lastIndexOf("/") + 1), namespace: "", name, nodeCluster };
}

/** "Service" of v1 Service, "gateway.networking.k8s.io/HTTPRoute" of its v1: a kind is one thing in all its versions. */
function typeOfObject(json: Json): string {
  const { apiVersion, kind } = json as { readonly apiVersion: string; readonly kind: string }; // it was read as an object
  return apiVersion.includes("/") ? `${apiVersion.slice(0, apiVersion.indexOf("/"))}/${kind}` : kind;
}

/** The part of a document at "", "resources[2]" or "items[0]". */
function elementAt(json: Json, path: string): Json {
  let found: Json = json;
  for (const part of splitPath(path)) found = (found as { readonly [key: string]: Json })[part] ?? null;
  return found;
}

function joinPath(base: string, path: string): string {
  if (base === "" || path === "") return base + path;
  return path.startsWith("[") ? base + path : `${base}.${path}`;
}
