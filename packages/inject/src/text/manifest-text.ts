import { err, type Json, ok, type Result } from "@heddle/base";
import type { Diagnostic } from "@heddle/config/yaml";
import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type Scalar,
  visit,
  type YAMLMap,
} from "yaml";

/** Bounds on one stream, so that none can stop the program that reads it. */
export const MANIFEST_LIMITS = {
  maxBytes: 16 * 1024 * 1024,
  maxDocuments: 10_000,
  maxDepth: 100,
  maxValues: 2_000_000,
};

/** A document of a stream of manifests: its nodes with their places in the text, and what Kubernetes reads of it. */
export interface ManifestDocument {
  readonly document: Document;
  readonly root: Node;
  readonly json: Json;
  /** What Kubernetes reads of one of its nodes. */
  jsonOf(node: Node | null): Json;
  /** The node that an alias stands for; undefined: it has no anchor before it. */
  targetOf(alias: Alias): Node | undefined;
  /** A fault at a path of the document: keys, and numbers for items of lists. */
  fault(path: readonly (string | number)[], message: string, shownPath?: string): Diagnostic;
}

/**
 * Reads a stream as Kubernetes' own tools do: YAML 1.2, with the merge keys, booleans and octal numbers of YAML 1.1. Documents without
 * content are left out. Every error of the stream is reported.
 */
export function parseManifests(file: string, text: string): Result<readonly ManifestDocument[], readonly Diagnostic[]> {
  const bytes = Buffer.byteLength(text);
  const whole = (message: string): Diagnostic => ({ severity: "error", file, line: 0, column: 0, path: "", message });
  if (bytes > MANIFEST_LIMITS.maxBytes)
    return err([whole(`found ${bytes} bytes, allowed are ${MANIFEST_LIMITS.maxBytes}`)]);
  const lines = new LineCounter();
  const at = (offset: number, message: string, path = ""): Diagnostic => {
    const { line, col } = lines.linePos(offset);
    return { severity: "error", file, line, column: col, path, message };
  };
  let parsed: ReturnType<typeof parseAllDocuments>;
  try {
    parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, keepSourceTokens: true });
  } catch (error) {
    return err([whole(`cannot be read: ${(error as Error).message}`)]); // brackets beyond the parser's stack
  }
  if (!Array.isArray(parsed)) return ok([]);
  if (parsed.length > MANIFEST_LIMITS.maxDocuments)
    return err([whole(`found ${parsed.length} documents, allowed are ${MANIFEST_LIMITS.maxDocuments}`)]);
  const faults: Diagnostic[] = [];
  const budget = { values: MANIFEST_LIMITS.maxValues };
  const documents: ManifestDocument[] = [];
  for (const document of parsed) {
    for (const { pos, message } of document.errors) faults.push(at(pos[0], message));
    const root = document.contents;
    if (document.errors.length > 0 || root === null || (isScalar(root) && root.value === null)) continue;
    const targets = targetsOf(document);
    const targetOf = (alias: Alias): Node | undefined => targets.get(alias);
    const jsonOf = (node: Node | null): Json => new Resolver(targetOf, budget).resolve(node, 0);
    try {
      documents.push({
        document,
        root,
        json: jsonOf(root),
        jsonOf: (node) => new Resolver(targetOf, { values: MANIFEST_LIMITS.maxValues }).resolve(node, 0),
        targetOf,
        fault: (path, message, shownPath = "") => at(offsetOf(targetOf, root, path), message, shownPath),
      });
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      faults.push(at(error.offset, error.message));
    }
  }
  return faults.length > 0 ? err(faults) : ok(documents);
}

/** The name of a key: "a", "404", "true"; undefined for what cannot be one. */
export function keyName(key: unknown): string | undefined {
  if (!isScalar(key) || key.value === null) return undefined;
  return typeof key.value === "string" ? key.value : key.source;
}

/** The pair of a map that stands in it, not one that a merge key brings. */
export function ownPair(map: YAMLMap, name: string): Pair<Node, Node | null> | undefined {
  return map.items.find(({ key }) => keyName(key) === name) as Pair<Node, Node | null> | undefined;
}

export function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.value === "<<" && (key.type === undefined || key.type === "PLAIN");
}

/** The name by which an item of a list is known, where it is written as a map; a merge key may bring it. */
export function itemName(manifest: ManifestDocument, item: unknown): Json | undefined {
  if (!isMap(item)) return undefined;
  const own = ownPair(item, "name")?.value;
  if (isScalar(own)) return { name: scalarJson(own) };
  return item.items.some(({ key }) => isMergeKey(key)) || own != null ? manifest.jsonOf(item) : undefined;
}

type TargetOf = (alias: Alias) => Node | undefined;

/** What each alias of a document stands for: the nearest anchor of its name before it. In one pass, where `Alias.resolve` takes one each. */
function targetsOf(document: Document): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, (_, node) => {
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target !== undefined) targets.set(node, target);
    } else if (isNode(node) && node.anchor !== undefined) anchors.set(node.anchor, node);
  });
  return targets;
}

class Unreadable extends Error {
  readonly offset: number;
  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

class Resolver {
  readonly #targetOf: TargetOf;
  readonly #budget: { values: number };

  constructor(targetOf: TargetOf, budget: { values: number }) {
    this.#targetOf = targetOf;
    this.#budget = budget;
  }

  resolve(node: Node | null, depth: number): Json {
    if (node === null) return null;
    const offset = node.range?.[0] ?? 0;
    if (depth > MANIFEST_LIMITS.maxDepth)
      throw new Unreadable(offset, `nested deeper than ${MANIFEST_LIMITS.maxDepth} levels`);
    if (--this.#budget.values < 0)
      throw new Unreadable(offset, `more than ${MANIFEST_LIMITS.maxValues} values, aliases followed`);
    if (isAlias(node)) {
      const target = this.#targetOf(node);
      if (target === undefined) throw new Unreadable(offset, `the alias *${node.source} has no anchor before it`);
      return this.resolve(target, depth + 1);
    }
    if (isSeq(node)) return node.items.map((item) => this.resolve(isNode(item) ? item : null, depth + 1));
    if (isMap(node)) return this.#resolveMap(node, depth);
    return isScalar(node) ? scalarJson(node) : null;
  }

  #resolveMap(map: YAMLMap, depth: number): Json {
    const own: Record<string, Json> = {};
    const merged: Record<string, Json> = {};
    for (const { key, value } of map.items) {
      const node = isNode(value) ? value : null;
      if (isMergeKey(key)) {
        const bases = this.resolve(node, depth + 1);
        // Of several the first that has a key gives it.
        for (const base of [bases].flat().toReversed()) if (typeof base === "object") Object.assign(merged, base);
        continue;
      }
      const name = keyName(key);
      const offset = (key as Node | null)?.range?.[0] ?? map.range?.[0] ?? 0;
      if (name === undefined) throw new Unreadable(offset, "a key must be a plain text");
      if (name === "__proto__") throw new Unreadable(offset, '"__proto__" is not allowed as a key');
      own[name] = this.resolve(node, depth + 1);
    }
    return { ...merged, ...own };
  }
}

function scalarJson(node: Scalar): Json {
  const { value, source = "", type } = node;
  if (type === "PLAIN" && typeof value === "string") {
    if (/^(?:y|yes|on)$/i.test(value) && isOneCase(value)) return true;
    if (/^(?:n|no|off)$/i.test(value) && isOneCase(value)) return false;
  }
  if (typeof value === "number") {
    if (type === "PLAIN" && /^[-+]?0[0-7]+$/.test(source)) return Number.parseInt(source, 8); // `defaultMode: 0644`
    return Number.isFinite(value) ? value : source;
  }
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return Number(value);
  return null;
}

/** YAML 1.1 knows yes, Yes and YES. */
function isOneCase(word: string): boolean {
  return word === word.toLowerCase() || word === word.toUpperCase() || word.slice(1) === word.slice(1).toLowerCase();
}

/** Where a path leads; where it leads nowhere, the last part of it that is there. */
function offsetOf(targetOf: TargetOf, root: Node, path: readonly (string | number)[]): number {
  let node: Node | null = root;
  let offset = root.range?.[0] ?? 0;
  for (const part of path) {
    if (isAlias(node)) node = targetOf(node) ?? null;
    if (isMap(node)) {
      const pair = ownPair(node, String(part));
      if (pair === undefined) break;
      offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && isNode(node.items[Number(part)])) {
      node = node.items[Number(part)] as Node;
      offset = node.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}
