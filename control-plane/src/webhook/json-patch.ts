import { isJsonObject, type Json, type JsonObject, pointerPart, sameJson } from "@heddle/base";

/** RFC 6902 §4; `path` is a JSON Pointer (RFC 6901). */
export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: Json }
  | { readonly op: "remove"; readonly path: string };

/**
 * What makes `after` of `before`, in as few and as small steps as a reader would take: fields by their names, items of a list
 * by their `name` where they have one (containers, volumes, variables), else by what they are. Nothing differs: no step.
 *
 * A field whose value is undefined counts as absent.
 */
export function jsonPatch(before: Json, after: Json): readonly PatchOperation[] {
  const steps: PatchOperation[] = [];
  diff(before, after, "", steps);
  return steps;
}

function diff(before: Json, after: Json, path: string, steps: PatchOperation[]): void {
  if (before === after) return;
  if (Array.isArray(before) && Array.isArray(after)) diffLists(before, after, path, steps);
  else if (isJsonObject(before) && isJsonObject(after)) diffObjects(before, after, path, steps);
  else steps.push({ op: "replace", path, value: after });
}

function diffObjects(before: JsonObject, after: JsonObject, path: string, steps: PatchOperation[]): void {
  for (const key of Object.keys(before))
    if (before[key] !== undefined && !has(after, key)) steps.push({ op: "remove", path: join(path, key) });
  for (const [key, value] of Object.entries(after)) {
    if (value === undefined || value === before[key]) continue; // the same object: most of a large pod
    if (has(before, key)) diff(before[key]!, value, join(path, key), steps);
    else steps.push({ op: "add", path: join(path, key), value });
  }
}

/** Steps are taken one after the other, so each index is that of the list as the steps before have left it. */
function diffLists(before: readonly Json[], after: readonly Json[], path: string, steps: PatchOperation[]): void {
  const pairs = pairsOf(before, after);
  let [from, to] = [0, 0];
  for (const [pairFrom, pairTo] of [...pairs, [before.length, after.length] as const]) {
    for (; from < pairFrom && to < pairTo; from += 1, to += 1)
      steps.push({ op: "replace", path: join(path, to), value: after[to]! });
    for (; from < pairFrom; from += 1) steps.push({ op: "remove", path: join(path, to) });
    for (; to < pairTo; to += 1) steps.push({ op: "add", path: join(path, to), value: after[to]! });
    if (pairFrom === before.length) return;
    if (before[from] !== after[to]) diff(before[from]!, after[to]!, join(path, to), steps);
    from += 1;
    to += 1;
  }
}

type Pair = readonly [before: number, after: number];

/** Beyond it the table would be dear, and no list of a pod is so long: then ends alone are paired. */
const MAX_TABLE = 40_000;

/** Which items of two lists are the same ones, in order: a longest common subsequence. */
function pairsOf(before: readonly Json[], after: readonly Json[]): readonly Pair[] {
  let start = 0;
  while (start < before.length && start < after.length && isSame(before[start]!, after[start]!)) start += 1;
  let tail = 0;
  const most = Math.min(before.length, after.length) - start;
  while (tail < most && isSame(before.at(-1 - tail)!, after.at(-1 - tail)!)) tail += 1;
  const pairs: Pair[] = [];
  for (let at = 0; at < start; at += 1) pairs.push([at, at]);
  const [rows, columns] = [before.length - tail - start, after.length - tail - start];
  if (rows > 0 && columns > 0 && rows * columns <= MAX_TABLE)
    pairs.push(
      ...longestCommon(before.slice(start, start + rows), after.slice(start, start + columns)).map(
        ([from, to]) => [from + start, to + start] as const,
      ),
    );
  for (let at = tail; at > 0; at -= 1) pairs.push([before.length - at, after.length - at]);
  return pairs;
}

function longestCommon(before: readonly Json[], after: readonly Json[]): readonly Pair[] {
  const width = after.length + 1;
  const lengths = new Uint16Array((before.length + 1) * width);
  const same = before.map((left) => after.map((right) => isSame(left, right)));
  for (let row = before.length - 1; row >= 0; row -= 1)
    for (let column = after.length - 1; column >= 0; column -= 1)
      lengths[row * width + column] = same[row]![column]!
        ? lengths[(row + 1) * width + column + 1]! + 1
        : Math.max(lengths[(row + 1) * width + column]!, lengths[row * width + column + 1]!);
  const pairs: Pair[] = [];
  for (let row = 0, column = 0; row < before.length && column < after.length; ) {
    if (same[row]![column]!) pairs.push([row++, column++]);
    else if (lengths[(row + 1) * width + column]! >= lengths[row * width + column + 1]!) row += 1;
    else column += 1;
  }
  return pairs;
}

/** Two objects of one name are one item, whatever else of it has changed. */
function isSame(left: Json, right: Json): boolean {
  if (isJsonObject(left) && isJsonObject(right) && typeof left["name"] === "string")
    return left["name"] === right["name"];
  return sameJson(left, right);
}

function has(object: JsonObject, key: string): boolean {
  return Object.hasOwn(object, key) && object[key] !== undefined;
}

function join(path: string, key: string | number): string {
  return path + pointerPart(String(key));
}
