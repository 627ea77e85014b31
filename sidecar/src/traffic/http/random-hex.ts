import { randomFillSync } from "node:crypto";

/** Random identifiers, written many at a time into one string, of which each is a part. */
export class RandomHex {
  readonly #uuids: Pool;
  readonly #traceparents: Pool;

  /** `fill` is given in tests. */
  constructor(fill: (buffer: Buffer) => void = randomFillSync) {
    this.#uuids = new Pool("xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx", fill);
    this.#traceparents = new Pool(`00-${"x".repeat(32)}-${"x".repeat(16)}-01`, fill);
  }

  /** A version 4 UUID (RFC 9562 §5.4). */
  uuid(): string {
    return this.#uuids.next();
  }

  /** A `traceparent` of a trace that begins, sampled. Neither id is all zero (https://www.w3.org/TR/trace-context/ §3.2.2.3). */
  traceparent(): string {
    return this.#traceparents.next();
  }
}

const IDS_AT_ONCE = 256;
const X = 0x78;
const Y = 0x79;
const DASH = 0x2d;
const DIGITS = Buffer.from("0123456789abcdef", "latin1");
/** Digits of a group that is too long to be zero by any chance but a broken source. */
const LONG_GROUP = 16;

/** Identifiers of one form: x is any digit, y one that begins with the bits 10, other characters stand for themselves. */
class Pool {
  readonly #form: Buffer;
  readonly #fill: (buffer: Buffer) => void;
  readonly #random: Buffer;
  readonly #written: Buffer;
  #text = "";
  #used = 0;

  constructor(form: string, fill: (buffer: Buffer) => void) {
    this.#form = Buffer.from(form, "latin1");
    this.#fill = fill;
    this.#random = Buffer.allocUnsafeSlow(IDS_AT_ONCE * form.length);
    this.#written = Buffer.allocUnsafeSlow(IDS_AT_ONCE * form.length);
  }

  next(): string {
    if (this.#used === this.#text.length) this.#refill();
    const from = this.#used;
    this.#used = from + this.#form.length;
    return this.#text.substring(from, this.#used);
  }

  #refill(): void {
    this.#fill(this.#random);
    for (let at = 0; at < this.#written.length; at += this.#form.length) this.#write(at);
    this.#text = this.#written.toString("latin1");
    this.#used = 0;
  }

  /** A byte of randomness for each digit: twice what is needed, for less work a digit. */
  #write(at: number): void {
    const form = this.#form;
    let groupStart = 0;
    let any = 0;
    for (let i = 0; i < form.length; i++) {
      const kind = form[i]!; // below the length, as all others here
      const digit = this.#random[at + i]! & 15;
      if (kind === X) any |= digit;
      this.#written[at + i] = kind === X ? DIGITS[digit]! : kind === Y ? DIGITS[8 | (digit & 3)]! : kind;
      if (kind !== DASH) continue;
      if (any === 0 && i - groupStart >= LONG_GROUP) this.#written[at + i - 1] = DIGITS[1]!;
      groupStart = i + 1;
      any = 0;
    }
  }
}
