/** Collects the payload of a frame. */
export class ByteWriter {
  readonly #parts: Uint8Array[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  u8(value: number): void {
    this.#push(Buffer.from([value]));
  }

  u32(value: number): void {
    const part = Buffer.allocUnsafe(4);
    part.writeUInt32BE(value);
    this.#push(part);
  }

  u64(value: number): void {
    const part = Buffer.allocUnsafe(8);
    part.writeBigUInt64BE(BigInt(value));
    this.#push(part);
  }

  text(value: string): void {
    this.chunk(Buffer.from(value));
  }

  /** The length, then the bytes. */
  chunk(value: Uint8Array): void {
    this.u32(value.byteLength);
    this.#push(value);
  }

  /** Everything that was written; the writer is empty again. */
  take(): Uint8Array {
    const all = Buffer.concat(this.#parts, this.#bytes);
    this.#parts.length = 0;
    this.#bytes = 0;
    return all;
  }

  #push(part: Uint8Array): void {
    this.#parts.push(part);
    this.#bytes += part.byteLength;
  }
}
