import type { Transport } from "../codec.ts";

/** A transport that keeps what is written and obeys when told that it is full. For tests of codecs and their users. */
export class RecordingTransport implements Transport {
  /** What has been written and not yet taken, as latin1. */
  #written = "";
  /** What `writeBytes` answers. */
  belowHighWatermark = true;
  paused = false;
  ended = false;
  destroyed = false;
  /** It was destroyed by `reset`. */
  wasReset = false;

  writeLatin1(text: string): void {
    this.#write(text);
  }

  writeBytes(bytes: Uint8Array): boolean {
    this.#write(Buffer.from(bytes).toString("latin1"));
    return this.belowHighWatermark;
  }

  end(): void {
    if (this.ended) throw new Error("end() was called twice");
    this.ended = true;
  }

  destroy(): void {
    this.destroyed = true;
  }

  reset(): void {
    this.destroyed = true;
    this.wasReset = true;
  }

  pause(): void {
    if (this.paused) throw new Error("pause() was called twice");
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) throw new Error("resume() was called while not paused");
    this.paused = false;
  }

  /** What has been written since the last call. */
  take(): string {
    const written = this.#written;
    this.#written = "";
    return written;
  }

  #write(text: string): void {
    if (this.ended) throw new Error("a write after end()");
    if (this.destroyed) throw new Error("a write after destroy()");
    this.#written += Buffer.from(text, "latin1").toString("latin1"); // as a socket would: one byte a character
  }
}
