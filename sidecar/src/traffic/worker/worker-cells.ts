import type { CellTable } from "./worker-messages.ts";

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
  readonly #cells = new Map<string, Cells>();

  constructor(first: CellTable) {
    this.add(first);
  }

  add({ blocks, places }: CellTable): void {
    for (const { sum, own } of blocks) this.#blocks.push({ sum: new Int32Array(sum), own: new Int32Array(own) });
    for (const { key, block, offset, count } of places) {
      const from = this.#blocks[block];
      if (from === undefined) throw new RangeError(`cells of ${key} lie in a block that has not come`);
      const end = offset + count;
      this.#cells.set(key, { sum: from.sum.subarray(offset, end), own: from.own.subarray(offset, end) });
    }
  }

  get(key: string): Cells {
    const cells = this.#cells.get(key);
    if (cells === undefined) throw new RangeError(`there are no cells for ${key}`);
    return cells;
  }
}
