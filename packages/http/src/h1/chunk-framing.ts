import type { HttpLimits } from "../limits.ts";
import { ParseError } from "./parse-error.ts";
import { TCHAR } from "./tokens.ts";

const BAD_SIZE = new ParseError(400, "a chunk size is not a hexadecimal number");
const SIZE_OVERFLOW = new ParseError(400, "a chunk size is too large");
const BAD_EXTENSION = new ParseError(400, "a chunk extension is malformed");
const LONG_LINE = new ParseError(400, "a chunk-size line is too long");
const MANY_EXTENSIONS = new ParseError(400, "the chunk extensions of a message are too long");
const BAD_LINE_END = new ParseError(400, "a chunk-size line does not end with CRLF");
const BAD_CHUNK_END = new ParseError(400, "a chunk does not end with CRLF");

/** Where in the framing of a chunked body the next byte stands (RFC 9112 §7.1). */
const At = {
  SizeStart: 0,
  Size: 1,
  ExtensionName: 2,
  ExtensionNameRest: 3,
  ExtensionValue: 4,
  ExtensionToken: 5,
  Quoted: 6,
  QuotedPair: 7,
  QuotedEnd: 8,
  LineFeed: 9,
  DataEnd: 10,
  DataEndLineFeed: 11,
} as const;
type At = (typeof At)[keyof typeof At];

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;

/** Above this another hexadecimal digit could pass 2^53 - 1. */
const MAX_BEFORE_DIGIT = (Number.MAX_SAFE_INTEGER - 15) / 16;

/** `read` needs more bytes. */
export const MORE_FRAMING = -1;

/**
 * Reads what stands between the data of chunks: the CRLF behind a chunk, then the size line of the next.
 *
 * Extensions are checked and dropped (RFC 9112 §7.1.1). White space is taken nowhere: the grammar has it only as "bad
 * white space" before an extension, and implementations that skip it where others do not have been used to smuggle.
 */
export class ChunkFraming {
  readonly #limits: HttpLimits;
  #at: At = At.SizeStart;
  #size = 0;
  #lineBytes = 0;
  #extensionBytes = 0;
  #error: ParseError | undefined = undefined;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  /** Before the first chunk of a message. */
  reset(): void {
    this.#startLine(At.SizeStart);
    this.#extensionBytes = 0;
  }

  /** Behind the data of a chunk. */
  endData(): void {
    this.#startLine(At.DataEnd);
  }

  /** Of the chunk whose size line has been read; 0 is the last chunk. */
  get size(): number {
    return this.#size;
  }

  /** Why `read` failed. */
  get error(): ParseError | undefined {
    return this.#error;
  }

  /** The index behind the size line, or MORE_FRAMING with `error` set if the bytes are wrong. */
  read(bytes: Uint8Array, at: number): number {
    for (let i = at; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (this.#at === At.LineFeed) {
        if (byte !== LF) return this.#fail(BAD_LINE_END);
        return i + 1;
      }
      const error = this.#step(byte);
      if (error !== undefined) return this.#fail(error);
    }
    return MORE_FRAMING;
  }

  #startLine(at: At): void {
    this.#at = at;
    this.#size = 0;
    this.#lineBytes = 0;
    this.#error = undefined;
  }

  #fail(error: ParseError): number {
    this.#error = error;
    return MORE_FRAMING;
  }

  #step(byte: number): ParseError | undefined {
    switch (this.#at) {
      case At.DataEnd:
        this.#at = At.DataEndLineFeed;
        return byte === CR ? undefined : BAD_CHUNK_END;
      case At.DataEndLineFeed:
        this.#at = At.SizeStart;
        return byte === LF ? undefined : BAD_CHUNK_END;
      case At.SizeStart:
      case At.Size:
        return this.#sizeByte(byte);
      default:
        return this.#extensionByte(byte);
    }
  }

  #sizeByte(byte: number): ParseError | undefined {
    if (++this.#lineBytes > this.#limits.maxChunkLineBytes) return LONG_LINE;
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (this.#size > MAX_BEFORE_DIGIT) return SIZE_OVERFLOW;
      this.#size = this.#size * 16 + digit;
      this.#at = At.Size;
      return undefined;
    }
    if (this.#at === At.SizeStart) return BAD_SIZE;
    if (byte === CR) this.#at = At.LineFeed;
    else if (byte === SEMICOLON) this.#at = At.ExtensionName;
    else return BAD_SIZE;
    return undefined;
  }

  /** `*( ";" chunk-ext-name [ "=" chunk-ext-val ] )` */
  #extensionByte(byte: number): ParseError | undefined {
    if (++this.#lineBytes > this.#limits.maxChunkLineBytes) return LONG_LINE;
    if (++this.#extensionBytes > this.#limits.maxChunkExtensionBytes) return MANY_EXTENSIONS;
    switch (this.#at) {
      case At.ExtensionName:
        this.#at = At.ExtensionNameRest;
        return TCHAR[byte] === 1 ? undefined : BAD_EXTENSION;
      case At.ExtensionNameRest:
        if (TCHAR[byte] === 1) return undefined;
        if (byte !== EQUALS) return this.#endOfExtension(byte);
        this.#at = At.ExtensionValue;
        return undefined;
      case At.ExtensionValue:
        this.#at = byte === QUOTE ? At.Quoted : At.ExtensionToken;
        return byte === QUOTE || TCHAR[byte] === 1 ? undefined : BAD_EXTENSION;
      case At.ExtensionToken:
        return TCHAR[byte] === 1 ? undefined : this.#endOfExtension(byte);
      case At.Quoted:
        if (byte === QUOTE) this.#at = At.QuotedEnd;
        else if (byte === BACKSLASH) this.#at = At.QuotedPair;
        return isQuotedText(byte) ? undefined : BAD_EXTENSION;
      case At.QuotedPair:
        this.#at = At.Quoted;
        return isQuotedText(byte) ? undefined : BAD_EXTENSION;
      default:
        return this.#endOfExtension(byte);
    }
  }

  #endOfExtension(byte: number): ParseError | undefined {
    if (byte === SEMICOLON) this.#at = At.ExtensionName;
    else if (byte === CR) this.#at = At.LineFeed;
    else return BAD_EXTENSION;
    return undefined;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Tab, space, visible ASCII, obs-text (RFC 9110 §5.6.4). */
function isQuotedText(byte: number): boolean {
  return byte === TAB || (byte >= 0x20 && byte !== 0x7f);
}
