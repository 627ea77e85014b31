import { Buffer } from "node:buffer"; // the global one is an accessor
import { FieldKind, knownField } from "../h1/field-names.ts";
import { table } from "../h1/tokens.ts";
import type { HeaderMap } from "../header-map.ts";
import { FRAME_HEADER_BYTES } from "./frame/index.ts";
import { HpackEncoder } from "./hpack/index.ts";

/** Fields that are left out of a head beside those that HTTP/2 does not have. */
export const LeaveOut = {
  Nothing: 0,
  ContentLength: 1,
  /** The key of an HTTP/1 handshake (RFC 8441 §5). */
  WebSocketKey: 2,
  WebSocketAccept: 4,
} as const;

interface KnownList {
  readonly lead: readonly string[];
  readonly fields: readonly string[];
  readonly leaveOut: number;
  readonly version: number;
  /** With room for the frame's header before the block. */
  readonly bytes: Buffer;
}

const SLOTS = 4;
const MAX_FIELDS = 64;
const MAX_BYTES = 512;
const NAME_CHARACTERS = table("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");
const BAD_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]|^[\t ]|[\t ]$/;
const ALL_BAD_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/g;

/**
 * Writes header blocks. What filters and HTTP/1 peers leave in a head that HTTP/2 does not have is left out (RFC 9113 §8.2.2), as
 * are names that are no tokens; in values what may not stand there becomes a space, as RFC 9110 §5.5 has it.
 *
 * A list that comes again while the table is as it was gives the same bytes, without being encoded again.
 */
export class HeadEncoder {
  readonly #hpack: HpackEncoder;
  readonly #known = new Array<KnownList | undefined>(SLOTS).fill(undefined);
  /** By slot: how many fields the last list had that was not known. A list is kept when the one before was as long. */
  readonly #lengths = new Uint8Array(SLOTS);

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
    const slot = fields.length & (SLOTS - 1);
    const known = this.#known[slot];
    const { version } = this.#hpack;
    if (
      known !== undefined &&
      neverIndexed === undefined &&
      known.version === version &&
      known.leaveOut === leaveOut &&
      isSame(known.lead, lead) &&
      isSame(known.fields, fields)
    )
      return known.bytes;
    this.#hpack.begin();
    for (let i = 0; i < lead.length; i += 2) this.#hpack.add(lead[i]!, lead[i + 1]!); // name and value in turn
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i]!;
      if (!isSent(name, fields[i + 1]!, leaveOut)) continue;
      this.#hpack.add(name, fields[i + 1]!, neverIndexed?.includes(name) ?? false);
    }
    const bytes = this.#hpack.endWithHeadroom();
    if (neverIndexed === undefined && version === this.#hpack.version && bytes.length <= MAX_BYTES)
      this.#missed(slot, lead, fields, leaveOut, bytes);
    return bytes;
  }

  #missed(slot: number, lead: readonly string[], fields: readonly string[], leaveOut: number, bytes: Buffer): void {
    if (fields.length > MAX_FIELDS) return;
    const length = fields.length + 1;
    if (this.#lengths[slot] !== length) {
      this.#lengths[slot] = length;
      return;
    }
    this.#lengths[slot] = 0;
    this.#known[slot] = {
      lead: lead.slice(),
      fields: fields.slice(),
      leaveOut,
      version: this.#hpack.version,
      bytes: Buffer.from(bytes),
    };
  }
}

/** Most are found at once: values that differ mostly differ early or in length. */
function isSame(known: readonly string[], list: readonly string[]): boolean {
  if (known.length !== list.length) return false;
  for (let i = list.length - 1; i >= 0; i--) if (known[i] !== list[i]) return false;
  return true;
}

function isSent(name: string, value: string, leaveOut: number): boolean {
  const known = knownField(name);
  if (known === undefined) return isName(name) && name !== "http2-settings";
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

function isName(name: string): boolean {
  for (let i = 0; i < name.length; i++) if (NAME_CHARACTERS[name.charCodeAt(i)] !== 1) return false;
  return name !== "";
}

/** RFC 9113 §8.2.1: without blanks at the ends as well. */
function cleanValue(value: string): string {
  return BAD_IN_VALUE.test(value) ? value.replace(ALL_BAD_IN_VALUE, " ").replace(/^[\t ]+|[\t ]+$/g, "") : value;
}
