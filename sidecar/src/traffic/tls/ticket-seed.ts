import { hkdfSync, randomBytes } from "node:crypto";
import type { TicketKeySource } from "@heddle/net";

/*
 * What the workers' keys of session tickets are derived from: random bytes in memory that all threads share, so that a client
 * that comes back to another worker resumes its session there. The control thread alone writes them, anew each hour; whoever
 * takes a key then opens no ticket of before, which protects the sessions of TLS 1.2 that were under it.
 *
 * The first cell counts: an odd number stands there while the bytes behind it are being written.
 */

const SEED_WORDS = 8;

export function newTicketSeed(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer((1 + SEED_WORDS) * Int32Array.BYTES_PER_ELEMENT);
  renewTicketSeed(memory);
  return memory;
}

/** By one thread alone. */
export function renewTicketSeed(memory: SharedArrayBuffer): void {
  const cells = new Int32Array(memory);
  const random = randomBytes(SEED_WORDS * Int32Array.BYTES_PER_ELEMENT);
  Atomics.add(cells, 0, 1);
  for (let i = 0; i < SEED_WORDS; i++) Atomics.store(cells, 1 + i, random.readInt32LE(i * 4));
  Atomics.add(cells, 0, 1);
}

/** A worker's look at it. */
export class TicketSeed implements TicketKeySource {
  readonly #cells: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#cells = new Int32Array(memory);
  }

  get version(): number {
    return Atomics.load(this.#cells, 0);
  }

  key(context: string): Uint8Array | undefined {
    const before = this.version;
    const seed = new Int32Array(SEED_WORDS);
    for (let i = 0; i < SEED_WORDS; i++) seed[i] = Atomics.load(this.#cells, 1 + i);
    if (before % 2 !== 0 || this.version !== before) return undefined;
    return new Uint8Array(hkdfSync("sha256", seed, "", `heddle session tickets ${context}`, 48));
  }
}
