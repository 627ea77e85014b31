import { err, type Json, ok, type Result } from "@heddle/base";
import type { Document, LineCounter, Node } from "yaml";
import type { Diagnostic } from "./diagnostic.ts";
import { type Position, positionAt, splitPath } from "./document-path.ts";
import { type JsonPart, MAX_JSON_DEPTH, parseJsonDocument, parseJsonParts } from "./json-document.ts";
import { keyName, offsetIn, type Place, placesOf } from "./place-tree.ts";
import { yamlLibrary } from "./yaml-library.ts";

/** Bounds on one file, so that no file can stop the program that reads it. */
export interface YamlLimits {
  readonly maxBytes: number;
  readonly maxDepth: number;
  /** Values after aliases have been followed, over all documents: what a "billion laughs" file multiplies. */
  readonly maxValues: number;
}

export const DEFAULT_YAML_LIMITS: YamlLimits = { maxBytes: 16 * 1024 * 1024, maxDepth: 100, maxValues: 2_000_000 };

/** One document of a YAML (or JSON) file: plain JSON, and where in the file each of its fields stands. */
export interface YamlDocument {
  readonly file: string;
  /** Integers beyond 2^53 are strings, as proto3 JSON writes them. */
  readonly json: Json;
  /**
   * The place of a field: "spec.rules[0].backendRefs[1].weight"; a key with dots either as it is or quoted,
   * `labels["app.kubernetes.io/name"]`. Snake and camel case find each other. A path that leads nowhere gives the place
   * of the last part that does exist: where something is missing.
   */
  positionOf(path: string): Position;
  /** A diagnostic about the field at `path`. */
  diagnostic(path: string, message: string, severity?: Diagnostic["severity"]): Diagnostic;
}

/**
 * Reads all documents of a YAML 1.2 file; JSON is YAML, and so are here several JSON objects one after the other. Empty documents are left out. Duplicate keys, unknown tags,
 * aliases to nothing and values that JSON has not (NaN, binary) are errors. Every error of the file is reported.
 */
export function parseYamlDocuments(
  file: string,
  text: string,
  limits: YamlLimits = DEFAULT_YAML_LIMITS,
): Result<readonly YamlDocument[], readonly Diagnostic[]> {
  const isShort = Buffer.byteLength(text) <= limits.maxBytes;
  if (isShort && limits.maxDepth >= MAX_JSON_DEPTH) {
    const plain = parseJsonDocument(file, text);
    if (plain !== undefined) return ok([plain]);
    const parts = parseJsonParts(file, text);
    if (parts !== undefined) return joinParts(file, text, parts, limits);
  }
  return parseYamlText(file, text, limits);
}

/** Whatever is wrong is told of where it stands in the whole text. */
function joinParts(
  file: string,
  text: string,
  parts: readonly JsonPart[],
  limits: YamlLimits,
): Result<readonly YamlDocument[], readonly Diagnostic[]> {
  const unread = parts.filter(({ document }) => document === undefined).length;
  if (unread > MAX_UNREAD_PARTS)
    return err([
      wholeFile(file, `${unread} of its ${parts.length} JSON objects are no JSON, or have keys that stand twice`),
    ]);
  const documents: YamlDocument[] = [];
  const errors: Diagnostic[] = [];
  for (const { start, end, document } of parts) {
    if (document !== undefined) {
      documents.push(document);
      continue;
    }
    const before = text.slice(0, start).replaceAll(/[^\n]/g, " ");
    const parsed = parseYamlText(file, before + text.slice(start, end), limits);
    if (parsed.ok) documents.push(...parsed.value);
    else errors.push(...parsed.error);
  }
  return errors.length > 0 ? err(errors) : ok(documents);
}

/** Each takes as long as walking over all that is before it. */
const MAX_UNREAD_PARTS = 100;

function parseYamlText(
  file: string,
  text: string,
  limits: YamlLimits,
): Result<readonly YamlDocument[], readonly Diagnostic[]> {
  const parsed = parseText(file, text, limits);
  if (!parsed.ok) return parsed;
  const { lines, documents } = parsed.value;
  return ok(
    documents.map(({ json, at, document }) => new ParsedDocument(file, lines, json, at, () => placesOf(document))),
  );
}

interface ParsedText {
  readonly documents: readonly { readonly json: Json; readonly at: number; readonly document: Document }[];
  readonly lines: readonly number[];
}

function parseText(file: string, text: string, limits: YamlLimits): Result<ParsedText, readonly Diagnostic[]> {
  if (Buffer.byteLength(text) > limits.maxBytes)
    return err([wholeFile(file, `found ${Buffer.byteLength(text)} bytes, allowed are ${limits.maxBytes}`)]);
  const { LineCounter, parseAllDocuments } = yamlLibrary();
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    strict: true,
    intAsBigInt: true, // a uint64 must not lose its last digits on the way
  });
  if (!Array.isArray(parsed)) return ok({ documents: [], lines: [] }); // an empty stream

  const reader: Reader = { file, lines, limits, errors: [], values: 0 };
  const documents: ParsedText["documents"][number][] = [];
  for (const document of parsed) {
    for (const error of document.errors) report(reader, error.pos[0], error.message);
    for (const warning of document.warnings) report(reader, warning.pos[0], warning.message);
    if (document.errors.length > 0 || document.contents === null) continue;
    const json = toJson(reader, document, document.contents, 0);
    if (json !== null) documents.push({ json, at: document.contents.range?.[0] ?? 0, document });
  }
  return reader.errors.length > 0 ? err(reader.errors) : ok({ documents, lines: lines.lineStarts });
}

interface Reader {
  readonly file: string;
  readonly lines: LineCounter;
  readonly limits: YamlLimits;
  readonly errors: Diagnostic[];
  values: number;
}

function report(reader: Reader, offset: number, message: string): null {
  const { line, col } = reader.lines.linePos(offset);
  reader.errors.push({ severity: "error", file: reader.file, line, column: col, path: "", message });
  return null;
}

function wholeFile(file: string, message: string): Diagnostic {
  return { severity: "error", file, line: 0, column: 0, path: "", message };
}

function toJson(reader: Reader, document: Document, node: Node | null, depth: number): Json {
  if (node === null) return null;
  const { isAlias, isMap, isScalar, isSeq } = yamlLibrary();
  const offset = node.range?.[0] ?? 0;
  const { maxDepth, maxValues } = reader.limits;
  if (depth > maxDepth) return report(reader, offset, `nested deeper than ${maxDepth} levels`);
  if (++reader.values > maxValues)
    return reader.values === maxValues + 1
      ? report(reader, offset, `more than ${maxValues} values, aliases followed`)
      : null;

  if (isAlias(node)) {
    const target = node.resolve(document);
    if (target === undefined) return report(reader, offset, `the alias *${node.source} has no anchor before it`);
    return toJson(reader, document, target, depth + 1); // an alias within its own anchor ends at the depth limit
  }
  if (isSeq(node)) return node.items.map((item) => toJson(reader, document, item as Node | null, depth + 1));
  if (isMap(node)) {
    const object: Record<string, Json> = {};
    for (const { key, value } of node.items) {
      const name = keyName(key);
      const keyOffset = (key as Node | null)?.range?.[0] ?? offset;
      if (name === undefined) report(reader, keyOffset, "a key must be a plain text");
      // Assigning it would set the object's prototype, not a field.
      else if (name === "__proto__") report(reader, keyOffset, '"__proto__" is not allowed as a key');
      else object[name] = toJson(reader, document, value as Node | null, depth + 1);
    }
    return object;
  }
  return isScalar(node) ? scalarToJson(reader, offset, node.value) : report(reader, offset, "this is no JSON value");
}

function scalarToJson(reader: Reader, offset: number, value: unknown): Json {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "bigint":
      return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString();
    case "number":
      return Number.isFinite(value) ? value : report(reader, offset, `${value} is no JSON value; write it in quotes`);
    default:
      return value === null || value === undefined ? null : report(reader, offset, "this is no JSON value");
  }
}

/** What stands in a YAML text, as plain data: it can go from one thread to another. */
export interface PlainYaml {
  readonly documents: readonly {
    readonly json: Json;
    /** Where it begins: characters from the beginning of the text. */
    readonly at: number;
    readonly place: Place | null;
  }[];
  /** Where each line begins. */
  readonly lines: readonly number[];
}

/** As `parseYamlDocuments`, with every place, for another thread to make documents of with `documentsOf`. */
export function parsePlainYaml(
  file: string,
  text: string,
  limits?: YamlLimits,
): Result<PlainYaml, readonly Diagnostic[]> {
  const parsed = parseText(file, text, limits ?? DEFAULT_YAML_LIMITS);
  if (!parsed.ok) return parsed;
  const { lines, documents } = parsed.value;
  return ok({ lines, documents: documents.map(({ json, at, document }) => ({ json, at, place: placesOf(document) })) });
}

export function documentsOf(file: string, { documents, lines }: PlainYaml): readonly YamlDocument[] {
  return documents.map(({ json, at, place }) => new ParsedDocument(file, lines, json, at, () => place));
}

class ParsedDocument implements YamlDocument {
  readonly file: string;
  readonly json: Json;
  readonly #lines: readonly number[];
  readonly #at: number;
  readonly #makePlace: () => Place | null;
  /** Made when somebody asks for a place. */
  #place: Place | null | undefined;

  constructor(file: string, lines: readonly number[], json: Json, at: number, makePlace: () => Place | null) {
    this.file = file;
    this.json = json;
    this.#lines = lines;
    this.#at = at;
    this.#makePlace = makePlace;
  }

  positionOf(path: string): Position {
    if (this.#place === undefined) this.#place = this.#makePlace();
    return positionAt(this.#lines, offsetIn(this.#place, this.#at, splitPath(path)));
  }

  diagnostic(path: string, message: string, severity: Diagnostic["severity"] = "error"): Diagnostic {
    return { severity, file: this.file, ...this.positionOf(path), path, message };
  }
}
