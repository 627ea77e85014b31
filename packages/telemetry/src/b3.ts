/** B3 propagation (https://github.com/openzipkin/b3-propagation): one header, or four. */
export interface B3Context {
  /** 32 lower-case hex digits; an id of 64 bits is filled up with zeros on the left. */
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined: the sender leaves the decision to us. */
  readonly sampled: boolean | undefined;
}

const TRACE_ID = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/;
const SPAN_ID = /^[0-9a-f]{16}$/;

/** `b3: {trace id}-{span id}[-{sampling}[-{parent span id}]]`, or the sampling alone: then there is no context. */
export function parseB3(value: string): B3Context | undefined {
  const [traceId = "", spanId = "", sampled, ...more] = value.split("-");
  if (more.length > 1 || (more[0] !== undefined && !SPAN_ID.test(more[0]))) return undefined;
  return context(traceId, spanId, sampled, undefined);
}

/** The decision of `b3: 0`, `b3: 1` and `b3: d`, which carry nothing else. */
export function parseB3Decision(value: string | undefined): boolean | undefined {
  return value === undefined ? undefined : SAMPLED[value];
}

/** `x-b3-traceid`, `x-b3-spanid`, `x-b3-sampled`, `x-b3-flags` as they came. */
export function parseB3Multi(
  traceId: string | undefined,
  spanId: string | undefined,
  sampled: string | undefined,
  flags: string | undefined,
): B3Context | undefined {
  return traceId === undefined || spanId === undefined ? undefined : context(traceId, spanId, sampled, flags);
}

function context(
  traceId: string,
  spanId: string,
  sampled: string | undefined,
  flags: string | undefined,
): B3Context | undefined {
  if (!TRACE_ID.test(traceId) || !SPAN_ID.test(spanId)) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  // Debug ("d", flags 1) means sampled, whatever else is said.
  const decided = flags === "1" ? true : sampled === undefined ? undefined : SAMPLED[sampled];
  return { traceId: traceId.padStart(32, "0"), spanId, sampled: decided };
}

const SAMPLED: Readonly<Record<string, boolean | undefined>> = {
  __proto__: null as never,
  "1": true,
  d: true,
  true: true, // older senders
  "0": false,
  false: false,
};

export function formatB3(traceId: string, spanId: string, sampled: boolean, parentSpanId: string): string {
  return `${traceId}-${spanId}-${sampled ? "1" : "0"}${parentSpanId === "" ? "" : `-${parentSpanId}`}`;
}
