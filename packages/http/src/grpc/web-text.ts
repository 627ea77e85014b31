/*
 * The base64 of gRPC-Web's text form (grpc/doc/PROTOCOL-WEB.md). A body is one text or several behind each other, each with its
 * own padding, and chunks of it are cut anywhere.
 */

/** Bytes out of base64 that comes in chunks. Strict: the alphabet of RFC 4648 §4, padding, and no bits that are lost (§3.5). */
export class WebTextReader {
  #bits = 0;
  /** Characters of the group of four that is being read, padding counted. */
  #place = 0;
  #padding = 0;

  /** A group has begun and is not complete. */
  get partial(): boolean {
    return this.#place > 0;
  }

  /** The bytes of all groups that this chunk completes; undefined where it is not base64. */
  read(chunk: Uint8Array): Buffer | undefined {
    const bytes = Buffer.allocUnsafe(Math.ceil((chunk.length + 3) / 4) * 3);
    let length = 0;
    for (const character of chunk) {
      const value = VALUES[character]!; // the table has 256 places
      if (value === PADDING ? this.#place < 2 : value === NONE || this.#padding > 0) return undefined;
      this.#bits = (this.#bits << 6) | (value === PADDING ? 0 : value);
      if (value === PADDING) this.#padding++;
      if (++this.#place < 4) continue;
      if ((this.#bits & ((1 << (8 * this.#padding)) - 1)) !== 0) return undefined; // bits that belong to no byte
      for (let i = 0; i < 3 - this.#padding; i++) bytes[length++] = (this.#bits >> (16 - 8 * i)) & 0xff;
      this.#bits = 0;
      this.#place = 0;
      this.#padding = 0;
    }
    return bytes.subarray(0, length);
  }
}

/** Base64 of bytes that come in chunks. Padding stands only where `flush` is: between messages, and at the end. */
export class WebTextWriter {
  #rest: Buffer = EMPTY;

  /** `flush`: what has come so far shall be readable. Otherwise up to two bytes wait for the next chunk. */
  write(chunk: Uint8Array, flush: boolean): Buffer {
    const bytes =
      this.#rest.length === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat([this.#rest, chunk]);
    const ready = flush ? bytes.length : bytes.length - (bytes.length % 3);
    this.#rest = ready === bytes.length ? EMPTY : Buffer.from(bytes.subarray(ready)); // a copy: the chunk is not ours
    return Buffer.from(bytes.toString("base64", 0, ready), "latin1");
  }
}

const EMPTY = Buffer.alloc(0);
const NONE = -1;
const PADDING = -2;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Int8Array(256).fill(NONE);
for (let i = 0; i < ALPHABET.length; i++) VALUES[ALPHABET.charCodeAt(i)] = i;
VALUES["=".charCodeAt(0)] = PADDING;
