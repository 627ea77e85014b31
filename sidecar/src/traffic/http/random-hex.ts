import { randomFillSync } from "node:crypto";

/** Random identifiers, written many at a time into one string, of which each is a part. */
export class RandomHex {
  readonly #uuids: Pool;
  readonly #traceparents: Pool;

  /** `fill` is given in tests. */
  constructor(fill: (buffer: Buffer) => void = randomFillSync) {
    this.#uuids = new Pool("xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx", fill, 4, writeUuid);
    this.#traceparents = new Pool(`00-${"x".repeat(32)}-${"x".repeat(16)}-01`, fill, 6, writeTraceparent);
  }

  /** A version 4 UUID (RFC 9562 §5.4). */
  uuid(): string {
    return this.#uuids.next();
  }

  /** The `traceparent` of a trace that begins, sampled (https://www.w3.org/TR/trace-context/ §3.2). */
  traceparent(): string {
    return this.#traceparents.next();
  }
}

const IDS_AT_ONCE = 256;
const [ONE, FOUR] = [0x31, 0x34];
const VARIANTS = Buffer.from("89ab", "latin1");

/** Writes the digits of the identifier that begins at `at`. From `next` on there are as many random words as it asks for. */
type Write = (view: DataView, at: number, words: Int32Array, next: number) => void;

/** Identifiers of one form, in which the digits are written over "x". */
class Pool {
  readonly #length: number;
  readonly #fill: (buffer: Buffer) => void;
  readonly #wordsEach: number;
  readonly #write: Write;
  readonly #random: Buffer;
  readonly #words: Int32Array;
  readonly #written: Buffer;
  readonly #view: DataView;
  #text = "";
  #used = 0;

  constructor(form: string, fill: (buffer: Buffer) => void, wordsEach: number, write: Write) {
    this.#length = form.length;
    this.#fill = fill;
    this.#wordsEach = wordsEach;
    this.#write = write;
    this.#written = Buffer.alloc(form.length * IDS_AT_ONCE, form, "latin1");
    this.#view = new DataView(this.#written.buffer, this.#written.byteOffset);
    this.#random = Buffer.allocUnsafeSlow(IDS_AT_ONCE * wordsEach * Int32Array.BYTES_PER_ELEMENT);
    this.#words = new Int32Array(this.#random.buffer, this.#random.byteOffset, IDS_AT_ONCE * wordsEach);
  }

  next(): string {
    if (this.#used === this.#text.length) this.#refill();
    const from = this.#used;
    this.#used = from + this.#length;
    return this.#text.substring(from, this.#used);
  }

  #refill(): void {
    this.#fill(this.#random);
    const write = this.#write;
    for (let id = 0; id < IDS_AT_ONCE; id++) write(this.#view, id * this.#length, this.#words, id * this.#wordsEach);
    this.#text = this.#written.toString("latin1");
    this.#used = 0;
  }
}

function writeUuid(view: DataView, at: number, words: Int32Array, next: number): void {
  const second = words[next + 1]!; // it has been given four
  write8(view, at, at + 4, words[next]!);
  write8(view, at + 9, at + 14, second);
  write8(view, at + 19, at + 24, words[next + 2]!);
  write8(view, at + 28, at + 32, words[next + 3]!);
  // Four letters for two bits, of those whose digit the version has taken.
  view.setUint8(at + 14, FOUR);
  view.setUint8(at + 19, VARIANTS[(second >> 28) & 3]!);
}

/** An id of zeros alone is not valid (§3.2.2.3, §3.2.2.4). */
function writeTraceparent(view: DataView, at: number, words: Int32Array, next: number): void {
  let trace = 0;
  for (let i = 0; i < 4; i++) {
    const word = words[next + i]!; // it has been given six
    trace |= word;
    write8(view, at + 3 + 8 * i, at + 7 + 8 * i, word);
  }
  const [fifth, sixth] = [words[next + 4]!, words[next + 5]!];
  write8(view, at + 36, at + 40, fifth);
  write8(view, at + 44, at + 48, sixth);
  if (trace === 0) view.setUint8(at + 34, ONE);
  if ((fifth | sixth) === 0) view.setUint8(at + 51, ONE);
}

/** Eight digits, four at either place. Digit by digit they were a thirtieth of what a small request costs. */
function write8(view: DataView, first: number, second: number, word: number): void {
  view.setInt32(first, digits(word & 0x0f0f0f0f));
  view.setInt32(second, digits((word >> 4) & 0x0f0f0f0f));
}

/**
 * Of four numbers below 16, each in a byte, the digits: "0" is added, and where six more carry out of four bits also what
 * lies between "9" and "a".
 */
function digits(four: number): number {
  return four + 0x30303030 + Math.imul(((four + 0x06060606) >> 4) & 0x01010101, 0x27);
}
