import {
  type CST,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";

/* Where the parts of a document begin and end in its text. Offsets count characters of the text; ends are exclusive. */

/** Where a node's own text ends, without comments and blank lines behind it. */
export function contentEnd(node: Node): number {
  const end = node.range?.[1] ?? 0;
  if ((!isMap(node) && !isSeq(node)) || node.flow === true) return end;
  const last: unknown = node.items.at(-1);
  if (isPair(last)) {
    if (isNode(last.value)) return contentEnd(last.value);
    return isNode(last.key) ? contentEnd(last.key) : end;
  }
  return isNode(last) ? contentEnd(last) : end;
}

/** Where an item of a map or a list begins: its key, anchor, "?" or "-". */
export function itemStart(collection: YAMLMap | YAMLSeq, index: number): number {
  const token = collection.srcToken as CST.BlockMap | CST.BlockSequence | CST.FlowCollection | undefined;
  const item: unknown = collection.items[index];
  const key = isPair(item) ? item.key : item;
  const fallback = isNode(key) ? (key.range?.[0] ?? 0) : 0;
  // A trailing comma and the like make items of the source that are none of the collection.
  const tokens = token?.items.filter((one) => one.key != null || one.value != null || one.sep != null || hasDash(one));
  const start = tokens?.length === collection.items.length ? tokens[index]?.start : undefined;
  const first = start?.find(
    ({ type }) => type !== "space" && type !== "comment" && type !== "newline" && type !== "comma",
  );
  return first?.offset ?? fallback;
}

function hasDash({ start }: { readonly start: readonly CST.SourceToken[] }): boolean {
  return start.some(({ type }) => type === "seq-item-ind");
}

/** Where an item of a flow collection ends. */
export function itemEnd(collection: YAMLMap | YAMLSeq, index: number): number {
  const item: unknown = collection.items[index];
  if (isPair(item)) return contentEnd((item as Pair<Node, Node | null>).value ?? (item as Pair<Node>).key);
  return isNode(item) ? contentEnd(item) : 0;
}

export function lineStartOf(text: string, offset: number): number {
  return text.lastIndexOf("\n", offset - 1) + 1;
}

/** Behind the line's end, its newline included. */
export function nextLineOf(text: string, offset: number): number {
  const end = text.indexOf("\n", offset);
  return end === -1 ? text.length : end + 1;
}

/** Where the line's newline begins, of one character or two; the text's end where it has none. */
export function lineEndOf(text: string, offset: number): number {
  const end = text.indexOf("\n", offset);
  if (end === -1) return text.length;
  return text[end - 1] === "\r" ? end - 1 : end;
}

/** Whether a node is written as nothing at all. */
export function isEmptyText(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.range?.[0] === node.range?.[1]);
}
