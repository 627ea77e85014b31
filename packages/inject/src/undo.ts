import { isJsonObject, type Json, type JsonObject, pointerPart, sameJson } from "@heddle/base";

/**
 * What takes an injection back. Places are pointers from the pod, of which an item of a list is known by its name where it has one:
 * "/spec/containers/app/livenessProbe", "/metadata/annotations/heddle.dev~1status" (`~1` is a slash, `~0` a tilde).
 */
export interface Undo {
  readonly added: readonly string[];
  /** What stood there before. Behind it, where it came from a text that is not its plain form: the very text. */
  readonly was: Readonly<Record<string, readonly [before: Json, text?: string]>>;
}

/** The part by which an item of a list is known: its name, else its place. */
export function itemKey(item: Json | undefined, index: number): string {
  const name = isJsonObject(item) ? item["name"] : undefined;
  return typeof name === "string" && name !== "" && !/^\d+$/.test(name) ? name : String(index);
}

/** Where `before`, a list, begins in `after`, which has more in front of it and behind it. -1: it is not in there. */
export function alignment(before: readonly Json[], after: readonly Json[]): number {
  const same = (a: Json | undefined, b: Json | undefined): boolean => {
    const name = isJsonObject(a) ? a["name"] : undefined;
    return typeof name === "string" && isJsonObject(b) ? b["name"] === name : sameJson(a, b);
  };
  for (let start = 0; start + before.length <= after.length; start++)
    if (before.every((item, index) => same(item, after[start + index]))) return start;
  return -1;
}

/** Whether `after` can be had from `before` by adding to it and changing what is in it: nothing of it is gone. */
export function extendsMap(before: JsonObject, after: JsonObject): boolean {
  return Object.keys(before).every((key) => Object.hasOwn(after, key));
}

/** What takes `after` back to `before`. */
export function undoOf(before: JsonObject, after: JsonObject): Undo {
  const added: string[] = [];
  const was: Record<string, readonly [Json]> = {};
  const compare = (a: Json, b: Json, pointer: string): void => {
    if (sameJson(a, b)) return;
    if (isJsonObject(a) && isJsonObject(b) && extendsMap(a, b)) {
      for (const [key, value] of Object.entries(b)) {
        if (a[key] === value) continue; // most of a large pod: not worth a pointer
        const at = pointer + pointerPart(key);
        if (Object.hasOwn(a, key)) compare(a[key]!, value, at);
        else added.push(at);
      }
      return;
    }
    const start = Array.isArray(a) && Array.isArray(b) ? alignment(a, b) : -1;
    if (start === -1) was[pointer] = [a];
    else
      for (const [index, item] of (b as readonly Json[]).entries()) {
        const at = pointer + pointerPart(itemKey(item, index));
        const own = (a as readonly Json[])[index - start];
        if (own === undefined) added.push(at);
        else compare(own, item, at);
      }
  };
  compare(before, after, "");
  return { added, was };
}

/** Takes back what an injection did, as far as it is still there. */
export function applyUndo(after: JsonObject, undo: Undo): JsonObject {
  const added = new Set(undo.added);
  const restore = (value: Json, pointer: string): Json => {
    const before = undo.was[pointer];
    if (before !== undefined) return before[0];
    if (Array.isArray(value))
      return value.flatMap((item: Json, index) => {
        const at = pointer + pointerPart(itemKey(item, index));
        return added.has(at) ? [] : [restore(item, at)];
      });
    if (!isJsonObject(value)) return value;
    const restored: Record<string, Json> = {};
    for (const [key, member] of Object.entries(value)) {
      const at = pointer + pointerPart(key);
      if (!added.has(at)) restored[key] = restore(member, at);
    }
    return restored;
  };
  return restore(after, "") as JsonObject;
}
