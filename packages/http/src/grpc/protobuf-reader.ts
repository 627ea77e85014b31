import { Buffer } from "node:buffer";

/** How a field stands on the wire (protobuf.dev/programming-guides/encoding). Groups are not read: nobody sends them any more. */
export const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, Fixed32: 5 } as const;

/**
 * Reads the fields of one message, for the few messages that a traffic worker needs itself. Nothing of the bytes is copied.
 *
 *     while (reader.next()) if (reader.is(1, WireType.Bytes)) name = reader.text;
 *     if (reader.broken) …
 *
 * A field that the caller does not ask after is passed over, as protobuf wants.
 */
export class ProtobufReader {
  /** Of the field that `next` has come to. */
  field = 0;
  wireType = 0;
  /** The value of a varint; beyond 2^53 the nearest number. */
  varint = 0;
  /** The value of any other field. */
  bytes: Uint8Array;
  /** These bytes are no message. What was read before may be dropped. */
  broken = false;
  readonly #message: Uint8Array;
  #at = 0;

  constructor(message: Uint8Array) {
    this.#message = message;
    this.bytes = message.subarray(0, 0);
  }

  /** Goes on to the next field. False at the end, or where `broken`. */
  next(): boolean {
    if (this.#at === this.#message.length || this.broken) return false;
    const tag = this.#readVarint(MAX_TAG_BYTES);
    this.field = Math.floor(tag / 8);
    this.wireType = tag % 8;
    if (!this.broken && (tag > 0xffff_ffff || this.field === 0)) this.broken = true;
    if (!this.broken) this.#readValue();
    return !this.broken;
  }

  is(field: number, wireType: number): boolean {
    return this.field === field && this.wireType === wireType;
  }

  /** Of a field of bytes: as UTF-8. */
  get text(): string {
    return this.#view().toString("utf8");
  }

  /** Of a field of bytes: one character for each, as header values are. */
  get latin1(): string {
    return this.#view().toString("latin1");
  }

  /** Of a fixed64 field. */
  get double(): number {
    return this.#view().readDoubleLE();
  }

  #view(): Buffer {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
  }

  #readValue(): void {
    switch (this.wireType) {
      case WireType.Varint:
        this.varint = this.#readVarint(MAX_VARINT_BYTES);
        return;
      case WireType.Fixed64:
        this.#take(8);
        return;
      case WireType.Bytes: {
        const length = this.#readVarint(MAX_TAG_BYTES);
        if (!this.broken) this.#take(length);
        return;
      }
      case WireType.Fixed32:
        this.#take(4);
        return;
      default:
        this.broken = true;
    }
  }

  #readVarint(maxBytes: number): number {
    let value = 0;
    for (let i = 0; i < maxBytes; i++) {
      const byte = this.#message[this.#at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    this.broken = true;
    return 0;
  }

  #take(length: number): void {
    const end = this.#at + length;
    if (end > this.#message.length) this.broken = true;
    else {
      this.bytes = this.#message.subarray(this.#at, end);
      this.#at = end;
    }
  }
}

/** Tags and lengths have 32 bits. */
const MAX_TAG_BYTES = 5;
const MAX_VARINT_BYTES = 10;
