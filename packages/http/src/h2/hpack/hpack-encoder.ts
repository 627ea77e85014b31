import { Buffer } from "node:buffer"; // the global one is an accessor
import { DynamicTable, entrySize, type TableEntry } from "./dynamic-table.ts";
import { encodeHuffman, huffmanLength } from "./huffman-encode.ts";
import { writeInteger } from "./integer.ts";
import { STATIC_BY_NAME, STATIC_LENGTH } from "./static-table.ts";
import { writeLatin1 } from "./write-latin1.ts";

/** A literal's first byte and the bits of it that hold the index (RFC 7541 §6). */
const INDEXED = 0x80;
const INSERTED = 0x40;
const RESIZE = 0x20;
const NEVER_INDEXED = 0x10;
const NOT_INDEXED = 0x00;

/** Longer values are seldom sent again, and push out what is. */
const MAX_INSERTED_SIZE = 512;
/** A cookie that is shorter can be guessed piece by piece where it is indexed (RFC 7541 §7.1.3). */
const MIN_INDEXED_COOKIE = 20;
/** So many values of a name are inserted before it is asked whether any was used again. */
const TRIALS = 4;
const FIRST_PAUSE = 64;
const LONGEST_PAUSE = 4096;
/** Names that pause are remembered without an entry in the table; beyond so many they are forgotten. */
const MAX_PAUSING = 64;

/** What is known of a name that is, or lately was, in the dynamic table. */
export interface NameState {
  /** In the static table; 0 if it is not there. */
  readonly staticIndex: number;
  /** By value: the number of its insertion. */
  readonly values: Map<string, number>;
  /** The last insertion; -1 if none is left. */
  latest: number;
  inserted: number;
  hits: number;
  /** Fields of that name that are still sent without being inserted. */
  pause: number;
  nextPause: number;
}

/**
 * Encodes header blocks (RFC 7541 §3), field by field between `begin` and `end`.
 *
 * What goes into the table finds itself: each name gets a few insertions; one whose values are not sent again (ids, lengths, paths
 * with parameters) pauses, for longer each time. Credentials are never indexed, nor is what came never indexed.
 */
export class HpackEncoder {
  readonly #table: DynamicTable;
  readonly #names = new Map<string, NameState>();
  #pausing = 0;
  /** What we use at most, whatever the peer allows. */
  readonly #ownMax: number;
  /** Sizes to announce at the start of the next block: the smallest since the last one, and the one that holds. */
  #smallest = -1;
  #announced = -1;
  #buffer = Buffer.allocUnsafeSlow(1024);
  /** Of the buffer; what `endWithHeadroom` gave last. */
  #view: Buffer = NOTHING;
  #at = 0;
  readonly #headroom: number;
  readonly #clean: ((value: string) => string) | undefined;
  #changes = 0;

  /**
   * `maxTableSize`: octets that are used at most; the peer allows 4096 until its SETTINGS say otherwise. `headroom`: bytes before
   * each block that are left free for the header of its frame. `clean` makes of a value that may stand in no field one that
   * may; it is asked for values that are not in a table.
   */
  constructor(maxTableSize = 4096, headroom = 0, clean?: (value: string) => string) {
    this.#ownMax = maxTableSize;
    this.#headroom = headroom;
    this.#clean = clean;
    this.#table = new DynamicTable(Math.min(maxTableSize, 4096), (entry) => this.#evicted(entry));
    if (maxTableSize < 4096) this.#resizeTo(maxTableSize);
  }

  /** Octets in the table now. */
  get tableSize(): number {
    return this.#table.size;
  }

  /** Changes whenever the bytes of a list may be others than before. */
  get version(): number {
    return this.#changes;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  allowTableSize(maxTableSize: number): void {
    const size = Math.min(maxTableSize, this.#ownMax);
    if (size !== this.#table.maxSize) this.#resizeTo(size);
  }

  begin(): void {
    this.#at = this.#headroom;
    if (this.#announced < 0) return;
    // Of several changes between two blocks the smallest and the last are told (RFC 7541 §4.2).
    if (this.#smallest < this.#announced) this.#integer(RESIZE, 0x1f, this.#smallest);
    this.#integer(RESIZE, 0x1f, this.#announced);
    this.#smallest = this.#announced = -1;
  }

  /** `name` is lower case; both are latin1. `neverIndexed`: it came so, and so it goes on. */
  add(name: string, value: string, neverIndexed = false): void {
    const fixed = STATIC_BY_NAME.get(name);
    const state = this.#names.get(name);
    if (neverIndexed || isCredential(name, value)) {
      this.#plainLiteral(NEVER_INDEXED, this.#nameIndex(fixed?.index, state), name, value);
      return;
    }
    const fixedIndex = fixed?.values.get(value);
    if (fixedIndex !== undefined) {
      this.#integer(INDEXED, 0x7f, fixedIndex);
      return;
    }
    // To look for an id among values costs its hash, and a name pauses because that was in vain.
    const number = state === undefined || state.pause > 0 ? undefined : state.values.get(value);
    if (number !== undefined) {
      state!.hits++;
      this.#integer(INDEXED, 0x7f, STATIC_LENGTH + this.#table.inserted - number);
      return;
    }
    const nameIndex = this.#nameIndex(fixed?.index, state);
    const size = entrySize(name, value);
    if (size > MAX_INSERTED_SIZE || size > this.#table.maxSize || !this.#mayInsert(state)) {
      this.#plainLiteral(NOT_INDEXED, nameIndex, name, value);
      return;
    }
    if (this.#clean !== undefined) value = this.#clean(value);
    this.#integer(INSERTED, 0x3f, nameIndex);
    if (nameIndex === 0) this.#coded(name);
    this.#coded(value);
    this.#insert(name, value);
  }

  /**
   * For `addPaused`, of a name whose values are mostly others each time. Undefined: each value of it has to be looked at, as those of
   * credentials and of names that the static table has with values.
   */
  pausing(name: string): NameState | undefined {
    const state = this.#names.get(name);
    if (state === undefined || state.pause === 0 || isCredential(name, "")) return undefined;
    return (STATIC_BY_NAME.get(name)?.values.size ?? 0) > 0 ? undefined : state;
  }

  /** What `add` does for a name that pauses, without a look at any table. False: nothing is written, `add` has to. */
  addPaused(state: NameState, value: string): boolean {
    if (state.pause <= 1) return false;
    const nameIndex = this.#nameIndex(state.staticIndex === 0 ? undefined : state.staticIndex, state);
    if (nameIndex === 0) return false;
    state.pause--;
    this.#plainLiteral(NOT_INDEXED, nameIndex, "", value);
    return true;
  }

  /** Bytes of the block so far, headroom included. */
  get length(): number {
    return this.#at;
  }

  /** Fields as they were encoded before, while the version was what it is now. */
  addEncoded(bytes: Uint8Array, from: number, to: number): void {
    this.#reserve(to - from);
    const into = this.#buffer;
    let at = this.#at;
    for (let i = from; i < to; i++) into[at++] = bytes[i]!; // within what was encoded
    this.#at = at;
  }

  /** The block; the bytes are the encoder's, until the next `begin`. */
  end(): Buffer {
    return this.#buffer.subarray(this.#headroom, this.#at);
  }

  /** The same with the headroom before it. */
  endWithHeadroom(): Buffer {
    // Most blocks in a row are as long as each other, and a view costs 0.1 µs.
    if (this.#view.length !== this.#at) this.#view = this.#buffer.subarray(0, this.#at);
    return this.#view;
  }

  #nameIndex(fixed: number | undefined, state: NameState | undefined): number {
    if (fixed !== undefined) return fixed;
    return state === undefined || state.latest < 0 ? 0 : STATIC_LENGTH + this.#table.inserted - state.latest;
  }

  #mayInsert(state: NameState | undefined): boolean {
    if (state === undefined) return true;
    if (state.pause > 0) {
      if (--state.pause === 0) this.#pausing--;
      return false;
    }
    if (state.inserted < TRIALS) return true;
    if (state.hits >= state.inserted) state.nextPause = FIRST_PAUSE;
    else {
      this.#pausing++;
      state.pause = state.nextPause;
      state.nextPause = Math.min(LONGEST_PAUSE, state.nextPause * 2);
    }
    state.inserted = 0;
    state.hits = 0;
    return state.pause === 0;
  }

  #insert(name: string, value: string): void {
    this.#changes++;
    this.#table.insert(name, value); // evicts first, which may forget the name
    let state = this.#names.get(name);
    if (state === undefined) {
      const staticIndex = STATIC_BY_NAME.get(name)?.index ?? 0;
      state = { staticIndex, values: new Map(), latest: -1, inserted: 0, hits: 0, pause: 0, nextPause: FIRST_PAUSE };
      this.#names.set(name, state);
    }
    state.latest = this.#table.inserted - 1;
    state.values.set(value, state.latest);
    state.inserted++;
  }

  #evicted({ name, value, number }: TableEntry): void {
    const state = this.#names.get(name)!; // it has an entry
    if (state.values.get(value) === number) state.values.delete(value);
    if (state.latest !== number) return;
    state.latest = -1;
    // Nothing of that name is left. How it fared is worth keeping for the few that did badly.
    if (state.nextPause > FIRST_PAUSE && this.#pausing <= MAX_PAUSING && this.#names.size <= 4 * MAX_PAUSING) return;
    if (state.pause > 0) this.#pausing--;
    this.#names.delete(name);
  }

  #resizeTo(size: number): void {
    this.#changes++;
    this.#table.resize(size);
    this.#smallest = this.#announced < 0 ? size : Math.min(this.#smallest, size);
    this.#announced = size;
  }

  /**
   * What is inserted is Huffman-coded: that is done once for many blocks. The rest is not, as in HAProxy: it would save a quarter of
   * the octets of an id, for most of what a head costs (8 fields, two of them of their own each time: 1.33 against 0.52 µs).
   */
  #plainLiteral(pattern: number, nameIndex: number, name: string, value: string): void {
    this.#integer(pattern, 0x0f, nameIndex);
    if (nameIndex === 0) this.#plain(name);
    this.#plain(this.#clean === undefined ? value : this.#clean(value));
  }

  #integer(pattern: number, mask: number, value: number): void {
    this.#reserve(8);
    this.#at = writeInteger(this.#buffer, this.#at, pattern, mask, value);
  }

  /** Huffman-coded where that is shorter. */
  #coded(text: string): void {
    const coded = huffmanLength(text);
    if (coded >= text.length) {
      this.#plain(text);
      return;
    }
    this.#reserve(8 + coded);
    this.#at = encodeHuffman(text, this.#buffer, writeInteger(this.#buffer, this.#at, 0x80, 0x7f, coded));
  }

  #plain(text: string): void {
    const { length } = text;
    this.#reserve(8 + length);
    const into = this.#buffer;
    const at = writeInteger(into, this.#at, 0x00, 0x7f, length);
    writeLatin1(text, into, at);
    this.#at = at + length;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow((this.#at + bytes) * 2);
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
    this.#view = NOTHING;
  }
}

const NOTHING = Buffer.alloc(0);

function isCredential(name: string, value: string): boolean {
  if (name === "cookie") return value.length < MIN_INDEXED_COOKIE;
  return name === "authorization" || name === "proxy-authorization";
}
