/**
 * DNS by TCP: each message follows its length in two bytes (RFC 1035 §4.2.2). Holds what has come of messages that are not
 * complete, which is less than 64 KiB and one read.
 */
export class FrameReader {
  #held: Uint8Array = NOTHING;

  /** Bytes that came. They are copied where they outlive the call. */
  push(bytes: Uint8Array): void {
    this.#held = this.#held.length === 0 ? Uint8Array.from(bytes) : Buffer.concat([this.#held, bytes]);
  }

  /** The next complete message. */
  next(): Uint8Array | undefined {
    if (this.#held.length < 2) return undefined;
    const end = 2 + this.#held[0]! * 256 + this.#held[1]!; // there are two
    if (this.#held.length < end) return undefined;
    const message = this.#held.slice(2, end);
    this.#held = end === this.#held.length ? NOTHING : this.#held.subarray(end);
    return message;
  }
}

/** A message with its length before it. */
export function framed(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(2 + message.length);
  frame[0] = message.length >> 8;
  frame[1] = message.length;
  frame.set(message, 2);
  return frame;
}

const NOTHING = new Uint8Array();
