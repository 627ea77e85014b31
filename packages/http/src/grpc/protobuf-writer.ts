import { Buffer } from "node:buffer";
import { WireType } from "./protobuf-reader.ts";

/**
 * Writes one message, for the few messages that a traffic worker sends itself. A field with its proto3 default is written all
 * the same if it is asked for: leaving it out is the caller's to do.
 */
export class ProtobufWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;

  /** A whole number from 0. */
  varint(field: number, value: number): void {
    this.#room(MAX_VARINTS);
    this.#writeVarint(field * 8 + WireType.Varint);
    this.#writeVarint(value);
  }

  double(field: number, value: number): void {
    this.#room(MAX_VARINTS);
    this.#writeVarint(field * 8 + WireType.Fixed64);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  /** As UTF-8. */
  text(field: number, value: string): void {
    const length = Buffer.byteLength(value, "utf8");
    this.#begin(field, length);
    this.#length += this.#bytes.write(value, this.#length, length, "utf8");
  }

  /** One byte for each character, which is how header values are held. */
  latin1(field: number, value: string): void {
    this.#begin(field, value.length);
    this.#length += this.#bytes.write(value, this.#length, value.length, "latin1");
  }

  bytes(field: number, value: Uint8Array): void {
    this.#begin(field, value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** Begins a message within this one. What is returned goes to `close` when its fields have been written. */
  open(field: number): number {
    this.#room(MAX_VARINTS);
    this.#writeVarint(field * 8 + WireType.Bytes);
    return this.#length;
  }

  close(start: number): void {
    const length = this.#length - start;
    const room = varintLength(length);
    this.#room(room);
    this.#bytes.copyWithin(start + room, start, this.#length);
    this.#length = start;
    this.#writeVarint(length);
    this.#length += length;
  }

  /** What has been written so far; a view, good until the next write. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #begin(field: number, length: number): void {
    this.#room(MAX_VARINTS + length);
    this.#writeVarint(field * 8 + WireType.Bytes);
    this.#writeVarint(length);
  }

  #writeVarint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

/** A request with some ten headers. */
const FIRST_BYTES = 1024;
/** A tag, and a varint or a length. */
const MAX_VARINTS = 20;
