import type { CellList, CellPlace, CellTable } from "./worker-messages.ts";

/** Cells of one name: the sum over all workers, and the part of it that this worker has added. */
export interface Cells {
  readonly sum: Int32Array;
  readonly own: Int32Array;
}

/**
 * A worker's view of the cells that all workers share. The control thread makes cells for a name before it sends the
 * configuration that has the name.
 */
export class WorkerCells {
  readonly #blocks: { readonly sum: Int32Array; readonly own: Int32Array }[] = [];
  readonly #places = new Map<string, Omit<CellPlace, "key">>();
  readonly #unread: CellList[] = [];

  constructor(first: CellTable) {
    this.add(first);
  }

  add({ blocks, lists }: CellTable): void {
    for (const { sum, own } of blocks) this.#blocks.push({ sum: new Int32Array(sum), own: new Int32Array(own) });
    this.#unread.push(...lists);
  }

  /** Reads what has come, which `get` would do at once: for a thousand names that takes 1 ms. May be left at each `yield`. */
  *read(): Generator<undefined, void> {
    for (let list = this.#unread.shift(); list !== undefined; list = this.#unread.shift()) {
      const { keys, places } = list;
      (JSON.parse(keys) as string[]).forEach((key, index) => {
        const [block, offset, count] = [places[3 * index]!, places[3 * index + 1]!, places[3 * index + 2]!]; // three for each
        this.#places.set(key, { block, offset, count });
      });
      yield;
    }
  }

  get(key: string): Cells {
    // All of it: a name that was gone and came again has other cells.
    if (this.#unread.length > 0) for (const _ of this.read());
    const place = this.#places.get(key);
    if (place === undefined) throw new RangeError(`there are no cells for ${key}`);
    const { block, offset, count } = place;
    const from = this.#blocks[block];
    if (from === undefined) throw new RangeError(`cells of ${key} lie in a block that has not come`);
    const end = offset + count;
    return { sum: from.sum.subarray(offset, end), own: from.own.subarray(offset, end) };
  }
}
