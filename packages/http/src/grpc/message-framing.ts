import { err, ok, type Result } from "@heddle/base";

/*
 * Length-prefixed messages (grpc/doc/PROTOCOL-HTTP2.md): one byte of flags, four of length, big-endian, then the message.
 */

/** Flags of a message's first byte. */
export const GrpcFrameFlag = {
  Compressed: 0x01,
  /** gRPC-Web alone: the message is trailers (grpc/doc/PROTOCOL-WEB.md). */
  WebTrailers: 0x80,
} as const;

/** Of flags and length. */
export const HEADER_BYTES = 5;

/** One message with its prefix. Throws if it does not fit into 32 bits of length. */
export function grpcMessageBytes(message: Uint8Array, flags = 0): Buffer {
  if (message.length > 0xffff_ffff) throw new RangeError(`a gRPC message of ${message.length} bytes has no prefix`);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + message.length);
  bytes[0] = flags;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, HEADER_BYTES);
  return bytes;
}

/** Gets each message. Its bytes are good until the call returns. */
export type GrpcFrameSink = (flags: number, message: Uint8Array) => void;

/**
 * Messages out of a body, however it is cut. What is held is one message at most, and never more than `maxMessageBytes`:
 * a longer one is refused by its prefix, before any of it is kept. After an error nothing more is read.
 */
export class GrpcMessageReader {
  readonly #sink: GrpcFrameSink;
  readonly #maxMessageBytes: number;
  readonly #allowedFlags: number;
  readonly #prefix = Buffer.alloc(HEADER_BYTES);
  #prefixLength = 0;
  /** The message that is being read, where it lies in more than one chunk. */
  #message: Buffer | undefined = undefined;
  #messageLength = 0;
  #received = 0;
  #error: string | undefined = undefined;

  /** `allowedFlags`: bits that may be set; others are reserved, and refused. */
  constructor(sink: GrpcFrameSink, maxMessageBytes: number, allowedFlags: number = GrpcFrameFlag.Compressed) {
    this.#sink = sink;
    this.#maxMessageBytes = maxMessageBytes;
    this.#allowedFlags = allowedFlags;
  }

  /** Part of a message has come. A body that ends now has been cut off. */
  get partial(): boolean {
    return this.#prefixLength > 0;
  }

  read(chunk: Uint8Array): Result<undefined, string> {
    let at = 0;
    while (this.#error === undefined && (at < chunk.length || this.#isComplete())) {
      if (this.#prefixLength < HEADER_BYTES) {
        at = this.#readPrefix(chunk, at);
        continue;
      }
      const missing = this.#messageLength - this.#received;
      const taken = chunk.subarray(at, at + missing);
      at += taken.length;
      if (this.#received === 0 && taken.length === missing) this.#deliver(taken);
      else {
        this.#keep(taken);
        if (this.#received === this.#messageLength) this.#deliver(this.#message!.subarray(0, this.#messageLength)); // `#keep` has made it
      }
    }
    return this.#error === undefined ? ok(undefined) : err(this.#error);
  }

  /** A message without bytes is whole with its prefix. */
  #isComplete(): boolean {
    return this.#prefixLength === HEADER_BYTES && this.#messageLength === 0;
  }

  #readPrefix(chunk: Uint8Array, from: number): number {
    let at = from;
    while (this.#prefixLength < HEADER_BYTES && at < chunk.length) this.#prefix[this.#prefixLength++] = chunk[at++]!; // at is below the length
    if (this.#prefixLength < HEADER_BYTES) return at;
    const flags = this.#prefix[0]!; // it has five bytes
    this.#messageLength = this.#prefix.readUInt32BE(1);
    if ((flags & ~this.#allowedFlags) !== 0) {
      this.#error = `a message has reserved flags: found 0x${flags.toString(16)}`;
    } else if (this.#messageLength > this.#maxMessageBytes) {
      this.#error = `a message is too long: found ${this.#messageLength} bytes, allowed are ${this.#maxMessageBytes}`;
    }
    return at;
  }

  /** Grows with what has come, not with what the prefix promises: five bytes shall not cost megabytes. */
  #keep(bytes: Uint8Array): void {
    const needed = this.#received + bytes.length;
    if (this.#message === undefined || this.#message.length < needed) {
      const room = Math.min(this.#messageLength, Math.max(needed, 2 * (this.#message?.length ?? 0)));
      const grown = Buffer.allocUnsafe(room);
      if (this.#message !== undefined) grown.set(this.#message.subarray(0, this.#received));
      this.#message = grown;
    }
    this.#message.set(bytes, this.#received);
    this.#received = needed;
  }

  #deliver(message: Uint8Array): void {
    const flags = this.#prefix[0]!; // it has five bytes
    this.#prefixLength = 0;
    this.#messageLength = 0;
    this.#received = 0;
    this.#message = undefined;
    this.#sink(flags, message);
  }
}
