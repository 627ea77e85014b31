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

/** Gives random bytes as lower-case hex; injected, so that tests know the ids. */
export type RandomHex = (bytes: number) => string;

// Version, trace id, parent id, flags. A version above 00 may have more behind another dash (§3.2.2, §4.3).
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZERO_TRACE = "0".repeat(32);
const ZERO_SPAN = "0".repeat(16);
const MAX_STATE_LENGTH = 512;

/**
 * The context of a span of ours whose caller sent this `traceparent` and `tracestate`. A `traceparent` that is absent or
 * invalid begins a new trace, and what `tracestate` says is then dropped (§3.3: it must not be used without).
 */
export function continueTrace(
  traceparent: string | undefined,
  tracestate: string | undefined,
  randomHex: RandomHex,
  sampleNew: boolean,
): TraceContext {
  const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent);
  const spanId = nonZero(randomHex, 8);
  if (parent === undefined)
    return { traceId: nonZero(randomHex, 16), spanId, parentSpanId: "", sampled: sampleNew, traceState: "" };
  // Longer ones may be dropped (§3.3.1.5), never cut.
  const traceState = tracestate !== undefined && tracestate.length <= MAX_STATE_LENGTH ? tracestate : "";
  return { traceId: parent.traceId, spanId, parentSpanId: parent.spanId, sampled: parent.sampled, traceState };
}

export interface Traceparent {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
}

export function parseTraceparent(value: string): Traceparent | undefined {
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

function nonZero(randomHex: RandomHex, bytes: number): string {
  for (;;) {
    const hex = randomHex(bytes);
    if (!/^0+$/.test(hex)) return hex;
  }
}
