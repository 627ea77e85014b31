import { Buffer } from "node:buffer"; // the global one is an accessor

/** W3C Trace Context (https://www.w3.org/TR/trace-context/), level 1. */
export interface TraceContext {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string;
  /** Of our own span: 16 lower-case hex digits, not all zero. Goes upstream as the parent. */
  readonly spanId: string;
  /** Of the caller; "" where we began the trace. */
  readonly parentSpanId: string;
  readonly sampled: boolean;
  /** As it came; "" where there was none. */
  readonly traceState: string;
}

// Version, trace id, parent id, flags. A version above 00 may have more behind another dash (§3.2.2, §4.3).
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** Of version 00. */
const COMMON_LENGTH = 55;
const DASH = 0x2d;
const ZERO = 0x30;
const ZEROS = 0x30303030;
const bytes = Buffer.alloc(4 * COMMON_LENGTH);
const words = new Int32Array(bytes.buffer, bytes.byteOffset, Math.ceil(COMMON_LENGTH / 4));
const ZERO_TRACE = "0".repeat(32);
const ZERO_SPAN = "0".repeat(16);

export interface Traceparent {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

export function parseTraceparent(value: string): Traceparent | undefined {
  if (!isTraceparent(value)) return undefined;
  return { traceId: value.substring(3, 35), spanId: value.substring(36, 52), sampled: isSampled(value) };
}

/** Whether it is one that may be continued. Every version has the ids at the places that they have in this one. */
export function isTraceparent(value: string): boolean {
  return value.length === COMMON_LENGTH && value.startsWith("00-") ? isVersion0(value) : isAny(value);
}

/** What such a `traceparent` says of whether its trace is recorded. */
export function isSampled(traceparent: string): boolean {
  return (Number.parseInt(traceparent[54]!, 16) & 1) === 1; // the last of 55, and a digit
}

/** Of version 00 with nothing behind it, as all are today. Four characters at a time: a fifth of the pattern's instructions. */
function isVersion0(value: string): boolean {
  if (bytes.write(value, 0, "utf8") !== COMMON_LENGTH) return false; // a character that is more than a byte, and no digit
  if (bytes[35] !== DASH || bytes[52] !== DASH) return false;
  // What is no digit becomes one: then the ids and the flags begin and end with words.
  bytes[0] = bytes[1] = bytes[2] = bytes[35] = bytes[52] = bytes[55] = ZERO;
  let trace = 0;
  let span = 0;
  let bad = notHex(words[13]!);
  for (let i = 0; i < 9; i++) {
    const four = words[i]!; // there are 14
    trace |= four ^ ZEROS;
    bad |= notHex(four);
  }
  for (let i = 9; i < 13; i++) {
    const four = words[i]!;
    span |= four ^ ZEROS;
    bad |= notHex(four);
  }
  return bad === 0 && trace !== 0 && span !== 0;
}

/**
 * 0 if each of four bytes is a lower-case hex digit. What is added lifts a byte to 0x80 from that character on: 0, what
 * follows 9, a, what follows f. A byte above 0x7f would carry over, and is bad by itself.
 */
function notHex(four: number): number {
  const isDigit = (four + 0x50505050) & ~(four + 0x46464646);
  const isLetter = (four + 0x1f1f1f1f) & ~(four + 0x19191919);
  return (four | ~(isDigit | isLetter)) & HIGH_BITS;
}

const HIGH_BITS = 0x80808080 | 0;

function isAny(value: string): boolean {
  const match = TRACEPARENT.exec(value);
  if (match === null) return false;
  const [, version, traceId, spanId, , more] = match;
  if (version === "ff" || (version === "00" && more !== undefined)) return false;
  return traceId !== ZERO_TRACE && spanId !== ZERO_SPAN;
}

/** The `traceparent` that goes upstream: our span is its parent. */
export function formatTraceparent(context: TraceContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.sampled ? "01" : "00"}`;
}
