import { Buffer } from "node:buffer"; // the global one is an accessor
import { checkData } from "./data.ts";
import { FrameError, sizeError } from "./frame-error.ts";
import {
  DEFAULT_MAX_FRAME_SIZE,
  Flag,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  FrameType,
  newFrameHeader,
  readFrameHeader,
} from "./frame-header.ts";
import { isPlainHeaders } from "./headers.ts";
import { TOO_MUCH_PADDING } from "./padding.ts";

const TOO_LARGE = sizeError("a frame larger than SETTINGS_MAX_FRAME_SIZE");
const NO_PADDING_LENGTH = sizeError("a padded DATA frame without its padding's length");

/**
 * Hears of frames in their order; a header is filled again for the next one. An error that it answers ends the connection, and is the last that it hears; what concerns a
 * stream alone it deals with itself. It may stop the reader from within.
 */
export interface FrameEvents {
  /** Any frame but DATA, whole. The payload lies in a buffer that is used again. */
  onFrame(header: FrameHeader, payload: Buffer): FrameError | undefined;
  /**
   * HEADERS with the whole block and nothing else, as nearly all are: it is `bytes` from `at` on, `header.length` of them, at least one.
   * Who does not have this hears of them by `onFrame`, with a view of the payload, which costs 500 instructions.
   */
  onPlainHeaders?(header: FrameHeader, bytes: Buffer, at: number): FrameError | undefined;
  /** A DATA frame begins; `header.length` bytes count for flow control, padding too (RFC 9113 §6.1). */
  onDataFrame(header: FrameHeader): FrameError | undefined;
  /**
   * A part of that frame's data, as soon as it is there. `last`: nothing more of the frame's data will come, and no data have to
   * be in `chunk`. The bytes lie in a shared buffer.
   */
  onDataChunk(chunk: Buffer, last: boolean): FrameError | undefined;
}

const State = { Header: 0, Payload: 1, PaddingLength: 2, Data: 3, Padding: 4, Stopped: 5 } as const;
type State = (typeof State)[keyof typeof State];

const NOTHING = Buffer.alloc(0);

/**
 * Cuts a stream of bytes into frames (RFC 9113 §4). Data are given on as they come; of the other frames at most one is held,
 * of at most `maxFrameSize` bytes.
 */
export class FrameReader {
  readonly #events: FrameEvents;
  readonly #maxFrameSize: number;
  #state: State = State.Header;
  /** One for all frames: to make one for each costs 1.5 % of a small exchange. */
  readonly #header = newFrameHeader();
  /** The first bytes of a frame's header, or of a payload that is given whole. */
  #partial: Buffer = NOTHING;
  #partialLength = 0;
  /** Bytes that the frame's data or its padding still have. */
  #missing = 0;
  #padding = 0;
  #running = false;
  #held = false;
  /** What came while it was held, or from within an event. */
  #unread: Buffer | undefined = undefined;

  constructor(events: FrameEvents, maxFrameSize = DEFAULT_MAX_FRAME_SIZE) {
    this.#events = events;
    this.#maxFrameSize = maxFrameSize;
  }

  /** Between two frames. */
  get betweenFrames(): boolean {
    return this.#state === State.Header && this.#partialLength === 0;
  }

  /** Within a frame that is given on whole. Nothing else can come before its end. */
  get insideWhole(): boolean {
    return this.#state === State.Payload;
  }

  /** Nothing is read any more. */
  stop(): void {
    this.#state = State.Stopped;
    this.#partial = NOTHING;
    this.#unread = undefined;
  }

  /** From within an event: what is behind this frame is kept until `goOn`. The caller sees to it that not much more comes. */
  hold(): void {
    this.#held = true;
  }

  get held(): boolean {
    return this.#held;
  }

  goOn(): FrameError | undefined {
    this.#held = false;
    return this.#running ? undefined : this.#readKept();
  }

  /** The error that ended the reading, if one did: what is behind it is not looked at. */
  receive(bytes: Buffer): FrameError | undefined {
    if (this.#running || this.#held) {
      this.#keep(bytes);
      return undefined;
    }
    return this.#read(bytes) ?? this.#readKept();
  }

  #readKept(): FrameError | undefined {
    while (this.#unread !== undefined && !this.#held) {
      const bytes = this.#unread;
      this.#unread = undefined;
      const error = this.#read(bytes);
      if (error !== undefined) return error;
    }
    return undefined;
  }

  #read(bytes: Buffer): FrameError | undefined {
    let at = 0;
    this.#running = true;
    while (at < bytes.length && this.#state !== State.Stopped && !this.#held) {
      const next = this.#readPart(bytes, at);
      if (next instanceof FrameError) {
        this.#running = false;
        this.stop();
        return next;
      }
      at = next;
    }
    this.#running = false;
    if (at < bytes.length) {
      const later = this.#unread;
      this.#unread = undefined;
      this.#keep(bytes.subarray(at));
      if (later !== undefined) this.#keep(later);
    }
    return undefined;
  }

  #keep(bytes: Buffer): void {
    if (this.#state === State.Stopped) return;
    this.#unread = this.#unread === undefined ? Buffer.from(bytes) : Buffer.concat([this.#unread, bytes]);
  }

  #readPart(bytes: Buffer, at: number): number | FrameError {
    switch (this.#state) {
      case State.Header:
        return this.#readHeader(bytes, at);
      case State.Payload:
        return this.#readPayload(bytes, at);
      case State.PaddingLength:
        return this.#readPaddingLength(bytes, at);
      case State.Data:
        return this.#readData(bytes, at);
      case State.Padding: {
        const end = Math.min(bytes.length, at + this.#missing);
        this.#missing -= end - at;
        if (this.#missing === 0) this.#state = State.Header;
        return end;
      }
      default:
        return bytes.length;
    }
  }

  #readHeader(bytes: Buffer, at: number): number | FrameError {
    const header = this.#header;
    let end: number;
    if (this.#partialLength === 0 && bytes.length - at >= FRAME_HEADER_BYTES) {
      readFrameHeader(bytes, at, header);
      end = at + FRAME_HEADER_BYTES;
    } else {
      end = this.#collect(bytes, at, FRAME_HEADER_BYTES);
      if (this.#partialLength < FRAME_HEADER_BYTES) return end;
      readFrameHeader(this.#partial, 0, header);
      this.#partialLength = 0;
    }
    if (header.length > this.#maxFrameSize) return TOO_LARGE;
    const error = header.type === FrameType.Data ? this.#beginData(header) : this.#beginPayload(header);
    return error ?? end;
  }

  #beginPayload(header: FrameHeader): FrameError | undefined {
    if (header.length > 0) {
      this.#state = State.Payload;
      return undefined;
    }
    this.#state = State.Header;
    return this.#events.onFrame(header, NOTHING);
  }

  #beginData(header: FrameHeader): FrameError | undefined {
    const error = checkData(header);
    if (error !== undefined) return error;
    const padded = (header.flags & Flag.Padded) !== 0;
    if (padded && header.length === 0) return NO_PADDING_LENGTH;
    this.#missing = header.length;
    this.#padding = 0;
    const empty = header.length === 0;
    this.#state = padded ? State.PaddingLength : empty ? State.Header : State.Data;
    const refused = this.#events.onDataFrame(header);
    if (refused !== undefined || !empty || this.#stopped()) return refused;
    return this.#events.onDataChunk(NOTHING, true);
  }

  #stopped(): boolean {
    return this.#state === State.Stopped;
  }

  #readPaddingLength(bytes: Buffer, at: number): number | FrameError {
    const padding = bytes[at]!; // below the length
    this.#missing--;
    if (padding > this.#missing) return TOO_MUCH_PADDING;
    this.#padding = padding;
    this.#missing -= padding;
    if (this.#missing > 0) {
      this.#state = State.Data;
      return at + 1;
    }
    return this.#endData(NOTHING) ?? at + 1;
  }

  #readData(bytes: Buffer, at: number): number | FrameError {
    const end = Math.min(bytes.length, at + this.#missing);
    this.#missing -= end - at;
    const chunk = at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end);
    const error = this.#missing === 0 ? this.#endData(chunk) : this.#events.onDataChunk(chunk, false);
    return error ?? end;
  }

  #endData(chunk: Buffer): FrameError | undefined {
    this.#missing = this.#padding;
    this.#state = this.#padding > 0 ? State.Padding : State.Header;
    return this.#events.onDataChunk(chunk, true);
  }

  #readPayload(bytes: Buffer, at: number): number | FrameError {
    const { length } = this.#header;
    if (this.#partialLength === 0 && bytes.length - at >= length) {
      return this.#endPayload(bytes, at) ?? at + length;
    }
    const end = this.#collect(bytes, at, length);
    if (this.#partialLength < length) return end;
    this.#partialLength = 0;
    return this.#endPayload(this.#partial, 0) ?? end;
  }

  #endPayload(bytes: Buffer, at: number): FrameError | undefined {
    const header = this.#header;
    const events = this.#events;
    this.#state = State.Header;
    return events.onPlainHeaders !== undefined && isPlainHeaders(header)
      ? events.onPlainHeaders(header, bytes, at)
      : events.onFrame(header, bytes.subarray(at, at + header.length));
  }

  /** Keeps bytes until there are `length`. The index behind what it took. */
  #collect(bytes: Buffer, at: number, length: number): number {
    const end = Math.min(bytes.length, at + length - this.#partialLength);
    if (this.#partial.length < length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(64, length));
      this.#partial.copy(grown, 0, 0, this.#partialLength);
      this.#partial = grown;
    }
    bytes.copy(this.#partial, this.#partialLength, at, end);
    this.#partialLength += end - at;
    return end;
  }
}
