import { isJsonObject, type Json } from "@heddle/base";
import type { Diagnostic } from "./diagnostic.ts";
import { type Position, splitPath } from "./document-path.ts";
import type { YamlDocument } from "./yaml-document.ts";

/**
 * One document from two, as `--config-yaml` is merged over `--config-path` (protobuf's MergeFrom): a single field of
 * `overlay` replaces that of `base`, objects are merged field by field, lists are appended, with what stands alone as a list of one. Places are those of the document
 * that a field comes from.
 */
export function mergeDocuments(base: YamlDocument, overlay: YamlDocument): YamlDocument {
  return new MergedDocument(base, overlay);
}

class MergedDocument implements YamlDocument {
  readonly file: string;
  readonly json: Json;
  readonly #base: YamlDocument;
  readonly #overlay: YamlDocument;

  constructor(base: YamlDocument, overlay: YamlDocument) {
    this.file = base.file;
    this.json = merge(base.json, overlay.json);
    this.#base = base;
    this.#overlay = overlay;
  }

  positionOf(path: string): Position {
    const { document, path: there } = this.#find(path);
    return document.positionOf(there);
  }

  diagnostic(path: string, message: string, severity: Diagnostic["severity"] = "error"): Diagnostic {
    const { document, path: there } = this.#find(path);
    return { ...document.diagnostic(there, message, severity), path };
  }

  /** Which of the two a field comes from, and its path there. */
  #find(path: string): { readonly document: YamlDocument; readonly path: string } {
    let inBase: Json | undefined = this.#base.json;
    let inOverlay: Json | undefined = this.#overlay.json;
    const parts = splitPath(path);
    let there = "";
    for (const [index, part] of parts.entries()) {
      if (inOverlay === undefined) return { document: this.#base, path };
      let step = part;
      if (Array.isArray(inBase)) {
        const before = inBase.length;
        if (Number(part) < before) return { document: this.#base, path };
        step = String(Number(part) - before);
        inBase = undefined;
        if (!Array.isArray(inOverlay)) continue; // it stands alone, without an index
      }
      const next = stepInto(inOverlay, step);
      if (next === undefined && stepInto(inBase, part) !== undefined) return { document: this.#base, path };
      there = appended(there, step, Array.isArray(inOverlay));
      // From here on the rest is the overlay's, or missing.
      if (next === undefined) return { document: this.#overlay, path: [there, ...parts.slice(index + 1)].join(".") };
      inBase = stepInto(inBase, part);
      inOverlay = next;
    }
    return inOverlay === undefined ? { document: this.#base, path } : { document: this.#overlay, path: there };
  }
}

function appended(path: string, step: string, isIndex: boolean): string {
  if (isIndex) return `${path}[${step}]`;
  return path === "" ? step : `${path}.${step}`;
}

function stepInto(json: Json | undefined, part: string): Json | undefined {
  if (Array.isArray(json)) return json[Number(part)];
  if (!isJsonObject(json)) return undefined;
  const key = Object.keys(json).find((name) => comparable(name) === comparable(part));
  return key === undefined ? undefined : json[key];
}

function merge(base: Json, overlay: Json): Json {
  if (overlay === null) return base; // null is unset
  if (base === null) return overlay;
  if (Array.isArray(base) || Array.isArray(overlay)) return [base, overlay].flat();
  // Messages of different types in one place are not mixed: the upper one stands.
  if (!isJsonObject(base) || !isJsonObject(overlay) || base["@type"] !== overlay["@type"]) return overlay;
  const out: Record<string, Json> = { ...base };
  for (const [name, value] of Object.entries(overlay)) {
    const same = Object.keys(base).find((key) => comparable(key) === comparable(name));
    if (same === undefined) out[name] = value;
    else out[same] = merge(base[same] as Json, value);
  }
  return out;
}

/** A field has two spellings in proto JSON. */
function comparable(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}
