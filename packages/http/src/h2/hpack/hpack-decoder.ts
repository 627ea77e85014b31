import { Buffer } from "node:buffer"; // the global one is an accessor
import { BlockMemo, Found, MAX_LITERALS } from "./block-memo.ts";
import { DynamicTable, entrySize } from "./dynamic-table.ts";
import { decodedRoom, decodeHuffman } from "./huffman-decode.ts";
import { INTEGER_END, readInteger } from "./integer.ts";
import { STATIC_LENGTH, STATIC_NAMES, STATIC_VALUES } from "./static-table.ts";

export interface HpackDecoderOptions {
  /** The SETTINGS_HEADER_TABLE_SIZE that we announce, in octets. Default 4096. */
  readonly maxTableSize?: number;
  /** Of one block, in octets as RFC 9113 §6.5.2 counts them: name, value and 32 for each field. */
  readonly maxListSize: number;
  /** Fields of one block. */
  readonly maxCount: number;
}

/** What a block says. A block that comes again may be given as the same object. */
export class DecodedBlock {
  /** Name and value in turn, latin1, as they were sent: pseudo-fields among them, nothing is checked. */
  readonly fields: readonly string[];
  /** Names of fields that no encoder on the way may index (RFC 7541 §7.1.3); undefined if there are none. */
  readonly neverIndexed: readonly string[] | undefined;
  /** Larger than `maxListSize` or `maxCount` allow: `fields` ends before that. The table is right all the same. */
  readonly overLimit: boolean;
  /** For the user, who may note here what the fields mean, so that it need not be found out again. */
  meaning: unknown = undefined;
  /** One that came before and differs from this one in `changed` alone. */
  readonly like: DecodedBlock | undefined;
  /** The indexes in `fields` of the values that are others than those of `like`. */
  readonly changed: readonly number[];

  constructor(
    fields: readonly string[],
    neverIndexed: readonly string[] | undefined,
    overLimit: boolean,
    like?: DecodedBlock,
    changed: readonly number[] = UNCHANGED,
  ) {
    this.fields = fields;
    this.neverIndexed = neverIndexed;
    this.overLimit = overLimit;
    this.like = like;
    this.changed = changed;
  }
}

const UNCHANGED: readonly number[] = [];

/** Why a block cannot be decoded: COMPRESSION_ERROR, since the table is lost (RFC 9113 §4.3). */
export class HpackError {
  readonly detail: string;

  constructor(detail: string) {
    this.detail = detail;
  }
}

const BAD_INDEX = new HpackError("an index beyond both tables");
const BAD_INTEGER = new HpackError("an integer that does not end or is too large");
const BAD_STRING = new HpackError("a string that is longer than its block");
const BAD_HUFFMAN = new HpackError("a string with bad Huffman code or padding");
const LATE_RESIZE = new HpackError("a table size update behind a field");
const BAD_RESIZE = new HpackError("a table size above what we allow");
const NO_RESIZE = new HpackError("no table size update after we allowed less");

/** A string that has just been read; functions return one thing. `from`: where it lies in the block as it is; -1 if it was coded. */
const read = { text: "", from: 0, at: 0 };

/** Of the block that is being decoded: where it has values as they are, as `Literals`; of more than there is room for the first. */
const literals = new Uint16Array(3 * MAX_LITERALS);
let literalCount = 0;

/** Grows to the longest coded string, which is at most a block. */
let scratch = Buffer.allocUnsafeSlow(1024);

/**
 * Decodes header blocks in their order (RFC 7541 §3). After an `HpackError` it must not be used again.
 *
 * A block that inserts nothing and repeats is not decoded again: see `BlockMemo`.
 */
export class HpackDecoder {
  readonly #table: DynamicTable;
  readonly #memo = new BlockMemo<DecodedBlock>();
  readonly #maxListSize: number;
  readonly #maxCount: number;
  /** What the peer may set the table to. */
  #allowed: number;
  /** We have allowed less than the table has: the next block begins with an update (RFC 7541 §4.2). */
  #mustResize = false;
  /** Changes whenever an index may mean something else than before. */
  #version = 0;

  constructor({ maxTableSize = 4096, maxListSize, maxCount }: HpackDecoderOptions) {
    this.#table = new DynamicTable(maxTableSize);
    this.#allowed = maxTableSize;
    this.#maxListSize = maxListSize;
    this.#maxCount = maxCount;
  }

  /** Octets in the table now. */
  get tableSize(): number {
    return this.#table.size;
  }

  /** To be called when the peer has acknowledged a SETTINGS_HEADER_TABLE_SIZE of ours. */
  allowTableSize(maxTableSize: number): void {
    this.#allowed = maxTableSize;
    this.#mustResize = this.#table.maxSize > maxTableSize;
  }

  /** The block lies in `bytes` from `at` to `end`, and is whole: the fragments of HEADERS and its CONTINUATIONs together. */
  decode(bytes: Buffer, at = 0, end = bytes.length): DecodedBlock | HpackError {
    const memo = this.#memo;
    const found = this.#mustResize ? Found.Nothing : memo.find(bytes, at, end, this.#version);
    if (found === Found.Same) return memo.result;
    if (found === Found.Like) return this.#decodeLike(bytes, at, memo);
    const version = this.#version;
    const decoded = this.#decode(bytes, at, end);
    if (decoded instanceof HpackError) return decoded;
    if (version === this.#version && !decoded.overLimit)
      memo.missed(bytes, at, end, version, decoded, literals, literalCount);
    return decoded;
  }

  /** As long as the known block and its strings, so within the limits as it was. */
  #decodeLike(bytes: Buffer, at: number, memo: BlockMemo<DecodedBlock>): DecodedBlock {
    const known = memo.result;
    const found = memo.changed;
    const fields = known.fields.slice();
    const changed: number[] = [];
    for (let i = 0; i < memo.changedCount; i += 3) {
      const place = found[i]!; // place, begin and end in turn
      fields[place] = bytes.toString("latin1", at + found[i + 1]!, at + found[i + 2]!);
      changed.push(place);
    }
    return new DecodedBlock(fields, known.neverIndexed, false, known, changed);
  }

  #decode(bytes: Buffer, start: number, end: number): DecodedBlock | HpackError {
    const fields: string[] = [];
    let neverIndexed: string[] | undefined;
    let room = this.#maxListSize;
    let count = 0;
    let overLimit = false;
    let at = start;
    literalCount = 0;
    while (at < end) {
      const first = bytes[at]!; // before the end
      if ((first & 0xe0) === 0x20) {
        if (count > 0) return LATE_RESIZE;
        const size = readInteger(bytes, at, end, 0x1f);
        if (size < 0) return BAD_INTEGER;
        if (size > this.#allowed) return BAD_RESIZE;
        at = INTEGER_END.at;
        this.#table.resize(size);
        this.#mustResize = false;
        this.#version++;
        continue;
      }
      if (this.#mustResize) return NO_RESIZE;
      count++;
      const indexed = first >= 0x80;
      const inserts = (first & 0xc0) === 0x40;
      const index = readInteger(bytes, at, end, indexed ? 0x7f : inserts ? 0x3f : 0x0f);
      if (index < 0) return BAD_INTEGER;
      at = INTEGER_END.at;
      let name = "";
      let value = "";
      if (index > STATIC_LENGTH) {
        const entry = this.#table.get(index - STATIC_LENGTH - 1);
        if (entry === undefined) return BAD_INDEX;
        ({ name, value } = entry);
      } else if (index > 0) {
        name = STATIC_NAMES[index]!; // at most the length
        value = STATIC_VALUES[index]!;
      } else if (indexed) return BAD_INDEX;
      else {
        const error = readString(bytes, at, end);
        if (error !== undefined) return error;
        ({ text: name, at } = read);
        if (inserts) name = interned(name);
      }
      if (!indexed) {
        const error = readString(bytes, at, end);
        if (error !== undefined) return error;
        ({ text: value, at } = read);
        if (inserts) {
          this.#table.insert(name, value);
          this.#version++;
        } else {
          if (read.from >= 0 && literalCount < literals.length) {
            literals[literalCount++] = read.from - start;
            literals[literalCount++] = at - start;
            literals[literalCount++] = fields.length + 1;
          }
          if ((first & 0x10) !== 0) (neverIndexed ??= []).push(name);
        }
      }
      room -= entrySize(name, value);
      if (room < 0 || count > this.#maxCount) overLimit = true;
      else fields.push(name, value);
    }
    if (this.#mustResize && count > 0) return NO_RESIZE;
    return new DecodedBlock(fields, neverIndexed, overLimit);
  }
}

/** Of all connections. Names that come when there are so many stay as they were sent. */
const MAX_INTERNED = 1024;
const MAX_INTERNED_LENGTH = 64;
const internedNames = new Map<string, string>();

/**
 * The engine's own copy of a name: two of those are the same text only if they are the same object, and names are compared dozens of times
 * in each exchange. To make one costs 2 µs, of which a client that sends names without end gets no more than there are places.
 */
function interned(name: string): string {
  const known = internedNames.get(name);
  if (known !== undefined) return known;
  if (internedNames.size >= MAX_INTERNED || name.length > MAX_INTERNED_LENGTH) return name;
  for (const key in { [name]: true }) {
    internedNames.set(key, key);
    return key;
  }
  return name;
}

/** Reads a string literal (RFC 7541 §5.2) into `read`, of a block that ends at `blockEnd`. */
function readString(bytes: Buffer, at: number, blockEnd: number): HpackError | undefined {
  if (at >= blockEnd) return BAD_STRING;
  const huffman = bytes[at]! >= 0x80;
  const size = readInteger(bytes, at, blockEnd, 0x7f);
  if (size < 0) return BAD_INTEGER;
  const from = INTEGER_END.at;
  const end = from + size;
  if (end > blockEnd) return BAD_STRING;
  read.at = end;
  if (!huffman) {
    read.text = bytes.toString("latin1", from, end);
    read.from = from;
    return undefined;
  }
  read.from = -1;
  const room = decodedRoom(size);
  if (room > scratch.length) scratch = Buffer.allocUnsafeSlow(room * 2);
  const decoded = decodeHuffman(bytes, from, end, scratch);
  if (decoded < 0) return BAD_HUFFMAN;
  read.text = scratch.toString("latin1", 0, decoded);
  return undefined;
}
