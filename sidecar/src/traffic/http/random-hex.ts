import { randomFillSync } from "node:crypto";

/** Random identifiers, written many at a time into one string, of which each is a part. */
export class RandomHex {
  readonly #uuids: Pool;
  readonly #traceparents: Pool;

  /** `fill` is given in tests. */
  constructor(fill: (buffer: Buffer) => void = randomFillSync) {
    this.#uuids = new Pool("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", fill, asVersion4);
    this.#traceparents = new Pool(`00-${"x".repeat(32)}-${"x".repeat(16)}-01`, fill, asTrace);
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
const X = 0x78;
const [ZERO, ONE, FOUR] = [0x30, 0x31, 0x34];
const VARIANTS = Buffer.from("89ab", "latin1");
const HIGH_DIGITS = Buffer.alloc(256);
const LOW_DIGITS = Buffer.alloc(256);
for (let byte = 0; byte < 256; byte++) {
  HIGH_DIGITS[byte] = "0123456789abcdef".charCodeAt(byte >> 4);
  LOW_DIGITS[byte] = "0123456789abcdef".charCodeAt(byte & 15);
}

/** Makes the digits that begin at `at` an identifier of its kind. `byte` is random. */
type Finish = (text: Buffer, at: number, byte: number) => void;

/** Identifiers of one form, in which "xx" is a random byte and everything else stands for itself. */
class Pool {
  readonly #length: number;
  readonly #fill: (buffer: Buffer) => void;
  readonly #finish: Finish;
  /** Where the pairs of digits stand in one identifier. */
  readonly #pairs: readonly number[];
  readonly #random: Buffer;
  readonly #written: Buffer;
  #text = "";
  #used = 0;

  constructor(form: string, fill: (buffer: Buffer) => void, finish: Finish) {
    this.#length = form.length;
    this.#fill = fill;
    this.#finish = finish;
    this.#written = Buffer.from(form.repeat(IDS_AT_ONCE), "latin1");
    const pairs: number[] = [];
    for (let i = 0; i < form.length; i++) if (this.#written[i] === X) pairs.push(i++);
    this.#pairs = pairs;
    this.#random = Buffer.allocUnsafeSlow(IDS_AT_ONCE * (pairs.length + 1));
  }

  next(): string {
    if (this.#used === this.#text.length) this.#refill();
    const from = this.#used;
    this.#used = from + this.#length;
    return this.#text.substring(from, this.#used);
  }

  #refill(): void {
    const random = this.#random;
    const written = this.#written;
    const pairs = this.#pairs;
    this.#fill(random);
    let next = 0;
    for (let at = 0; at < written.length; at += this.#length) {
      for (let i = 0; i < pairs.length; i++) {
        const byte = random[next++]!; // there are enough for all, as there are digits for all bytes
        written[at + pairs[i]!] = HIGH_DIGITS[byte]!;
        written[at + pairs[i]! + 1] = LOW_DIGITS[byte]!;
      }
      this.#finish(written, at, random[next++]!);
    }
    this.#text = written.toString("latin1");
    this.#used = 0;
  }
}

function asVersion4(text: Buffer, at: number, byte: number): void {
  text[at + 14] = FOUR;
  text[at + 19] = VARIANTS[byte & 3]!; // four letters for two bits
}

/** An id of zeros alone is not valid (§3.2.2.3, §3.2.2.4). */
function asTrace(text: Buffer, at: number): void {
  if (isZero(text, at + 3, at + 35)) text[at + 34] = ONE;
  if (isZero(text, at + 36, at + 52)) text[at + 51] = ONE;
}

function isZero(text: Buffer, from: number, to: number): boolean {
  let i = from;
  while (i < to && text[i] === ZERO) i++;
  return i === to;
}
