import { Buffer } from "node:buffer"; // the global one is an accessor

interface KnownBlock<Result> {
  readonly bytes: Buffer;
  readonly version: number;
  readonly result: Result;
}

const SLOTS = 4;
const MAX_BYTES = 512;

/**
 * Blocks that were decoded and changed nothing, by their bytes: while the table is as it was then, they say the same. With
 * requests that differ in nothing but what both sides have indexed, nearly all blocks are such; those that carry ids of their own
 * differ in length or cost one comparison.
 */
export class BlockMemo<Result> {
  readonly #known = new Array<KnownBlock<Result> | undefined>(SLOTS).fill(undefined);
  /** By slot: the length of the block that was last missed there. A block is kept when the one before was as long. */
  readonly #lengths = new Uint16Array(SLOTS);

  find(block: Buffer, version: number): Result | undefined {
    const known = this.#known[block.length & (SLOTS - 1)];
    if (known === undefined || known.version !== version || known.bytes.length !== block.length) return undefined;
    return known.bytes.equals(block) ? known.result : undefined;
  }

  /** `result` is shared by all who find it: nobody may change what it says. */
  missed(block: Buffer, version: number, result: Result): void {
    const { length } = block;
    if (length > MAX_BYTES) return;
    const slot = length & (SLOTS - 1);
    if (this.#lengths[slot] === length) {
      this.#known[slot] = { bytes: Buffer.from(block), version, result };
      this.#lengths[slot] = 0; // the next miss of that length waits again: blocks with ids of their own are copied half the time
    } else this.#lengths[slot] = length;
  }
}
