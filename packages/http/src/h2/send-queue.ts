import type { Transport } from "../codec.ts";

/** Data of one stream that wait for a window or for the transport, in their order. */
export class SendQueue {
  readonly #chunks: Uint8Array[] = [];
  #first = 0;
  /** Bytes of the first chunk that have gone. */
  #offset = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** The chunk becomes the queue's. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** Writes the first bytes, `bytes` of them, which are there. The transport's verdict. */
  writeTo(transport: Transport, bytes: number): boolean {
    let below = true;
    this.#bytes -= bytes;
    while (bytes > 0) {
      const chunk = this.#chunks[this.#first]!; // there are as many bytes
      const end = Math.min(chunk.length, this.#offset + bytes);
      bytes -= end - this.#offset;
      below = transport.writeBytes(
        this.#offset === 0 && end === chunk.length ? chunk : chunk.subarray(this.#offset, end),
      );
      if (end === chunk.length) this.#dropFirst();
      else this.#offset = end;
    }
    return below;
  }

  #dropFirst(): void {
    this.#offset = 0;
    this.#first++;
    // Chunks that have gone are let go of in batches, since to move the rest costs its length.
    if (this.#first < 32 && this.#first < this.#chunks.length) return;
    this.#chunks.splice(0, this.#first);
    this.#first = 0;
  }
}
