import { Buffer } from "node:buffer"; // the global one is an accessor

/**
 * Values within a block that lie there as they are, not coded and not inserted: the three numbers of each are where it begins
 * and ends, and its place in the list.
 */
export type Literals = Uint16Array;

interface KnownBlock<Result> {
  readonly bytes: Buffer;
  readonly version: number;
  readonly result: Result;
  readonly literals: Literals;
}

const SLOTS = 4;
const MAX_BYTES = 512;
/** Of one block. */
export const MAX_LITERALS = 16;

/** What `BlockMemo.find` answers: another block, one that was known, or one that differs from it in literals alone. */
export const Found = { Nothing: 0, Same: 1, Like: 2 } as const;
export type Found = (typeof Found)[keyof typeof Found];

/**
 * Blocks that were decoded and changed nothing, by their bytes: while the table is as it was then, they say the same. With
 * requests that differ in nothing but what both sides have indexed, nearly all blocks are such. Those that carry ids of their own
 * mostly differ in the bytes of these alone, and say the same but for them.
 */
export class BlockMemo<Result> {
  readonly #known = new Array<KnownBlock<Result> | undefined>(SLOTS).fill(undefined);
  /** By slot: the length of the block that was last missed there. A block is kept when the one before was as long. */
  readonly #lengths = new Uint16Array(SLOTS);
  #found: KnownBlock<Result> | undefined = undefined;
  /** After `Found.Like`, the first `changedCount` numbers: places whose values differ, in turn with where these begin and end. */
  readonly changed = new Uint16Array(3 * MAX_LITERALS);
  changedCount = 0;

  /** After an answer other than `Nothing`: of the known block. */
  get result(): Result {
    return this.#found!.result; // which the caller was told
  }

  /** The block lies in `block` from `start` to `end`; the numbers in `changed` count from `start`. */
  find(block: Buffer, start: number, end: number, version: number): Found {
    const length = end - start;
    const known = this.#known[length & (SLOTS - 1)];
    if (known === undefined || known.version !== version || known.bytes.length !== length) return Found.Nothing;
    const { bytes, literals } = known;
    const { changed } = this;
    let count = 0;
    let at = 0;
    for (let i = 0; i < literals.length; i += 3) {
      const from = literals[i]!;
      const to = literals[i + 1]!;
      for (; at < from; at++) if (bytes[at] !== block[start + at]) return Found.Nothing;
      for (; at < to; at++) {
        if (bytes[at] === block[start + at]) continue;
        changed[count++] = literals[i + 2]!; // three numbers each
        changed[count++] = from;
        changed[count++] = to;
        break;
      }
      at = to;
    }
    for (; at < length; at++) if (bytes[at] !== block[start + at]) return Found.Nothing;
    this.#found = known;
    this.changedCount = count;
    return count === 0 ? Found.Same : Found.Like;
  }

  /** `result` is shared by all who find it: nobody may change what it says. Of `literals` the first `count` numbers count; they are copied. */
  missed(
    block: Buffer,
    start: number,
    end: number,
    version: number,
    result: Result,
    literals: Literals,
    count: number,
  ): void {
    const length = end - start;
    if (length > MAX_BYTES) return;
    const slot = length & (SLOTS - 1);
    if (this.#lengths[slot] === length) {
      this.#known[slot] = {
        bytes: Buffer.from(block.subarray(start, end)),
        version,
        result,
        literals: literals.slice(0, count),
      };
      this.#lengths[slot] = 0; // the next miss of that length waits again: blocks that are never found are copied half the time
    } else this.#lengths[slot] = length;
  }
}
