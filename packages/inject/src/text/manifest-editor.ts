import { isJsonObject, type Json, type JsonObject, pointerPart, sameJson } from "@heddle/base";
import { isAlias, isMap, isNode, isSeq, type Node, visit, type YAMLMap, type YAMLSeq } from "yaml";
import { alignment, extendsMap, itemKey } from "../undo.ts";
import type { Edit } from "./edit.ts";
import { isMergeKey, itemName, keyName, type ManifestDocument, ownPair } from "./manifest-text.ts";
import { contentEnd, isEmptyText, itemEnd, itemStart, lineEndOf, lineStartOf } from "./places.ts";
import { blockLines, flowText, itemLines, pairLines, scalarText } from "./print-yaml.ts";

/** What a change of an object's text adds and replaces; as `Undo`, with pointers from the object. */
export interface TextUndo {
  readonly added: string[];
  readonly was: Record<string, readonly [before: Json, text?: string]>;
}

/**
 * Finds the edits of a document's text that make an object of it another one, and no more of them than it takes: what is
 * added goes in on lines of its own, in front of what is there; comments, order, quoting and anchors stay. An alias in the way
 * becomes what it stands for; one elsewhere, of something that is changed, becomes what that was.
 */
export class ManifestEditor {
  readonly edits: Edit[] = [];
  readonly #manifest: ManifestDocument;
  readonly #text: string;
  readonly #newline: string;
  /** Changed within, each with whoever changed it. */
  readonly #touched = new Map<Node, TextUndo>();
  readonly #replaced = new Set<Node>();

  constructor(manifest: ManifestDocument, text: string) {
    this.#manifest = manifest;
    this.#text = text;
    this.#newline = /\r?\n/.exec(text)?.[0] ?? "\n";
  }

  /** Changes the object whose node this is from `before`, what it is now, to `after`. */
  change(node: Node, before: Json, after: Json): TextUndo {
    const undo: TextUndo = { added: [], was: {} };
    this.#change([], node, before, after, "", undo, false);
    return undo;
  }

  /**
   * After all changes: aliases of what has changed, elsewhere in the document. `objects` are those that were changed. False: one lies
   * outside of the object that changed what it stands for, so that no status could tell of it.
   */
  expandAliases(objects: ReadonlyMap<Node, TextUndo>): boolean {
    let isTold = true;
    const look = (node: unknown, pointer: string, undo: TextUndo | undefined): void => {
      if (!isNode(node) || this.#replaced.has(node)) return;
      const own = objects.get(node);
      const [at, by] = own === undefined ? [pointer, undo] : ["", own];
      if (isAlias(node)) {
        const changer = this.#changerOf(this.#manifest.targetOf(node));
        if (changer === undefined) return;
        if (changer !== by) isTold = false;
        else this.#replace(node, this.#manifest.jsonOf(node), flowText(this.#manifest.jsonOf(node)), at, changer);
      } else if (isMap(node))
        for (const { key, value } of node.items) look(value, at + pointerPart(keyName(key) ?? ""), by);
      else if (isSeq(node))
        for (const [index, item] of node.items.entries())
          look(item, at + pointerPart(itemKey(itemName(this.#manifest, item), index)), by);
    };
    look(this.#manifest.root, "", undefined);
    return isTold;
  }

  #changerOf(target: Node | undefined): TextUndo | undefined {
    return target === undefined ? undefined : this.#touched.get(target);
  }

  #change(
    trail: readonly Node[],
    node: Node | null,
    before: Json,
    after: Json,
    pointer: string,
    undo: TextUndo,
    inFlow: boolean,
  ): void {
    if (sameJson(before, after)) return;
    const here = node === null ? trail : [...trail, node];
    for (const one of here) this.#touched.set(one, undo);
    if (isMap(node) && isJsonObject(before) && isJsonObject(after) && extendsMap(before, after))
      this.#changeMap(here, node, before, after, pointer, undo, inFlow);
    else if (isSeq(node) && Array.isArray(before) && Array.isArray(after) && alignment(before, after) !== -1)
      this.#changeList(here, node, before, after, pointer, undo, inFlow);
    else if (node !== null) {
      const flow = inFlow || isAlias(node) || isEmptyText(node) || !hasBlock(node);
      this.#replace(node, before, flow ? this.#oneLine(after, inFlow) : this.#below(node, after), pointer, undo);
    } else throw new Error(`nothing stands at ${pointer}`);
  }

  #changeMap(
    trail: readonly Node[],
    map: YAMLMap,
    before: JsonObject,
    after: JsonObject,
    pointer: string,
    undo: TextUndo,
    inFlow: boolean,
  ): void {
    const flow = inFlow || map.flow === true;
    const added: [string, Json][] = [];
    for (const [key, value] of Object.entries(after)) {
      const at = pointer + pointerPart(key);
      const pair = ownPair(map, key);
      if (pair !== undefined && !isMergeKey(pair.key))
        this.#change(trail, pair.value, before[key] ?? null, value, at, undo, flow);
      else if (!sameJson(before[key], value)) {
        added.push([key, value]);
        undo.added.push(at);
        if (Object.hasOwn(before, key)) undo.was[at] = [before[key]!]; // a merge key brings it, and will again
      }
    }
    if (added.length === 0) return;
    if (map.flow === true)
      this.#insertInFlow(
        map,
        added.map(([key, value]) => flowText({ [key]: value }).slice(1, -1)),
        "first",
      );
    else
      this.#insertLines(
        map,
        added.flatMap(([key, value]) => pairLines(key, value)),
      );
  }

  #changeList(
    trail: readonly Node[],
    list: YAMLSeq,
    before: readonly Json[],
    after: readonly Json[],
    pointer: string,
    undo: TextUndo,
    inFlow: boolean,
  ): void {
    const start = alignment(before, after);
    const flow = inFlow || list.flow === true;
    for (const [index, item] of after.entries()) {
      const at = pointer + pointerPart(itemKey(item, index));
      const own = index - start;
      if (own < 0 || own >= before.length) undo.added.push(at);
      else this.#change(trail, list.items[own] as Node, before[own]!, item, at, undo, flow);
    }
    const [first, last] = [after.slice(0, start), after.slice(start + before.length)];
    if (list.flow === true) {
      if (first.length > 0) this.#insertInFlow(list, first.map(flowText), "first");
      if (last.length > 0) this.#insertInFlow(list, last.map(flowText), "last");
    } else {
      if (first.length > 0) this.#insertLines(list, first.flatMap(itemLines));
      if (last.length > 0) this.#appendLines(list, last.flatMap(itemLines));
    }
  }

  #replace(node: Node, before: Json, replacement: string, pointer: string, undo: TextUndo): void {
    visit(node, (_, inner) => {
      if (!isNode(inner)) return;
      this.#replaced.add(inner);
      this.#touched.set(inner, undo);
    });
    if (isEmptyText(node)) {
      const from = behindColon(this.#text, node.range?.[0] ?? 0);
      undo.was[pointer] = [before, ""];
      this.edits.push({ from, to: from, text: ` ${replacement}` });
      return;
    }
    const [from, to] = [node.range?.[0] ?? 0, contentEnd(node)];
    const text = this.#text.slice(from, to);
    undo.was[pointer] = text === scalarText(before) ? [before] : [before, text];
    // A block scalar's last newline is part of it.
    this.edits.push({ from, to, text: replacement + (/\r?\n$/.exec(text)?.[0] ?? "") });
  }

  #oneLine(value: Json, inFlow: boolean): string {
    return inFlow
      ? flowText(value)
      : blockLines(value).length === 1 && !isJsonObject(value)
        ? scalarText(value)
        : flowText(value);
  }

  /** In the lines of the block that it replaces. */
  #below(node: Node, value: Json): string {
    const from = node.range?.[0] ?? 0;
    const indent = " ".repeat(from - lineStartOf(this.#text, from));
    return blockLines(value).join(this.#newline + indent);
  }

  /** Lines in front of the first item of a block. */
  #insertLines(collection: YAMLMap | YAMLSeq, lines: readonly string[]): void {
    const first = itemStart(collection, 0);
    const lineStart = lineStartOf(this.#text, first);
    const indent = this.#text.slice(lineStart, first).replace("\ufeff", "");
    const spaces = " ".repeat(indent.length);
    if (indent.trim() === "") {
      const from = this.#aboveComments(lineStart);
      const text = lines.map((line) => spaces + line + this.#newline).join("");
      this.edits.push({ from, to: from, text });
    } else {
      // The first key stands behind the "- " of a list.
      const text = lines.map((line) => line + this.#newline + spaces).join("");
      this.edits.push({ from: first, to: first, text });
    }
  }

  /** Comments above the first item are about that item. Above the first line of the document they are about all of it. */
  #aboveComments(lineStart: number): number {
    let at = lineStart;
    while (at > 0) {
      const previous = lineStartOf(this.#text, at - 1);
      if (!/^[ \t]*(#.*)?\r?$/.test(this.#text.slice(previous, at - 1))) break;
      at = previous;
    }
    return at === 0 || this.#text.startsWith("---", lineStartOf(this.#text, at - 1)) ? lineStart : at;
  }

  /** Lines behind the last item of a block list. */
  #appendLines(list: YAMLSeq, lines: readonly string[]): void {
    const first = itemStart(list, 0);
    const indent = " ".repeat(first - lineStartOf(this.#text, first));
    const end = contentEnd(list);
    if (this.#text[end - 1] === "\n") {
      this.edits.push({ from: end, to: end, text: lines.map((line) => indent + line + this.#newline).join("") });
      return;
    }
    const from = lineEndOf(this.#text, end);
    this.edits.push({ from, to: from, text: lines.map((line) => this.#newline + indent + line).join("") });
  }

  #insertInFlow(collection: YAMLMap | YAMLSeq, items: readonly string[], where: "first" | "last"): void {
    const open = (collection.range?.[0] ?? 0) + 1;
    if (collection.items.length === 0) {
      this.edits.push({ from: open, to: open, text: items.join(", ") });
    } else if (where === "last") {
      const from = itemEnd(collection, collection.items.length - 1);
      this.edits.push({ from, to: from, text: items.map((item) => `, ${item}`).join("") });
    } else {
      // As the first item stands behind the bracket, on the same line or on one of its own.
      const gap = /^\s*/.exec(this.#text.slice(open, open + 1000))?.[0] ?? "";
      const text = gap === "" ? items.map((item) => `${item}, `) : items.map((item) => `${gap}${item},`);
      this.edits.push({ from: open, to: open, text: text.join("") });
    }
  }
}

function hasBlock(node: Node): boolean {
  return (isMap(node) || isSeq(node)) && node.flow !== true;
}

/** Back over blanks to where the colon, the dash or the anchor before them ends. */
export function behindColon(text: string, offset: number): number {
  let at = offset;
  while (at > 0 && (text[at - 1] === " " || text[at - 1] === "\t")) at -= 1;
  return at;
}
