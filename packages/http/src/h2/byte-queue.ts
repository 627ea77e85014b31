import { Buffer } from "node:buffer"; // the global one is an accessor
import type { Transport } from "../codec.ts";

/** Blocks are so large at least, and as large as what comes at once at most. */
const MIN_BLOCK = 1024;
const COMMON_BLOCK = 16_384;

/**
 * Bytes of one stream that wait, copied, in their order. They lie in blocks: a peer that sends byte by byte would otherwise cost a
 * hundred times its bytes.
 */
export class ByteQueue {
  readonly #blocks: Buffer[] = [];
  #first = 0;
  /** Bytes of the first block that have gone. */
  #offset = 0;
  /** Bytes of the last block that are there. */
  #filled = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Uint8Array): void {
    const { length } = chunk;
    this.#bytes += length;
    let at = 0;
    const last = this.#blocks.at(-1);
    if (last !== undefined && this.#filled < last.length) {
      at = Math.min(length, last.length - this.#filled);
      last.set(at === length ? chunk : chunk.subarray(0, at), this.#filled);
      this.#filled += at;
    }
    if (at === length) return;
    const rest = length - at;
    // The first is small, since most queues are; then they are as the frames.
    const block = Buffer.allocUnsafeSlow(Math.max(rest, this.#blocks.length === 0 ? MIN_BLOCK : COMMON_BLOCK));
    block.set(at === 0 ? chunk : chunk.subarray(at), 0);
    this.#blocks.push(block);
    this.#filled = rest;
  }

  /** Takes the bytes that lie together in front, if there are any. */
  shift(): Buffer | undefined {
    if (this.#bytes === 0) return undefined;
    const chunk = this.#front(this.#bytes);
    this.#drop(chunk.length);
    return chunk;
  }

  /** Writes the first bytes, `bytes` of them, which are there. The transport's verdict. */
  writeTo(transport: Transport, bytes: number): boolean {
    let below = true;
    while (bytes > 0) {
      const chunk = this.#front(bytes);
      below = transport.writeBytes(chunk);
      this.#drop(chunk.length);
      bytes -= chunk.length;
    }
    return below;
  }

  /** At most `bytes` of the first block. */
  #front(bytes: number): Buffer {
    const block = this.#blocks[this.#first]!; // there are bytes
    const end = this.#first === this.#blocks.length - 1 ? this.#filled : block.length;
    return block.subarray(this.#offset, Math.min(end, this.#offset + bytes));
  }

  #drop(bytes: number): void {
    this.#bytes -= bytes;
    this.#offset += bytes;
    if (this.#bytes === 0) {
      this.#blocks.length = 0;
      this.#first = 0;
      this.#offset = 0;
      this.#filled = 0;
      return;
    }
    if (this.#offset < this.#blocks[this.#first]!.length) return; // there is a first one
    this.#offset = 0;
    this.#first++;
    // Blocks that have gone are let go of in batches, since to move the rest costs its length.
    if (this.#first < 32) return;
    this.#blocks.splice(0, this.#first);
    this.#first = 0;
  }
}
