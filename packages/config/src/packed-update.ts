import type { Clock } from "@heddle/base";
import type { ConfigLaneEntry, ConfigLaneUpdate } from "./proxy-config.ts";

/*
 * A step of the configuration as it crosses to the workers: all of it in one block of shared memory. A message with a thousand blocks,
 * keys and hashes costs a worker 2 ms before it can look at the first; one block costs nothing, and is read in slices.
 *
 *   header   3 x u32: magic, changed C, removed R
 *   changed  C x { 3 x u32: bytes of key, hash, content; key, hash, content }
 *   removed  R x { u32: bytes of key; key }
 *
 * Numbers are little-endian, text is UTF-8.
 */

const MAGIC = 0x3155_5048; // "HPU1"
const HEADER_BYTES = 12;

/** What a slice reads before it looks at the clock again. */
const ENTRIES_PER_LOOK = 64;

export interface PackedUpdate {
  readonly generation: number;
  readonly bytes: SharedArrayBuffer;
}

export function packUpdate({ generation, changed, removed }: ConfigLaneUpdate): PackedUpdate {
  const total =
    changed.reduce((sum, { key, hash, bytes }) => sum + 12 + length(key) + length(hash) + bytes.byteLength, 0) +
    removed.reduce((sum, key) => sum + 4 + length(key), HEADER_BYTES);
  const shared = new SharedArrayBuffer(total);
  const buffer = Buffer.from(shared);
  let at = 0;
  const numbers = (...all: number[]): void => {
    for (const number of all) at = buffer.writeUInt32LE(number, at);
  };
  numbers(MAGIC, changed.length, removed.length);
  for (const { key, hash, bytes } of changed) {
    numbers(length(key), length(hash), bytes.byteLength);
    at += buffer.write(key, at);
    at += buffer.write(hash, at);
    buffer.set(bytes, at);
    at += bytes.byteLength;
  }
  for (const key of removed) {
    numbers(length(key));
    at += buffer.write(key, at);
  }
  return { generation, bytes: shared };
}

function length(text: string): number {
  return Buffer.byteLength(text);
}

/**
 * Reads a step back, a slice at a time, as `EndpointLaneReader` does endpoints. The content of its entries stays where it is: in
 * shared memory, which must not change meanwhile. Throws on bytes that `packUpdate` has not made.
 */
export class PackedUpdateReader {
  readonly #generation: number;
  readonly #buffer: Buffer;
  readonly #changedCount: number;
  readonly #removedCount: number;
  readonly #changed: ConfigLaneEntry[] = [];
  readonly #removed: string[] = [];
  #at = HEADER_BYTES;

  constructor({ generation, bytes }: PackedUpdate) {
    this.#generation = generation;
    this.#buffer = Buffer.from(bytes);
    if (bytes.byteLength < HEADER_BYTES || this.#buffer.readUInt32LE(0) !== MAGIC)
      throw new TypeError(`these ${bytes.byteLength} bytes are no step of a configuration`);
    this.#changedCount = this.#buffer.readUInt32LE(4);
    this.#removedCount = this.#buffer.readUInt32LE(8);
  }

  /** Reads on for at most about `budgetMs`. True when all is read. */
  step(budgetMs: number, clock: Clock): boolean {
    const until = clock.now() + budgetMs;
    while (!this.#read(ENTRIES_PER_LOOK)) if (clock.now() >= until) return false;
    return true;
  }

  /** Throws before `step` has answered true. */
  get result(): ConfigLaneUpdate {
    if (!this.#isDone) throw new Error("the step has not been read to its end");
    return { generation: this.#generation, changed: this.#changed, removed: this.#removed };
  }

  get #isDone(): boolean {
    return this.#removed.length === this.#removedCount && this.#changed.length === this.#changedCount;
  }

  #read(most: number): boolean {
    for (let left = most; left > 0 && !this.#isDone; left -= 1) {
      if (this.#changed.length < this.#changedCount) this.#changed.push(this.#entry());
      else this.#removed.push(this.#text(this.#number()));
    }
    return this.#isDone;
  }

  #entry(): ConfigLaneEntry {
    const [keyBytes, hashBytes, bytes] = [this.#number(), this.#number(), this.#number()];
    const [key, hash] = [this.#text(keyBytes), this.#text(hashBytes)];
    const from = this.#at;
    this.#at += bytes;
    return { key, hash, bytes: this.#buffer.subarray(from, this.#at) };
  }

  #number(): number {
    this.#at += 4;
    return this.#buffer.readUInt32LE(this.#at - 4);
  }

  #text(bytes: number): string {
    const from = this.#at;
    this.#at += bytes;
    return this.#buffer.toString("utf8", from, this.#at);
  }
}
