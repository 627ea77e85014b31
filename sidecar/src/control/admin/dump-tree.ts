import type { Json } from "@heddle/base";
import { beginOf, JsonFields, JsonItems, type StreamedJson } from "@heddle/telemetry/admin";
import { applyMask, type FieldMask } from "./field-mask.ts";

/*
 * A part of the configuration as it is shown, made element by element when it is written: ten thousand clusters are seconds of
 * work and tens of megabytes.
 */

/** A list whose elements are made anew each time they are asked for; undefined is a place to pause. */
export class DumpList {
  readonly elements: () => Iterable<Json | undefined>;

  constructor(elements: () => Iterable<Json | undefined>) {
    this.elements = elements;
  }

  with(more: readonly Json[]): DumpList {
    const { elements } = this;
    return new DumpList(function* () {
      yield* elements();
      yield* more;
    });
  }
}

/** An object with lists in it. */
export class DumpFields {
  readonly fields: readonly (readonly [name: string, value: DumpTree])[];

  constructor(fields: readonly (readonly [name: string, value: DumpTree])[]) {
    this.fields = fields;
  }
}

export type DumpTree = Json | DumpList | DumpFields;

/** What `toShown` makes of each. */
export function* each<T, Shown>(
  items: Iterable<T>,
  toShown: (item: T) => Shown | undefined,
): Generator<Shown | undefined> {
  for (const item of items) yield toShown(item);
}

export function streamed(tree: DumpTree): StreamedJson {
  if (tree instanceof DumpList) return new JsonItems(tree.elements());
  if (tree instanceof DumpFields) return new JsonFields(tree.fields.map(([name, value]) => [name, streamed(value)]));
  return tree;
}

/** `applyMask` of what is made later: whether anything is left is known only once the first element has been made. */
export async function maskTree(tree: DumpTree, mask: FieldMask): Promise<DumpTree | undefined> {
  if (mask.size === 0) return tree;
  if (tree instanceof DumpList) return maskList(tree, mask);
  if (!(tree instanceof DumpFields)) return applyMask(tree, mask);
  const kept: (readonly [string, DumpTree])[] = [];
  for (const [name, value] of tree.fields) {
    const below = mask.get(name);
    const shown = below && (await maskTree(value, below));
    if (shown !== undefined) kept.push([name, shown]);
  }
  if (kept.length === 0) return undefined;
  const type = tree.fields.filter(([name]) => name === "@type" && !mask.has(name));
  return new DumpFields([...type, ...kept]);
}

async function maskList(list: DumpList, mask: FieldMask): Promise<DumpList | undefined> {
  let isEmpty = true;
  const masked = await beginOf(
    each(list.elements(), (element) => {
      if (element === undefined) return undefined;
      isEmpty = false;
      return applyMask(element, mask);
    }),
  );
  if (masked !== undefined) return new DumpList(() => masked);
  return isEmpty ? list : undefined;
}
