import type { CellBlock, CellList, CellPlace, CellTable } from "../../traffic/worker/worker-messages.ts";

const BLOCK_CELLS = 1024;
/** What a worker reads in one go. */
const KEYS_PER_LIST = 64;

/**
 * Int32 cells in shared memory, by name, for what is limited per process: circuit breakers, connections. Every worker adds to
 * the sum with Atomics and notes its part in cells of its own, so that the part of a worker that died can be taken off.
 * A name keeps its cells for the life of the process; there are as many as there ever were clusters at a time, since
 * cells of names that are gone are given to new names of the same size once their counts are back at zero.
 */
export class SharedCells {
  readonly #sums: Int32Array<SharedArrayBuffer>[] = [];
  readonly #own = new Map<number, Int32Array<SharedArrayBuffer>[]>();
  readonly #places = new Map<string, CellPlace>();
  /** Places whose name is gone, by their size. */
  readonly #free = new Map<number, CellPlace[]>();
  #block = -1;
  #next = BLOCK_CELLS;

  /** Gives every name its cells. Answers those that are new; every worker has to hear of them by `tableFor`. */
  ensure(keys: Iterable<string>, count: number): readonly CellPlace[] {
    const made: CellPlace[] = [];
    for (const key of keys) {
      if (this.#places.has(key)) continue;
      const place = { ...(this.#takeFree(count) ?? this.#allocate(count)), key };
      this.#places.set(key, place);
      made.push(place);
    }
    return made;
  }

  /** The name is in no configuration any more. */
  release(key: string): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.#places.delete(key);
    const free = this.#free.get(place.count);
    if (free === undefined) this.#free.set(place.count, [place]);
    else free.push(place);
  }

  /** What that worker needs to know: the blocks that it has not, and these places. A worker's first table has all places. */
  tableFor(worker: number, places: readonly CellPlace[] = [...this.#places.values()]): CellTable {
    let own = this.#own.get(worker);
    if (own === undefined) {
      own = [];
      this.#own.set(worker, own);
    }
    const blocks: CellBlock[] = [];
    for (let block = own.length; block < this.#sums.length; block++) {
      const part = newBlock();
      own.push(part);
      blocks.push({ sum: this.#sums[block]!.buffer, own: part.buffer }); // `block` is below the length
    }
    const lists: CellList[] = [];
    for (let from = 0; from < places.length; from += KEYS_PER_LIST)
      lists.push(listOf(places.slice(from, from + KEYS_PER_LIST)));
    return { blocks, lists };
  }

  /** The worker is dead, and nothing will give back what it held. */
  removeWorker(worker: number): void {
    const own = this.#own.get(worker) ?? [];
    this.#own.delete(worker);
    own.forEach((part, block) => {
      for (let i = 0; i < part.length; i++) {
        const held = Atomics.load(part, i);
        if (held !== 0) Atomics.sub(this.#sums[block]!, i, held); // a worker has no more blocks than there are
      }
    });
  }

  /** The sums of that name now. */
  sums(key: string): readonly number[] {
    const place = this.#places.get(key);
    if (place === undefined) return [];
    return Array.from({ length: place.count }, (_, i) => Atomics.load(this.#sums[place.block]!, place.offset + i));
  }

  #takeFree(count: number): Omit<CellPlace, "key"> | undefined {
    const free = this.#free.get(count) ?? [];
    const index = free.findIndex(({ block, offset }) => {
      const sums = this.#sums[block]!; // every place is in a block
      for (let i = 0; i < count; i++) if (Atomics.load(sums, offset + i) !== 0) return false;
      return true;
    });
    return index < 0 ? undefined : free.splice(index, 1)[0];
  }

  #allocate(count: number): Omit<CellPlace, "key"> {
    if (count > BLOCK_CELLS) throw new RangeError(`${count} cells are more than a block has`);
    if (this.#next + count > BLOCK_CELLS) {
      this.#sums.push(newBlock());
      this.#block++;
      this.#next = 0;
    }
    const offset = this.#next;
    this.#next += count;
    return { block: this.#block, offset, count };
  }
}

function listOf(places: readonly CellPlace[]): CellList {
  return {
    keys: JSON.stringify(places.map(({ key }) => key)),
    places: Int32Array.from(places.flatMap(({ block, offset, count }) => [block, offset, count])),
  };
}

function newBlock(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(BLOCK_CELLS * Int32Array.BYTES_PER_ELEMENT));
}
