import { Buffer } from "node:buffer"; // the global one is an accessor
import type { Transport } from "../codec.ts";
import type { ByteQueue } from "./byte-queue.ts";
import {
  DEFAULT_MAX_FRAME_SIZE,
  type ErrorCode,
  FRAME_HEADER_BYTES,
  writeContinuationHeader,
  writeDataHeader,
  writeGoAway,
  writeHeadersHeader,
  writePing,
  writeRstStream,
  writeSettings,
  writeSettingsAck,
  writeWindowUpdate,
} from "./frame/index.ts";

/** Frames are put together here; the transport copies them before it returns. */
const SCRATCH = Buffer.allocUnsafeSlow(256);
const FRAME_HEADER = SCRATCH.subarray(0, FRAME_HEADER_BYTES);
const WORD_FRAME = SCRATCH.subarray(0, FRAME_HEADER_BYTES + 4);
const TWO_WORD_FRAME = SCRATCH.subarray(0, FRAME_HEADER_BYTES + 8);
const MAX_DEBUG = 128;

/**
 * Writes frames to the transport, which gathers all of a turn into one write, and counts those that wait there: all that were
 * written since the transport was full, or within one read, since nothing leaves before its end.
 */
export class FrameOutput {
  readonly #transport: Transport;
  #blocked = false;
  #reading = false;
  #waiting = 0;
  #waitingControl = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The transport has more than its high watermark. No DATA are sent until it is drained. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Frames that wait, at most. */
  get waiting(): number {
    return this.#waiting;
  }

  /** PING, SETTINGS and RST_STREAM among them. */
  get waitingControl(): number {
    return this.#waitingControl;
  }

  drained(): void {
    this.#blocked = false;
    this.#waiting = 0;
    this.#waitingControl = 0;
  }

  readBegins(): void {
    this.#reading = true;
  }

  /** What was written within the read leaves now, unless the transport is full. */
  readEnds(): void {
    this.#reading = false;
    if (!this.#blocked) this.drained();
  }

  /** `block` is with headroom for the frame's header. Bytes that were written. */
  writeHeaders(streamId: number, block: Buffer, endStream: boolean): number {
    const length = block.length - FRAME_HEADER_BYTES;
    if (length <= DEFAULT_MAX_FRAME_SIZE) {
      writeHeadersHeader(block, 0, streamId, length, endStream, true);
      this.#wrote(this.#transport.writeBytes(block));
      return block.length;
    }
    return this.#writeLongHeaders(streamId, block, endStream);
  }

  #writeLongHeaders(streamId: number, block: Buffer, endStream: boolean): number {
    let written = 0;
    for (let at = FRAME_HEADER_BYTES; at < block.length; ) {
      const end = Math.min(block.length, at + DEFAULT_MAX_FRAME_SIZE);
      const last = end === block.length;
      if (at === FRAME_HEADER_BYTES) writeHeadersHeader(SCRATCH, 0, streamId, end - at, endStream, last);
      else writeContinuationHeader(SCRATCH, 0, streamId, end - at, last);
      this.#transport.writeBytes(FRAME_HEADER);
      this.#wrote(this.#transport.writeBytes(block.subarray(at, end)));
      written += FRAME_HEADER_BYTES + end - at;
      at = end;
    }
    return written;
  }

  /** At most a frame. */
  writeData(streamId: number, chunk: Uint8Array, endStream: boolean): void {
    writeDataHeader(SCRATCH, 0, streamId, chunk.length, endStream);
    const below = this.#transport.writeBytes(FRAME_HEADER);
    this.#wrote(chunk.length === 0 ? below : this.#transport.writeBytes(chunk));
  }

  /** The first `bytes` of the queue, at most a frame. */
  writeQueued(streamId: number, queue: ByteQueue, bytes: number, endStream: boolean): void {
    writeDataHeader(SCRATCH, 0, streamId, bytes, endStream);
    const below = this.#transport.writeBytes(FRAME_HEADER);
    this.#wrote(bytes === 0 ? below : queue.writeTo(this.#transport, bytes));
  }

  writeReset(streamId: number, errorCode: ErrorCode): void {
    writeRstStream(SCRATCH, 0, streamId, errorCode);
    this.#wroteControl(this.#transport.writeBytes(WORD_FRAME));
  }

  writeWindowUpdate(streamId: number, increment: number): void {
    writeWindowUpdate(SCRATCH, 0, streamId, increment);
    this.#wrote(this.#transport.writeBytes(WORD_FRAME));
  }

  /** `opaque` is of 8 bytes. */
  writePing(opaque: Uint8Array, ack: boolean): void {
    writePing(SCRATCH, 0, opaque, ack);
    this.#wroteControl(this.#transport.writeBytes(TWO_WORD_FRAME));
  }

  /** At most 32 settings. */
  writeSettings(settings: readonly (readonly [setting: number, value: number])[]): void {
    this.#wroteControl(this.#transport.writeBytes(SCRATCH.subarray(0, writeSettings(SCRATCH, 0, settings))));
  }

  writeSettingsAck(): void {
    writeSettingsAck(SCRATCH, 0);
    this.#wroteControl(this.#transport.writeBytes(FRAME_HEADER));
  }

  writeGoAway(lastStreamId: number, errorCode: ErrorCode, debug = ""): void {
    const end = writeGoAway(SCRATCH, 0, lastStreamId, errorCode, debug.slice(0, MAX_DEBUG));
    this.#wrote(this.#transport.writeBytes(SCRATCH.subarray(0, end)));
  }

  #wrote(below: boolean): void {
    if (!below) this.#blocked = true;
    if (this.#blocked || this.#reading) this.#waiting++;
  }

  #wroteControl(below: boolean): void {
    this.#wrote(below);
    if (this.#blocked || this.#reading) this.#waitingControl++;
  }
}
