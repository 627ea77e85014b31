import { Buffer } from "node:buffer"; // the global one is an accessor, asked for each read
import type { Transport } from "../codec.ts";
import type { HeaderMap } from "../header-map.ts";
import type { HttpLimits } from "../limits.ts";
import { ChunkFraming, MORE_FRAMING } from "./chunk-framing.ts";
import { MessageFields } from "./fields.ts";
import { BAD_BYTE, endOfLine, HeadScanner, MORE } from "./head-scanner.ts";
import type { LineMemo } from "./known-line.ts";
import type { KnownSection } from "./known-section.ts";
import { ParseError } from "./parse-error.ts";
import { parseTrailers } from "./parse-head.ts";

const BAD_HEAD_BYTE = new ParseError(
  400,
  "a control character, a bare CR or a bare LF in a head",
  "http1.invalid_characters",
);
const HEAD_TOO_LARGE = new ParseError(431, "the head is too large", "http1.headers_too_large");
const TRAILERS_TOO_LARGE = new ParseError(431, "the trailer section is too large", "http1.headers_too_large");

/** Lengths of a body that are not a number of bytes. */
export const BodyLength = {
  /** Chunked transfer coding. */
  Chunked: -1,
  /** All that comes until FIN. */
  UntilClose: -2,
} as const;

/** What the next byte belongs to. */
const Part = {
  Head: 0,
  Body: 1,
  ChunkFraming: 2,
  ChunkData: 3,
  Trailers: 4,
  UntilClose: 5,
  /** The message is complete; `nextMessage` goes on. */
  Complete: 6,
  /** Nothing more is read. */
  Stopped: 7,
} as const;
type Part = (typeof Part)[keyof typeof Part];

const CR = 0x0d;
const LF = 0x0a;
/** RFC 9112 §2.2 asks a server to pass over at least one empty line before a request. */
const MAX_EMPTY_LINES = 4;
const NOTHING = Buffer.alloc(0);
/** What usually follows the data of the last chunk: its CRLF, the last chunk, no trailers. */
const LAST_CHUNK = Buffer.from("\r\n0\r\n\r\n", "latin1");

/**
 * Cuts a stream of bytes into HTTP/1 messages, for either role, and holds what cannot be given on yet.
 *
 * Invariants:
 * - The state is complete before a hook is called, so a hook may call anything, also on the same object.
 * - Bytes are given on in their order. While `held` has any, new bytes go behind them.
 * - The transport is paused exactly while the subclass wants it or something is held: held bytes are at most what the
 *   transport gave before it obeyed, one read.
 * - After `stopReading` no hook is called any more.
 *
 * `Line`: what the first line of a head says.
 */
export abstract class MessageReader<Line> {
  protected readonly transport: Transport;
  protected readonly limits: HttpLimits;
  /** Of the head that is read or was read last. */
  protected readonly fields: MessageFields;
  /** Undefined where nothing that comes again is to be remembered. */
  protected readonly lines: LineMemo<Line> | undefined;
  readonly #skipsEmptyLines: boolean;
  readonly #scanner = new HeadScanner();
  readonly #chunks: ChunkFraming;
  /** Fields of trailers, which say nothing about the connection. */
  #trailerFields: MessageFields | undefined = undefined;
  #part: Part = Part.Head;
  /** Bytes missing from the body or the chunk. */
  #missing = 0;
  /** The first bytes of a head or a trailer section that came in several reads. */
  #partial: Buffer = NOTHING;
  #partialLength = 0;
  /** Where the section ended that `#scanSection` gave. */
  #sectionEnd = 0;
  /** What is known of the line before the section that `#findSection` gave, and where it ended. */
  #line: Line | undefined = undefined;
  #lineEnd = 0;
  #begun = false;
  #emptyLines = 0;
  /** An empty line before the head has its CR and waits for its LF. */
  #insideEmptyLine = false;
  #held: Buffer | undefined = undefined;
  #paused = false;
  #transportPaused = false;
  #running = false;
  #unread = 0;
  #ended = false;

  constructor(
    transport: Transport,
    limits: HttpLimits,
    fields: MessageFields,
    lines: LineMemo<Line> | undefined,
    skipsEmptyLines: boolean,
  ) {
    this.transport = transport;
    this.limits = limits;
    this.fields = fields;
    this.lines = lines;
    this.#skipsEmptyLines = skipsEmptyLines;
    this.#chunks = new ChunkFraming(limits);
  }

  // What a role does with a message. Only `headComplete` must not call out; all others may.

  /** The first byte of a head is there. */
  protected abstract headBegun(): void;
  /**
   * Parses a head, or its first line alone where the section behind it is known, or nothing where the line is known too. The
   * length of its body in bytes, a `BodyLength`, or why it is refused.
   */
  protected abstract headComplete(
    text: string,
    section: KnownSection | undefined,
    line: Line | undefined,
  ): number | ParseError;
  /** Gives the parsed head on. */
  protected abstract headRead(last: boolean): void;
  protected abstract dataRead(chunk: Uint8Array, last: boolean): void;
  protected abstract trailersRead(trailers: HeaderMap): void;
  /** The bytes are no message. Reading has stopped. */
  protected abstract readFailed(error: ParseError): void;
  /** FIN, and everything before it has been read. */
  protected abstract endRead(): void;

  receive(bytes: Uint8Array): void {
    if (this.#part === Part.Stopped) return;
    if (this.#held !== undefined) this.#held = Buffer.concat([this.#held, bytes]);
    else if (this.#running) this.#held = Buffer.from(bytes);
    else {
      this.#read(asBuffer(bytes), false);
      if (this.#held !== undefined) this.#continue(); // the transport gave more while this was read
    }
  }

  receiveEnd(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#readEnd();
  }

  /** Between messages, with no byte of the next. */
  protected get betweenMessages(): boolean {
    return this.#part === Part.Head && !this.#begun && !this.hasUnread;
  }

  /** Whether bytes behind the message that just ended are there already. */
  protected get hasUnread(): boolean {
    return this.#unread > 0 || this.#held !== undefined;
  }

  /** A head has begun and is not complete. */
  protected get insideHead(): boolean {
    return this.#part === Part.Head && this.#begun;
  }

  /** Bytes of a body that are still to come, as far as is known; Infinity if it is not. */
  protected get missingBytes(): number {
    if (this.#part === Part.Body) return this.#missing;
    return this.#part === Part.Complete || this.#part === Part.Head ? 0 : Number.POSITIVE_INFINITY;
  }

  /** Goes on behind a complete message. */
  protected nextMessage(): void {
    if (this.#part === Part.Stopped) return;
    this.#part = Part.Head;
    this.#begun = false;
    this.#emptyLines = 0;
    this.#continue();
  }

  /** Everything from here to FIN is data, beginning with what is held. */
  protected becomeTunnel(): void {
    this.#part = Part.UntilClose;
    this.#continue();
  }

  protected stopReading(): void {
    this.#part = Part.Stopped;
    this.#held = undefined;
    this.#partial = NOTHING;
    this.#paused = false;
    this.#regulate();
  }

  protected pauseReading(): void {
    this.#paused = true;
    this.#regulate();
  }

  protected resumeReading(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#continue();
  }

  #continue(): void {
    if (this.#running) return; // the loop in `#read` sees the change
    while (this.#held !== undefined && this.#mayRead()) {
      const bytes = this.#held;
      this.#held = undefined;
      this.#read(bytes, true);
    }
    this.#regulate();
    this.#readEnd();
  }

  #readEnd(): void {
    if (!this.#ended || this.#running || this.#held !== undefined || this.#paused) return;
    if (this.#part === Part.Stopped) return;
    if (this.#part !== Part.UntilClose) {
      this.endRead();
      return;
    }
    this.#part = Part.Complete;
    this.dataRead(NOTHING, true);
  }

  #mayRead(): boolean {
    return !this.#paused && this.#part < Part.Complete;
  }

  #regulate(): void {
    const pause = this.#paused || this.#held !== undefined;
    if (pause === this.#transportPaused) return;
    this.#transportPaused = pause;
    if (pause) this.transport.pause();
    else this.transport.resume();
  }

  /** `ours` are bytes that stay valid when the call returns. */
  #read(bytes: Buffer, ours: boolean): void {
    this.#running = true;
    let at = 0;
    try {
      while (at < bytes.length && this.#mayRead()) at = this.#readPart(bytes, at);
    } finally {
      this.#running = false;
      this.#unread = 0;
    }
    if (at < bytes.length && this.#part !== Part.Stopped) {
      const rest = ours ? bytes.subarray(at) : Buffer.from(bytes.subarray(at));
      this.#held = this.#held === undefined ? rest : Buffer.concat([rest, this.#held]);
    }
    this.#regulate();
    if (this.#ended) this.#readEnd();
  }

  /** Reads as much of one part as there is; returns the index behind it. */
  #readPart(bytes: Buffer, at: number): number {
    switch (this.#part) {
      case Part.Head:
        return this.#begun ? this.#readHead(bytes, at) : this.#beginHead(bytes, at);
      case Part.Body:
        return this.#readBody(bytes, at);
      case Part.ChunkFraming:
        return this.#readChunkFraming(bytes, at);
      case Part.ChunkData:
        return this.#readChunkData(bytes, at);
      case Part.Trailers:
        return this.#readTrailers(bytes, at);
      default: {
        const chunk = at === 0 ? bytes : bytes.subarray(at);
        this.dataRead(chunk, false);
        return bytes.length;
      }
    }
  }

  #beginHead(bytes: Buffer, at: number): number {
    const byte = bytes[at];
    if (this.#insideEmptyLine) {
      this.#insideEmptyLine = false;
      if (byte === LF) return at + 1;
      this.#begun = true;
      this.headBegun();
      return this.#fail(BAD_HEAD_BYTE, bytes);
    }
    if (this.#skipsEmptyLines && byte === CR && this.#emptyLines < MAX_EMPTY_LINES) {
      this.#emptyLines++;
      this.#insideEmptyLine = true;
      return at + 1;
    }
    this.#begun = true;
    this.#scanner.reset(false);
    this.headBegun();
    return at;
  }

  #readHead(bytes: Buffer, at: number): number {
    const section = this.#findSection(bytes, at);
    let text: string | undefined = "";
    let line: Line | undefined;
    if (section === undefined) {
      text = this.#scanSection(bytes, at, this.limits.maxHeadBytes, HEAD_TOO_LARGE);
      if (text === undefined) return bytes.length;
    } else {
      line = this.#line;
      if (line === undefined) text = bytes.toString("latin1", at, this.#lineEnd);
    }
    const end = this.#sectionEnd;
    const length = this.headComplete(text, section, line);
    if (length instanceof ParseError) return this.#fail(length, bytes);
    this.#begun = false;
    this.#startBody(length);
    this.#unread = bytes.length - end;
    this.headRead(length === 0);
    return end;
  }

  /**
   * The section behind the head's first line, if it is known and all there; `#sectionEnd`, `#line` and `#lineEnd` tell the
   * rest.
   */
  #findSection(bytes: Buffer, at: number): KnownSection | undefined {
    const { lines } = this;
    const { memo } = this.fields;
    if (lines === undefined || memo === undefined || this.#partialLength > 0 || !memo.looks()) return undefined;
    const view = lines.viewOf(bytes);
    const known = lines.find(view, at);
    const lineEnd = known === undefined ? endOfLine(bytes, at) : at + known.text.length;
    if (lineEnd === -1) return undefined; // the scanner finds out why
    const section = memo.find(view, lineEnd, this.limits.maxHeaderCount);
    if (section === undefined) return undefined;
    const end = lineEnd + section.text.length;
    if (end - at > this.limits.maxHeadBytes) return undefined;
    this.#line = known?.line;
    this.#lineEnd = lineEnd;
    this.#sectionEnd = end;
    return section;
  }

  #startBody(length: number): void {
    if (length === 0) this.#part = Part.Complete;
    else if (length === BodyLength.Chunked) {
      this.#part = Part.ChunkFraming;
      this.#chunks.reset();
    } else if (length === BodyLength.UntilClose) this.#part = Part.UntilClose;
    else {
      this.#part = Part.Body;
      this.#missing = length;
    }
  }

  /**
   * The text of a head or trailer section once its end is there, which `#sectionEnd` then tells. Undefined: all bytes
   * have been kept, or the section was refused.
   */
  #scanSection(bytes: Buffer, at: number, limit: number, tooLarge: ParseError): string | undefined {
    const room = limit - this.#partialLength;
    const scanEnd = Math.min(bytes.length, at + room);
    const end = this.#scanner.scan(bytes, at, scanEnd);
    if (end === BAD_BYTE || (end === MORE && bytes.length - at >= room)) {
      // A section of exactly the limit that has not ended is too large already.
      this.#fail(end === BAD_BYTE ? BAD_HEAD_BYTE : tooLarge, bytes);
      return undefined;
    }
    if (end === MORE) {
      this.#keepPartial(bytes, at);
      return undefined;
    }
    this.#sectionEnd = end;
    if (this.#partialLength === 0) return bytes.toString("latin1", at, end);
    const length = this.#partialLength;
    const text = this.#partial.toString("latin1", 0, length) + bytes.toString("latin1", at, end);
    this.#partial = NOTHING;
    this.#partialLength = 0;
    return text;
  }

  #keepPartial(bytes: Buffer, at: number): void {
    const length = this.#partialLength + bytes.length - at;
    if (length > this.#partial.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(512, 2 * length)); // doubling: byte by byte stays linear
      this.#partial.copy(grown, 0, 0, this.#partialLength);
      this.#partial = grown;
    }
    bytes.copy(this.#partial, this.#partialLength, at);
    this.#partialLength = length;
  }

  #readBody(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#missing);
    this.#missing -= end - at;
    const last = this.#missing === 0;
    if (last) this.#part = Part.Complete;
    this.#unread = bytes.length - end;
    this.dataRead(part(bytes, at, end), last);
    return end;
  }

  #readChunkFraming(bytes: Buffer, at: number): number {
    const end = this.#chunks.read(bytes, at);
    if (end === MORE_FRAMING) {
      const { error } = this.#chunks;
      return error === undefined ? bytes.length : this.#fail(error, bytes);
    }
    this.#missing = this.#chunks.size;
    if (this.#missing > 0) this.#part = Part.ChunkData;
    else {
      this.#part = Part.Trailers;
      this.#scanner.reset(true);
    }
    return end;
  }

  #readChunkData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#missing);
    this.#missing -= end - at;
    const chunk = part(bytes, at, end);
    if (this.#missing > 0) {
      this.dataRead(chunk, false);
      return end;
    }
    if (endsMessage(bytes, end)) {
      // The usual end of a message is taken at once, so that its last data go on together with its end.
      const messageEnd = end + LAST_CHUNK.length;
      this.#part = Part.Complete;
      this.#unread = bytes.length - messageEnd;
      this.dataRead(chunk, true);
      return messageEnd;
    }
    this.#part = Part.ChunkFraming;
    this.#chunks.endData();
    this.dataRead(chunk, false);
    return end;
  }

  #readTrailers(bytes: Buffer, at: number): number {
    const text = this.#scanSection(bytes, at, this.limits.maxTrailerBytes, TRAILERS_TOO_LARGE);
    if (text === undefined) return bytes.length;
    const end = this.#sectionEnd;
    this.#unread = bytes.length - end;
    if (text === "\r\n") {
      this.#part = Part.Complete;
      this.dataRead(NOTHING, true);
      return end;
    }
    this.#trailerFields ??= new MessageFields();
    const trailers = parseTrailers(text, this.limits.maxHeaderCount, this.#trailerFields);
    if (trailers instanceof ParseError) return this.#fail(trailers, bytes);
    this.#part = Part.Complete;
    if (trailers.size === 0) this.dataRead(NOTHING, true);
    else this.trailersRead(trailers);
    return end;
  }

  /** Everything that came is dropped. */
  #fail(error: ParseError, bytes: Buffer): number {
    if (this.#part !== Part.Stopped) {
      this.stopReading();
      this.readFailed(error);
    }
    return bytes.length;
  }
}

let lastWhole: Buffer = NOTHING;
let lastPart: Buffer = NOTHING;
let lastAt = 0;

/**
 * `bytes` from `at` to `end`. A view that was made is given again for the same bytes: reads of the same length come as the
 * same view, and small answers of one kind have their body at the same place in it. At most one read is kept alive.
 */
function part(bytes: Buffer, at: number, end: number): Buffer {
  if (at === 0 && end === bytes.length) return bytes;
  if (bytes === lastWhole && at === lastAt && end - at === lastPart.length) return lastPart;
  lastWhole = bytes;
  lastAt = at;
  lastPart = bytes.subarray(at, end);
  return lastPart;
}

function endsMessage(bytes: Buffer, at: number): boolean {
  if (bytes.length - at < LAST_CHUNK.length) return false;
  for (let i = 0; i < LAST_CHUNK.length; i++) if (bytes[at + i] !== LAST_CHUNK[i]) return false;
  return true;
}

/** A view, not a copy. Sockets give Buffers already. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
