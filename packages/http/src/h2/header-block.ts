import { Buffer } from "node:buffer"; // the global one is an accessor

const NOTHING = Buffer.alloc(0);

/** A header block that comes in several frames (RFC 9113 §4.3), and how much of one is kept. */
export class HeaderBlock {
  readonly #maxBytes: number;
  readonly #maxFrames: number;
  #bytes: Buffer = NOTHING;
  #length = 0;
  #frames = 0;
  /** 0: no block is open. */
  #streamId = 0;
  #endStream = false;

  /** `maxBytes`: of the fragments together. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    // As many as a sender needs that fills its frames, and some: nothing but an attack sends many small ones.
    this.#maxFrames = 8 + Math.ceil(maxBytes / 16_384);
  }

  /** Whose block is open, 0 if none is: then no other frame may come (§6.10). */
  get streamId(): number {
    return this.#streamId;
  }

  get endStream(): boolean {
    return this.#endStream;
  }

  begin(streamId: number, endStream: boolean, fragment: Buffer): boolean {
    this.#streamId = streamId;
    this.#endStream = endStream;
    this.#frames = 0;
    this.#length = 0;
    return this.append(fragment);
  }

  /** False: there are too many frames or bytes. */
  append(fragment: Buffer): boolean {
    const length = this.#length + fragment.length;
    if (++this.#frames > this.#maxFrames || length > this.#maxBytes) return false;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, Math.max(1024, length * 2)));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    fragment.copy(this.#bytes, this.#length);
    this.#length = length;
    return true;
  }

  /** The whole block; its bytes are to be used at once. */
  end(): Buffer {
    const whole = this.#bytes.subarray(0, this.#length);
    this.#streamId = 0;
    this.#bytes = NOTHING;
    return whole;
  }
}
