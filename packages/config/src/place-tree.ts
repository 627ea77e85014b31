import type { Document, Node } from "yaml";
import { comparable } from "./document-path.ts";
import { yamlLibrary } from "./yaml-library.ts";

/** Where the members of an object or a list stand. Plain data: it may come from another thread. */
export interface Place {
  /** Of an object; left out of a list. */
  readonly keys?: readonly string[];
  /** Of each key, or of each item of a list: characters from the beginning of the text. */
  readonly at: readonly number[];
  /** Of each member: where its own members stand. Null: it has none. */
  readonly inner: readonly (Place | null)[];
}

/** The places of a document without errors. What aliases stand for has one place, however often it is named. */
export function placesOf(document: Document): Place | null {
  const { isAlias, isMap, isPair, isSeq } = yamlLibrary();
  const known = new Map<Node, Place>();
  const read = (node: Node | null, offset: number): Place | null => {
    if (isAlias(node)) return read(node.resolve(document) ?? null, offset);
    if (!isMap(node) && !isSeq(node)) return null;
    const before = known.get(node);
    if (before !== undefined) return before;
    const [keys, at, inner]: [string[], number[], (Place | null)[]] = [[], [], []];
    for (const [index, item] of node.items.entries()) {
      const name = isPair(item) ? keyName(item.key) : String(index);
      if (name === undefined) continue;
      const value = (isPair(item) ? item.value : item) as Node | null;
      const here = (isPair(item) ? (item.key as Node) : value)?.range?.[0] ?? offset;
      keys.push(name);
      at.push(here);
      inner.push(read(value, here));
    }
    const place = isMap(node) ? { keys, at, inner } : { at, inner };
    known.set(node, place);
    return place;
  };
  return read(document.contents, 0);
}

/** "a", "404" and "true" are keys; null, lists and maps are not. */
export function keyName(key: unknown): string | undefined {
  if (!yamlLibrary().isScalar(key) || key.value === null) return undefined;
  return typeof key.value === "string" ? key.value : key.source; // a number or boolean as it was written
}

/** The offset of the field, or of the last part of the path that does exist. */
export function offsetIn(root: Place | null, start: number, path: readonly string[]): number {
  let [place, offset, rest] = [root, start, path];
  while (place !== null && rest.length > 0) {
    const step = place.keys === undefined ? stepIntoList(place, rest) : stepIntoMap(place.keys, rest);
    if (step === undefined) break;
    offset = place.at[step.index]!; // of a member
    place = place.inner[step.index] ?? null;
    rest = rest.slice(step.taken);
  }
  return offset;
}

interface Step {
  readonly index: number;
  /** Parts of the path that this step used up. */
  readonly taken: number;
}

/** The longest key that the path's next parts spell: the key "app.kubernetes.io/name" is three parts. */
function stepIntoMap(keys: readonly string[], rest: readonly string[]): Step | undefined {
  let best: Step | undefined;
  for (const [index, name] of keys.entries()) {
    const taken = name.split(".").length;
    if (taken <= (best?.taken ?? 0) || comparable(rest.slice(0, taken).join(".")) !== comparable(name)) continue;
    best = { index, taken };
  }
  return best;
}

function stepIntoList({ at }: Place, rest: readonly string[]): Step | undefined {
  const index = Number(rest[0]);
  return Number.isInteger(index) && index >= 0 && index < at.length ? { index, taken: 1 } : undefined;
}
