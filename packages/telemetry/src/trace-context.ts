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
const NO_DIGIT = 16;
/** By character: what a lower-case hex digit is worth, `NO_DIGIT` for anything else. */
const VALUES = new Uint8Array(256).fill(NO_DIGIT);
for (let value = 0; value < 16; value++) VALUES["0123456789abcdef".charCodeAt(value)] = value;
const digits = Buffer.alloc(4 * COMMON_LENGTH);
const ZERO_TRACE = "0".repeat(32);
const ZERO_SPAN = "0".repeat(16);

export interface Traceparent {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

export function parseTraceparent(value: string): Traceparent | undefined {
  return value.length === COMMON_LENGTH && value.startsWith("00-") ? parseVersion0(value) : parseAny(value);
}

/** Of version 00 with nothing behind it, as all are today: 0.15 µs, and 0.5 for the pattern. */
function parseVersion0(value: string): Traceparent | undefined {
  if (digits.write(value, 0, "utf8") !== COMMON_LENGTH) return undefined; // a character that is more than a byte, and no digit
  if (digits[35] !== DASH || digits[52] !== DASH) return undefined;
  const traceId = value.substring(3, 35);
  const spanId = value.substring(36, 52);
  if (!areDigits(3, 35) || !areDigits(36, 52) || !areDigits(53, 55)) return undefined;
  if (traceId === ZERO_TRACE || spanId === ZERO_SPAN) return undefined;
  return { traceId, spanId, sampled: (VALUES[digits[54]!]! & 1) === 1 }; // the last of 55, and a digit
}

function areDigits(from: number, to: number): boolean {
  let all = 0;
  for (let i = from; i < to; i++) all |= VALUES[digits[i]!]!; // as many as there are characters
  return all < NO_DIGIT;
}

function parseAny(value: string): Traceparent | undefined {
  const match = TRACEPARENT.exec(value);
  if (match === null) return undefined;
  const [, version, traceId = "", spanId = "", flags = "", more] = match;
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (traceId === ZERO_TRACE || spanId === ZERO_SPAN) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The `traceparent` that goes upstream: our span is its parent. */
export function formatTraceparent(context: TraceContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.sampled ? "01" : "00"}`;
}
