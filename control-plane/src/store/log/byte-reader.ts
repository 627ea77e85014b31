/** Reads the payload of a frame whose checksum matched: what does not fit has been written by somebody else, and throws. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  /** Throws where the number is beyond what a double holds exactly. */
  u64(): number {
    const value = this.#bytes.readBigUInt64BE(this.#take(8));
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError("a number beyond 2^53");
    return Number(value);
  }

  text(): string {
    const length = this.u32();
    const from = this.#take(length);
    return this.#bytes.toString("utf8", from, from + length);
  }

  /** A copy: a value must not keep the whole file in memory. */
  copy(): Uint8Array {
    const length = this.u32();
    const from = this.#take(length);
    return Uint8Array.prototype.slice.call(this.#bytes, from, from + length);
  }

  #take(length: number): number {
    const from = this.#at;
    if (from + length > this.#bytes.length) throw new RangeError("the frame is too short for what it says");
    this.#at = from + length;
    return from;
  }
}
