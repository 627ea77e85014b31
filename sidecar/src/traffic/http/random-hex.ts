import { randomFillSync } from "node:crypto";

/** Random identifiers, written many at a time into one string, of which each is a part. */
export class RandomHex {
  readonly #uuids: Pool;
  readonly #traceparents: Pool;

  /** `fill` is given in tests. */
  constructor(fill: (buffer: Buffer) => void = randomFillSync) {
    this.#uuids = new Pool("xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx", fill, 5, writeUuid);
    this.#traceparents = new Pool(`00-${"x".repeat(32)}-${"x".repeat(16)}-01`, fill, 7, writeTraceparent);
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
/** The low halves of four bytes. */
const LOW = 0x0f0f0f0f;

/**
 * Writes an identifier over the form of its kind, from the word `at` on. From `next` on there are as many random words as
 * it asks for, each of which is eight digits.
 */
type Write = (text: Int32Array, at: number, random: Int32Array, next: number) => void;

/** Identifiers of one form, in which the digits are written over "x". */
class Pool {
  readonly #length: number;
  readonly #fill: (buffer: Buffer) => void;
  readonly #randomEach: number;
  readonly #write: Write;
  readonly #random: Int32Array;
  readonly #randomBytes: Buffer;
  /** The identifiers, each from the beginning of a word on. */
  readonly #words: Int32Array;
  readonly #bytes: Buffer;
  readonly #wordsEach: number;
  #text = "";
  #used = 0;

  constructor(form: string, fill: (buffer: Buffer) => void, randomEach: number, write: Write) {
    this.#length = form.length;
    this.#fill = fill;
    this.#randomEach = randomEach;
    this.#write = write;
    this.#random = new Int32Array(IDS_AT_ONCE * randomEach);
    this.#randomBytes = Buffer.from(this.#random.buffer);
    this.#wordsEach = Math.ceil(form.length / 4);
    this.#words = new Int32Array(IDS_AT_ONCE * this.#wordsEach);
    this.#bytes = Buffer.from(this.#words.buffer).fill(form.padEnd(4 * this.#wordsEach), "latin1");
  }

  next(): string {
    if (this.#used === this.#text.length) this.#refill();
    const from = this.#used;
    this.#used = from + 4 * this.#wordsEach;
    return this.#text.substring(from, from + this.#length);
  }

  /** Four characters at a time: digit by digit they were a thirtieth of what a small request costs. */
  #refill(): void {
    this.#fill(this.#randomBytes);
    const write = this.#write;
    for (let id = 0; id < IDS_AT_ONCE; id++) {
      write(this.#words, id * this.#wordsEach, this.#random, id * this.#randomEach);
    }
    this.#text = this.#bytes.toString("latin1");
    this.#used = 0;
  }
}

/** The four characters as they stand in memory. */
function word(characters: string): number {
  return new Int32Array(Uint8Array.from(characters, (character) => character.charCodeAt(0)).buffer)[0]!; // of four bytes
}

// Which digits of four stay, and what takes the place of the others.
const FIRST_TWO = word("\xff\xff\0\0");
const FIRST_THREE = word("\xff\xff\xff\0");
const LAST_THREE = word("\0\xff\xff\xff");
const OUTER = word("\xff\0\0\xff");
const LAST = word("\0\0\0\xff");
const DASH_FIRST = word("-\0\0\0");
const DASH_LAST = word("\0\0\0-");
const DASH_VERSION = word("\0-4\0");
const DASH_VARIANTS = Int32Array.from("89ab", (variant) => word(`\0\0-${variant}`));
const TRACE_VERSION = word("00-\0");
const ONE_THIRD = word("\0\0\x01\0");
const ONE_LAST = word("\0\0\0\x01");

/** "dddd" "dddd" "-ddd" "d-4d" "dd-v" "ddd-" "dddd" "dddd" "dddd" */
function writeUuid(text: Int32Array, at: number, random: Int32Array, next: number): void {
  const a = random[next]!; // it has been given five
  const b = random[next + 1]!;
  const c = random[next + 2]!;
  const d = random[next + 3]!;
  const e = random[next + 4]!;
  text[at] = digits(a & LOW);
  text[at + 1] = digits((a >> 4) & LOW);
  text[at + 2] = (digits(b & LOW) & LAST_THREE) | DASH_FIRST;
  text[at + 3] = (digits((b >> 4) & LOW) & OUTER) | DASH_VERSION;
  text[at + 4] = (digits(c & LOW) & FIRST_TWO) | DASH_VARIANTS[(e >> 4) & 3]!; // what `e` has left; four for two bits
  text[at + 5] = (digits((c >> 4) & LOW) & FIRST_THREE) | DASH_LAST;
  text[at + 6] = digits(d & LOW);
  text[at + 7] = digits((d >> 4) & LOW);
  text[at + 8] = digits(e & LOW);
}

/**
 * "00-d" "dddd" … "dddd" "ddd-" "dddd" "dddd" "dddd" "dddd" "-01 ". An id of zeros alone is not valid (§3.2.2.3, §3.2.2.4): it
 * ends with a one.
 */
function writeTraceparent(text: Int32Array, at: number, random: Int32Array, next: number): void {
  const a = random[next]!; // it has been given seven
  const b = random[next + 1]!;
  const c = random[next + 2]!;
  const d = random[next + 3]!;
  const e = random[next + 4]!;
  const f = random[next + 5]!;
  const g = random[next + 6]!;
  const traceBits = (a & (LAST | ~LOW)) | b | c | d | (e & FIRST_THREE & LOW);
  const spanBits = ((e >> 4) & LOW) | f | (g & LOW);
  text[at] = (digits(a & LOW) & LAST) | TRACE_VERSION;
  text[at + 1] = digits((a >> 4) & LOW);
  text[at + 2] = digits(b & LOW);
  text[at + 3] = digits((b >> 4) & LOW);
  text[at + 4] = digits(c & LOW);
  text[at + 5] = digits((c >> 4) & LOW);
  text[at + 6] = digits(d & LOW);
  text[at + 7] = digits((d >> 4) & LOW);
  text[at + 8] = (digits((e & LOW) | (traceBits === 0 ? ONE_THIRD : 0)) & FIRST_THREE) | DASH_LAST;
  text[at + 9] = digits((e >> 4) & LOW);
  text[at + 10] = digits(f & LOW);
  text[at + 11] = digits((f >> 4) & LOW);
  text[at + 12] = digits((g & LOW) | (spanBits === 0 ? ONE_LAST : 0));
}

/**
 * Of four numbers below 16, each in a byte, the digits: "0" is added, and where six more carry out of four bits also what
 * lies between "9" and "a".
 */
function digits(four: number): number {
  return four + 0x30303030 + Math.imul(((four + 0x06060606) >> 4) & 0x01010101, 0x27);
}
