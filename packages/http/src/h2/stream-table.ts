/** What the table needs of a stream. */
export interface Numbered {
  /** Odd, as those that clients open are. */
  readonly id: number;
}

const MIN_SLOTS = 16;

/**
 * The open streams of a connection by their numbers. Open addressing with linear probing. Numbers rise by two; `placeOf` keeps
 * apart those that follow each other, and no two of a table's length in a row meet.
 *
 * A `Map` would do but for the garbage collector: after so many streams it moves to a new table, and the old one still refers to all
 * that it held and to its successor. Once one of them is in the old generation, each next table and the streams and exchanges in it
 * follow it there until the next full collection (8 connections with 10 streams: the heap of a worker between 14 and 58 MB, full
 * collections every second; with this table 15 to 21 MB, and none).
 */
export class StreamTable<Stream extends Numbered> {
  /** A power of two, at least twice as many as there are streams. */
  #slots: (Stream | undefined)[] = emptySlots(MIN_SLOTS);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): Stream | undefined {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let at = placeOf(id) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at];
      if (stream === undefined || stream.id === id) return stream;
    }
  }

  /** One whose number is not in the table. */
  add(stream: Stream): void {
    if ((this.#size + 1) * 2 > this.#slots.length) this.#resize(this.#slots.length * 2);
    this.#size++;
    this.#put(stream);
  }

  /** False: it was not there. */
  delete(id: number): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = placeOf(id) & mask;
    for (; slots[hole]?.id !== id; hole = (hole + 1) & mask) if (slots[hole] === undefined) return false;
    // What was put behind it for want of a place moves up, or it would not be found any more.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const next = slots[at];
      if (next === undefined) break;
      const home = placeOf(next.id) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = next;
      hole = at;
    }
    slots[hole] = undefined;
    this.#size--;
    if (this.#size === 0 && slots.length > MIN_SLOTS * 16) this.clear(); // a crowd has left
    return true;
  }

  /** Those that are there now, in the order in which they were opened; whatever is done with them may change the table. */
  list(): Stream[] {
    const streams: Stream[] = [];
    for (const stream of this.#slots) if (stream !== undefined) streams.push(stream);
    return streams.sort((a, b) => a.id - b.id);
  }

  /** Visits those that are there, in no order. The table must stay as it is meanwhile. */
  each(visit: (stream: Stream) => void): void {
    for (const stream of this.#slots) if (stream !== undefined) visit(stream);
  }

  clear(): void {
    this.#slots = emptySlots(MIN_SLOTS);
    this.#size = 0;
  }

  #put(stream: Stream): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let at = placeOf(stream.id) & mask;
    while (slots[at] !== undefined) at = (at + 1) & mask;
    slots[at] = stream;
  }

  #resize(length: number): void {
    const old = this.#slots;
    this.#slots = emptySlots(length);
    for (const stream of old) if (stream !== undefined) this.#put(stream);
  }
}

/** Without this streams would stand side by side, and to take one out would mean to look at all behind it. */
function placeOf(id: number): number {
  return Math.imul(id >>> 1, GOLDEN);
}

/** 2^32 over the golden ratio, odd: multiples of it modulo a power of two are spread, and each is met once. */
const GOLDEN = 0x9e3779b1;

function emptySlots<Stream>(length: number): (Stream | undefined)[] {
  return new Array<Stream | undefined>(length).fill(undefined);
}
