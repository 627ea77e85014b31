import { HEADER_BYTES } from "./message-framing.ts";

/**
 * Counts the messages of a body as it passes, and holds nothing of it. A message counts when its prefix is whole (Envoy's
 * `FrameInspector`). Flags that gRPC does not know end the counting: what follows are no messages.
 */
export class GrpcMessageCounter {
  count = 0;
  #prefixLength = 0;
  #length = 0;
  #missing = 0;
  #broken = false;

  /** What has passed ends with a message, and so does what is no sequence of messages. */
  get atBoundary(): boolean {
    return this.#broken || (this.#prefixLength === 0 && this.#missing === 0);
  }

  /** How many messages have begun in that chunk. */
  inspect(chunk: Uint8Array): number {
    const before = this.count;
    let at = 0;
    while (at < chunk.length && !this.#broken) {
      if (this.#missing > 0) {
        const taken = Math.min(this.#missing, chunk.length - at);
        this.#missing -= taken;
        at += taken;
        continue;
      }
      this.#readPrefixByte(chunk[at++]!); // at is below the length
    }
    return this.count - before;
  }

  #readPrefixByte(byte: number): void {
    if (this.#prefixLength === 0) this.#broken = byte > 1;
    else this.#length = this.#length * 256 + byte;
    if (this.#broken || ++this.#prefixLength < HEADER_BYTES) return;
    this.count++;
    this.#missing = this.#length;
    this.#length = 0;
    this.#prefixLength = 0;
  }
}
