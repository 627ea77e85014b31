import { Buffer } from "node:buffer"; // the global one is an accessor
import { writePrintable } from "../write-printable.ts";
import { FieldKind, knownField } from "./field-names.ts";
import { Patience } from "./patience.ts";
import { isToken } from "./tokens.ts";

/*
 * Parsed heads are clean, but filters, configuration and other codecs also make fields, and a CR or LF in one of them would let
 * its author write the rest of the message. So names that are no tokens are left out, and characters that may not stand in a
 * value become spaces, as RFC 9110 §5.5 has it. Characters above 0xff count among them: writing latin1 keeps the low
 * byte, which makes U+010A a line feed.
 */
const SPACE = 0x20;
const UNSAFE_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const ALL_UNSAFE_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/g;

/** `UNSAFE_IN_VALUE` for one character: safe or a space. */
function cleanCode(code: number): number {
  return (code >= SPACE && code <= 0xff && code !== 0x7f) || code === 0x09 ? code : SPACE;
}

export function cleanValue(value: string): string {
  return UNSAFE_IN_VALUE.test(value) ? value.replace(ALL_UNSAFE_IN_VALUE, " ") : value;
}

/** Fields of the connection are the codec's own; whatever put them among a head's is not obeyed. */
export function isSent(name: string, withLength: boolean): boolean {
  const kind = knownField(name)?.kind;
  if (kind === undefined) return isToken(name);
  return (
    kind === FieldKind.Ordinary ||
    kind === FieldKind.Te ||
    kind === FieldKind.Expect ||
    (kind === FieldKind.ContentLength && withLength)
  );
}

/** From this length on a value is written by one call into Node. */
const MIN_NATIVE = 16;
/** A value that has changed so often in a row is not compared any more: ids that are never the same cost 330 instructions each. */
const VOLATILE = 8;
/** Heads until it is looked at again. */
const LOOK_AGAIN = 1024;
const MAX_PLACES = 64;
/** Heads of different kinds mostly have different numbers of fields; so many kinds are told apart. */
const KINDS = 16;
const MAX_BYTES = 4096;
/** By so much values may grow in place. */
const ROOM = 128;

/**
 * The field section of the head that was written last, as bytes, and where its values stand. Heads of one kind differ in a few values: an id, a
 * date, a time that it took. So the next one is this one with those values put in place, instead of a text that is put
 * together, checked and written anew (16,700 of 62,600 instructions that a proxied exchange had in all).
 *
 * A value may be a part of its head and keep that alive: one head, since all values are those of the last. Names are never parts.
 */
class SectionTemplate {
  readonly #names: string[] = [];
  /** Undefined of one that is volatile. */
  readonly #values: (string | undefined)[] = [];
  /** Of all values, in characters; behind them the tail's. */
  readonly #lengths: Int32Array;
  /** How often in a row each value has changed, up to `VOLATILE`. */
  readonly #changes: Uint8Array;
  #heads = 0;
  readonly #withLength: boolean;
  /** Where the value of each place begins, and behind them the tail; -1: the field is not sent. */
  readonly #starts: Int32Array;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  #tail: string;
  #section: Buffer;

  private constructor(fields: readonly string[], withLength: boolean, tail: string, text: string, starts: Int32Array) {
    this.#lengths = new Int32Array(starts.length);
    this.#changes = new Uint8Array(starts.length);
    for (let i = 0; i < fields.length; i += 2) {
      const value = fields[i + 1]!; // name and value in turn
      this.#names.push(fields[i]!);
      this.#values.push(value);
      this.#lengths[i >> 1] = value.length;
    }
    this.#lengths[starts.length - 1] = tail.length;
    this.#withLength = withLength;
    this.#tail = tail;
    this.#starts = starts;
    const bytes = Buffer.allocUnsafeSlow(text.length + ROOM); // it lives for long, and would keep a pool's slab
    bytes.write(text, "latin1");
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.#section = bytes.subarray(0, text.length);
  }

  static of(fields: readonly string[], withLength: boolean, tail: string): SectionTemplate | undefined {
    const places = fields.length >> 1;
    const starts = new Int32Array(places + 1).fill(-1);
    let text = "";
    for (let place = 0; place < places; place++) {
      const name = fields[2 * place]!; // name and value in turn
      if (!isSent(name, withLength)) continue;
      text += `${name}: `;
      starts[place] = text.length;
      text += `${cleanValue(fields[2 * place + 1]!)}\r\n`;
      if (text.length > MAX_BYTES) return undefined;
    }
    starts[places] = text.length;
    return new SectionTemplate(fields, withLength, tail, `${text}${tail}\r\n`, starts);
  }

  get section(): Buffer {
    return this.#section;
  }

  /** The section of these fields, which is valid until the next call; undefined if they are of another kind. */
  write(fields: readonly string[], withLength: boolean, tail: string): Buffer | undefined {
    const names = this.#names;
    const values = this.#values;
    const places = names.length;
    if (fields.length !== 2 * places || withLength !== this.#withLength) return undefined;
    if (++this.#heads === LOOK_AGAIN) {
      this.#heads = 0;
      this.#changes.fill(0);
    }
    for (let place = 0; place < places; place++) {
      if (fields[2 * place] !== names[place]) return undefined;
      const value = fields[2 * place + 1]!; // below its length
      const changes = this.#changes[place]!; // one for each place
      const same = changes < VOLATILE && value === values[place];
      if (!same && !this.#put(place, value)) return undefined;
      if (changes === VOLATILE) continue;
      this.#changes[place] = same ? 0 : changes + 1;
      values[place] = this.#changes[place] === VOLATILE ? undefined : value;
    }
    if (tail !== this.#tail) {
      if (!this.#put(places, tail)) return undefined;
      this.#bytes.write(tail, this.#starts[places]!, "latin1"); // with its line ends
      this.#tail = tail;
    }
    return this.#section;
  }

  /** Puts a value in its place. False if there is no room, and then nothing has changed. */
  #put(place: number, value: string): boolean {
    const start = this.#starts[place]!; // one for each place
    if (start === -1) return true;
    const { length } = value;
    const before = this.#lengths[place]!;
    if (length !== before) {
      if (!this.#shift(place, start + before, length - before)) return false;
      this.#lengths[place] = length;
    }
    const bytes = this.#bytes;
    if (length >= MIN_NATIVE && writePrintable(value, bytes, this.#view, start)) return true;
    for (let i = 0; i < length; i++) bytes[start + i] = cleanCode(value.charCodeAt(i));
    return true;
  }

  /** Moves all from `from`, behind the value of `place`. */
  #shift(place: number, from: number, by: number): boolean {
    const bytes = this.#bytes;
    const { length } = this.#section;
    if (length + by > bytes.length) return false;
    bytes.copyWithin(from + by, from, length);
    const starts = this.#starts;
    for (let i = place + 1; i < starts.length; i++) if (starts[i] !== -1) starts[i]! += by;
    this.#section = bytes.subarray(0, length + by);
    return true;
  }
}

/** Writes the field sections of all heads of one kind of message on this thread. */
export class SectionWriter {
  readonly #templates = new Array<SectionTemplate | undefined>(KINDS).fill(undefined);
  readonly #patience = Array.from({ length: KINDS }, () => new Patience());

  /**
   * The field lines with `tail`, lines of the codec's own, and the empty line; valid until the next call. Undefined where that would be
   * no gain: the head is large, or heads with so many fields are hardly ever alike.
   */
  write(fields: readonly string[], withLength: boolean, tail: string): Buffer | undefined {
    const places = fields.length >> 1;
    if (places > MAX_PLACES) return undefined;
    const kind = places % KINDS;
    const patience = this.#patience[kind]!; // below KINDS
    if (!patience.looks()) return undefined;
    const section = this.#templates[kind]?.write(fields, withLength, tail);
    if (section !== undefined) {
      patience.found();
      return section;
    }
    if (!patience.missed()) return undefined;
    const made = SectionTemplate.of(fields, withLength, tail);
    this.#templates[kind] = made;
    return made?.section;
  }
}
