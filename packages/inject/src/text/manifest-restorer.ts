import { pointerParts } from "@heddle/base";
import { isAlias, isMap, isNode, isSeq, type Node, type YAMLMap, type YAMLSeq } from "yaml";
import { itemKey, type Undo } from "../undo.ts";
import type { Edit } from "./edit.ts";
import { behindColon } from "./manifest-editor.ts";
import { itemName, keyName, type ManifestDocument } from "./manifest-text.ts";
import { contentEnd, itemEnd, itemStart, lineEndOf, lineStartOf, nextLineOf } from "./places.ts";
import { flowText, scalarText } from "./print-yaml.ts";

/** Where a pointer leads: an item of a map or a list, and its value. */
interface Spot {
  readonly parent: YAMLMap | YAMLSeq | undefined;
  readonly index: number;
  readonly value: Node | null;
}

/** The edits that take back what a status tells, as far as it is still there. `rootOf` finds the node from which a pointer counts. */
export function restoringEdits(
  manifest: ManifestDocument,
  text: string,
  undo: Undo,
  rootOf: (pointer: string) => readonly [root: Node | undefined, pointer: string],
): Edit[] {
  const edits: Edit[] = [];
  const spotOf = (pointer: string): Spot | undefined => {
    const [root, rest] = rootOf(pointer);
    return root === undefined ? undefined : find(manifest, root, rest);
  };
  const gone = new Map<YAMLMap | YAMLSeq, Set<number>>();
  for (const pointer of undo.added) {
    const spot = spotOf(pointer);
    if (spot?.parent === undefined) continue;
    const indices = gone.get(spot.parent) ?? new Set();
    indices.add(spot.index);
    gone.set(spot.parent, indices);
  }
  for (const [collection, indices] of gone)
    edits.push(...(collection.flow === true ? flowRemovals : blockRemovals)(text, collection, indices));
  const added = new Set(undo.added);
  // An injected pod that an API server has given out as JSON is to be JSON afterwards.
  const plainText = isJsonText(manifest, text) ? flowText : scalarText;
  for (const [pointer, [before, own]] of Object.entries(undo.was)) {
    const value = added.has(pointer) ? null : spotOf(pointer)?.value;
    if (value == null) continue;
    const [start, end] = [value.range?.[0] ?? 0, contentEnd(value)];
    const replacement = own ?? plainText(before);
    const from = replacement === "" ? behindColon(text, start) : start;
    const to = replacement.endsWith("\n") && text[end - 1] !== "\n" ? nextLineOf(text, end) : end;
    edits.push({ from, to, text: replacement });
  }
  return edits;
}

function isJsonText({ root }: ManifestDocument, text: string): boolean {
  if (!isMap(root) || root.flow !== true) return false;
  try {
    JSON.parse(text.slice(root.range?.[0], contentEnd(root)));
    return true;
  } catch {
    return false;
  }
}

function find(manifest: ManifestDocument, root: Node, pointer: string): Spot | undefined {
  let spot: Spot | undefined = { parent: undefined, index: 0, value: root };
  for (const part of pointerParts(pointer)) {
    const node: Node | null | undefined = spot?.value;
    spot = undefined;
    if (isMap(node)) {
      const index = node.items.findIndex(({ key }) => keyName(key) === part);
      const value: unknown = node.items[index]?.value;
      if (index !== -1) spot = { parent: node, index, value: isNode(value) ? value : null };
    } else if (isSeq(node)) {
      const index = node.items.findIndex((item, at) => itemKey(itemName(manifest, item), at) === part);
      const value: unknown = node.items[index];
      if (index !== -1) spot = { parent: node, index, value: isNode(value) ? value : null };
    }
    if (spot === undefined || isAlias(spot.value)) break;
  }
  return spot;
}

function blockRemovals(text: string, collection: YAMLMap | YAMLSeq, indices: ReadonlySet<number>): Edit[] {
  return [...indices].map((index) => {
    const start = itemStart(collection, index);
    const lineStart = lineStartOf(text, start);
    if (text.slice(lineStart, start).replace("\ufeff", "").trim() !== "")
      return { from: start, to: itemStart(collection, index + 1), text: "" };
    const end = itemEnd(collection, index);
    const to = text[end - 1] === "\n" ? end : nextLineOf(text, end);
    // The last line of a text that ends without a newline takes the one before it along.
    const from = to === text.length && text.at(-1) !== "\n" ? lineEndOf(text, lineStart - 1) : lineStart;
    return { from, to, text: "" };
  });
}

function flowRemovals(text: string, collection: YAMLMap | YAMLSeq, indices: ReadonlySet<number>): Edit[] {
  const count = collection.items.length;
  const open = (collection.range?.[0] ?? 0) + 1;
  if (indices.size === count) return [{ from: open, to: itemEnd(collection, count - 1), text: "" }];
  const edits: Edit[] = [];
  let first = 0;
  while (indices.has(first)) first += 1;
  if (first > 0) {
    const comma = text.indexOf(",", itemEnd(collection, first - 1)) + 1;
    const to = itemStart(collection, 0) === open && text[comma] === " " ? comma + 1 : comma;
    edits.push({ from: open, to, text: "" });
  }
  for (const index of indices)
    if (index > first) edits.push({ from: itemEnd(collection, index - 1), to: itemEnd(collection, index), text: "" });
  return edits;
}
