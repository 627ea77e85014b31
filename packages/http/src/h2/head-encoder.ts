import { Buffer } from "node:buffer"; // the global one is an accessor
import { FieldKind, knownField } from "../h1/field-names.ts";
import type { HeaderMap } from "../header-map.ts";
import { writePrintable } from "../write-printable.ts";
import { isFieldName, isFieldValue } from "./field-text.ts";
import { FRAME_HEADER_BYTES } from "./frame/index.ts";
import { HpackEncoder, type NameState } from "./hpack/index.ts";

/** Fields that are left out of a head beside those that HTTP/2 does not have. */
export const LeaveOut = {
  Nothing: 0,
  ContentLength: 1,
  /** The key of an HTTP/1 handshake (RFC 8441 §5). */
  WebSocketKey: 2,
  WebSocketAccept: 4,
} as const;

/** A list as it was encoded. */
interface KnownList {
  readonly lead: readonly string[];
  readonly fields: readonly string[];
  readonly leaveOut: number;
  readonly version: number;
  /** With room for the frame's header before the block. */
  readonly bytes: Buffer;
  readonly view: DataView;
  /** By field, those of `lead` first: where it ends in `bytes`. */
  readonly ends: Uint16Array;
  /** By field: 1 where another list has differed. Nobody compares there again: to find two ids different is not free. */
  readonly differs: Uint8Array;
  /** By field that differs, where its name pauses: see `addPaused`. */
  readonly paused: (NameState | undefined)[];
  /** All the values that differ, in their order, if nothing but plain bytes in `bytes` tells of them. */
  patches: readonly Patch[] | undefined;
  /** Lists since the first that differed and could not be patched in. */
  others: number;
}

/** A value that is another one each time, of a name that pauses, and is written over the one before. */
interface Patch {
  /** Of the value in `fields`. */
  readonly index: number;
  /** Of its first byte in `bytes`. */
  readonly at: number;
  readonly length: number;
  readonly state: NameState;
}

const SLOTS = 4;
const SPACE = 0x20;
const MAX_FIELDS = 64;
const MAX_BYTES = 1024;
/** Behind so many lists since one differed from the known list, the last of them becomes the known one. */
const MAX_OTHERS = 32;
const ALL_BAD_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/g;

/**
 * Writes header blocks. What filters and HTTP/1 peers leave in a head that HTTP/2 does not have is left out (RFC 9113 §8.2.2), as
 * are names that are no tokens; in values what may not stand there becomes a space, as RFC 9110 §5.5 has it.
 *
 * While the table is as it was, a list that comes again gives the same bytes without being encoded again, and of one that differs
 * in a few fields only these are encoded: of 10 fields with one id 0.4 µs in place of 1.5, and all the same 0.05. Ids that are as
 * long as those before are written over them.
 */
export class HeadEncoder {
  readonly #hpack: HpackEncoder;
  readonly #known = new Array<KnownList | undefined>(SLOTS).fill(undefined);
  /** By slot: how many fields the last list had that was not known. A list is kept when the one before was as long. */
  readonly #lengths = new Uint8Array(SLOTS);
  /** As in `KnownList`, of the list at hand, as far as there are places. */
  readonly #ends = new Uint16Array(MAX_FIELDS);

  constructor(maxTableSize: number) {
    this.#hpack = new HpackEncoder(maxTableSize, FRAME_HEADER_BYTES, cleanValue);
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  allowTableSize(maxTableSize: number): void {
    this.#hpack.allowTableSize(maxTableSize);
  }

  /**
   * The block with room for a frame's header before it; valid until the next call. `lead` is the pseudo-fields and others that
   * come first, name and value in turn; `leaveOut` of `LeaveOut`.
   */
  encode(lead: readonly string[], { fields, neverIndexed }: HeaderMap, leaveOut: number): Buffer {
    const hpack = this.#hpack;
    if (neverIndexed !== undefined) {
      hpack.begin();
      this.#encodeAll(lead, fields, leaveOut, neverIndexed);
      return hpack.endWithHeadroom();
    }
    const slot = (fields.length >> 1) & (SLOTS - 1);
    const known = this.#known[slot];
    const { version } = hpack;
    const isLike =
      known !== undefined &&
      known.version === version &&
      known.leaveOut === leaveOut &&
      known.lead.length === lead.length &&
      known.fields.length === fields.length;
    if (isLike && known.others === 0 && isSame(known.lead, lead) && isSame(known.fields, fields)) return known.bytes;
    if (isLike && known.patches !== undefined && arePatched(known.patches, known, lead, fields)) {
      if (patchIn(known.patches, known, fields)) return known.bytes;
      this.#known[slot] = undefined; // something has been written over it that cannot stand there
      hpack.begin();
      this.#encodeAll(lead, fields, leaveOut, undefined);
      return hpack.endWithHeadroom();
    }
    hpack.begin();
    const resizes = hpack.length > FRAME_HEADER_BYTES; // which is said once
    if (isLike) this.#encodeLike(known, lead, fields, leaveOut);
    else this.#encodeAll(lead, fields, leaveOut, undefined);
    const bytes = hpack.endWithHeadroom();
    const isKept = !resizes && (isLike ? ++known.others > MAX_OTHERS : this.#missedBefore(slot, fields));
    if (
      isKept &&
      version === hpack.version &&
      bytes.length <= MAX_BYTES &&
      lead.length + fields.length <= 2 * MAX_FIELDS
    )
      this.#known[slot] = {
        lead: lead.slice(),
        fields: fields.slice(),
        leaveOut,
        version,
        ...ownBytes(bytes),
        ends: this.#ends.slice(0, (lead.length + fields.length) / 2),
        differs: new Uint8Array((lead.length + fields.length) / 2),
        paused: new Array<undefined>((lead.length + fields.length) / 2).fill(undefined),
        patches: undefined,
        others: 0,
      };
    return bytes;
  }

  #encodeAll(
    lead: readonly string[],
    fields: readonly string[],
    leaveOut: number,
    neverIndexed: readonly string[] | undefined,
  ): void {
    const hpack = this.#hpack;
    const ends = this.#ends;
    let place = 0; // beyond the places nothing is noted, and nothing kept
    for (let i = 0; i < lead.length; i += 2) {
      hpack.add(lead[i]!, lead[i + 1]!); // name and value in turn
      ends[place++] = hpack.length;
    }
    for (let i = 0; i < fields.length; i += 2) {
      this.#add(fields[i]!, fields[i + 1]!, leaveOut, neverIndexed);
      ends[place++] = hpack.length;
    }
  }

  /** `known` has as many fields. What is the same in both is copied, run by run. */
  #encodeLike(known: KnownList, lead: readonly string[], fields: readonly string[], leaveOut: number): void {
    const hpack = this.#hpack;
    const { ends, differs, paused, version } = known;
    let runFrom = FRAME_HEADER_BYTES;
    let runTo = FRAME_HEADER_BYTES;
    let shift = 0;
    const leads = lead.length;
    for (let i = 0, place = 0; i < leads + fields.length; i += 2, place++) {
      const isLead = i < leads;
      const list = isLead ? lead : fields;
      const knownList = isLead ? known.lead : known.fields;
      const at = isLead ? i : i - leads;
      const name = list[at]!;
      const value = list[at + 1]!; // name and value in turn
      const end = ends[place]!; // as many as fields
      if (differs[place] === 0 && version === hpack.version) {
        if (knownList[at] === name && knownList[at + 1] === value) {
          runTo = end;
          this.#ends[place] = end + shift;
          continue;
        }
        differs[place] = 1;
        known.patches = undefined;
      }
      hpack.addEncoded(known.bytes, runFrom, runTo);
      const state = paused[place];
      if (state === undefined || knownList[at] !== name || !hpack.addPaused(state, value)) {
        const before = hpack.length;
        if (isLead) hpack.add(name, value);
        else this.#add(name, value, leaveOut, undefined);
        // Whether `te` is sent is a matter of its value.
        paused[place] =
          hpack.length > before && knownList[at] === name && name !== "te" ? hpack.pausing(name) : undefined;
      }
      this.#ends[place] = hpack.length;
      shift = hpack.length - end;
      runFrom = end;
      runTo = end;
    }
    hpack.addEncoded(known.bytes, runFrom, runTo);
    known.patches ??= patchesOf(known);
  }

  #add(name: string, value: string, leaveOut: number, neverIndexed: readonly string[] | undefined): void {
    if (isSent(name, value, leaveOut)) this.#hpack.add(name, value, neverIndexed?.includes(name) ?? false);
  }

  /** Notes that a list of that length is not known. Whether one was already. */
  #missedBefore(slot: number, fields: readonly string[]): boolean {
    const length = fields.length + 1;
    const isSecond = this.#lengths[slot] === length;
    this.#lengths[slot] = isSecond || length > 0xff ? 0 : length;
    return isSecond;
  }
}

/** Most are found at once: values that differ mostly differ early or in length. */
function isSame(known: readonly string[], list: readonly string[]): boolean {
  if (known.length !== list.length) return false;
  for (let i = list.length - 1; i >= 0; i--) if (known[i] !== list[i]) return false;
  return true;
}

/** The bits of a field's first byte that are 0 in a literal that is not indexed (RFC 7541 §6.2.2). */
const INDEXED_BITS = 0xf0;

/** Undefined: something differs that is not a plain value of its own, or was not sent as it stands. */
function patchesOf({ lead, fields, bytes, ends, differs, paused }: KnownList): readonly Patch[] | undefined {
  const patches: Patch[] = [];
  for (let place = 0; place < differs.length; place++) {
    if (differs[place] === 0) continue;
    const state = paused[place];
    const index = 2 * place - lead.length + 1;
    if (state === undefined || index < 0) return undefined;
    const value = fields[index]!; // as many as places
    const start = place === 0 ? FRAME_HEADER_BYTES : ends[place - 1]!;
    // What the bytes are is not told by their being like the value: an index or a length may be the same byte as a character.
    if ((bytes[start]! & INDEXED_BITS) !== 0 || !isFieldValue(value)) return undefined;
    patches.push({ index, at: ends[place]! - value.length, length: value.length, state });
  }
  return patches;
}

/** A copy, and its view. */
function ownBytes(block: Buffer): { readonly bytes: Buffer; readonly view: DataView } {
  const bytes = Buffer.from(block);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
}

/** Whether only values differ that are patched, each is as long as before, and `addPaused` would encode them so. */
function arePatched(
  patches: readonly Patch[],
  known: KnownList,
  lead: readonly string[],
  fields: readonly string[],
): boolean {
  if (!isSame(known.lead, lead)) return false;
  let next = 0;
  for (let i = 0; i < fields.length; i++) {
    const patch = patches[next];
    if (patch?.index !== i) {
      if (known.fields[i] !== fields[i]) return false;
      continue;
    }
    // All of them may be of one name.
    if (fields[i]!.length !== patch.length || patch.state.pause <= patches.length) return false;
    next++;
  }
  return true;
}

/** Writes the values over those in the known block: nothing but their bytes is another. False if one may not stand there. */
function patchIn(patches: readonly Patch[], { bytes, view }: KnownList, fields: readonly string[]): boolean {
  for (let i = 0; i < patches.length; i++) {
    const { index, at, length, state } = patches[i]!; // below the length
    const good =
      length === 0 || // RFC 9113 §8.2.1: without blanks at the ends as well
      (writePrintable(fields[index]!, bytes, view, at) && bytes[at] !== SPACE && bytes[at + length - 1] !== SPACE);
    if (!good) return false;
    state.pause--;
  }
  return true;
}

function isSent(name: string, value: string, leaveOut: number): boolean {
  const known = knownField(name);
  if (known === undefined) return isFieldName(name) && name !== "http2-settings";
  if (known.name !== name) return false; // upper case
  switch (known.kind) {
    case FieldKind.Ordinary:
      return leaveOut === LeaveOut.Nothing || !isLeftOut(name, leaveOut);
    case FieldKind.ContentLength:
      return (leaveOut & LeaveOut.ContentLength) === 0;
    case FieldKind.Expect:
      return true;
    case FieldKind.Te:
      return value === "trailers";
    default:
      return false; // of the connection, and host, which is the authority
  }
}

function isLeftOut(name: string, leaveOut: number): boolean {
  return (
    ((leaveOut & LeaveOut.WebSocketKey) !== 0 && name === "sec-websocket-key") ||
    ((leaveOut & LeaveOut.WebSocketAccept) !== 0 && name === "sec-websocket-accept")
  );
}

function cleanValue(value: string): string {
  return isFieldValue(value) ? value : value.replace(ALL_BAD_IN_VALUE, " ").replace(/^[\t ]+|[\t ]+$/g, "");
}
