import type { HeaderMap } from "@heddle/http";
import {
  formatB3,
  formatTraceparent,
  parseB3,
  parseB3Decision,
  parseB3Multi,
  parseTraceparent,
  type TraceContext,
} from "@heddle/telemetry";
import type { Propagator } from "@heddle/traffic";

/** What a request says about the trace that it belongs to. */
export interface ParentContext {
  /** "" where only a decision came. */
  readonly traceId: string;
  readonly spanId: string;
  /** Undefined: it is left to us. */
  readonly sampled: boolean | undefined;
  readonly traceState: string;
}

/** The first of these forms that a request has. */
export function extractContext(headers: HeaderMap, propagators: readonly Propagator[]): ParentContext | undefined {
  for (const propagator of propagators) {
    const found = EXTRACT[propagator](headers);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Writes the context in all of these forms; the span of `context` is the next one's parent. */
export function injectContext(headers: HeaderMap, context: TraceContext, propagators: readonly Propagator[]): void {
  for (const propagator of propagators) INJECT[propagator](headers, context);
}

const EXTRACT: Readonly<Record<Propagator, (headers: HeaderMap) => ParentContext | undefined>> = {
  w3c(headers) {
    const value = headers.get("traceparent");
    const parent = value === undefined ? undefined : parseTraceparent(value);
    return parent && { ...parent, traceState: headers.joined("tracestate") ?? "" };
  },
  b3(headers) {
    const value = headers.get("b3");
    if (value === undefined) return undefined;
    const parent = parseB3(value);
    if (parent !== undefined) return { ...parent, traceState: "" };
    const sampled = parseB3Decision(value);
    return sampled === undefined ? undefined : { traceId: "", spanId: "", sampled, traceState: "" };
  },
  b3multi(headers) {
    const sampled = headers.get("x-b3-sampled");
    const flags = headers.get("x-b3-flags");
    const parent = parseB3Multi(headers.get("x-b3-traceid"), headers.get("x-b3-spanid"), sampled, flags);
    if (parent !== undefined) return { ...parent, traceState: "" };
    const decision = flags === "1" ? true : parseB3Decision(sampled);
    return decision === undefined ? undefined : { traceId: "", spanId: "", sampled: decision, traceState: "" };
  },
};

const INJECT: Readonly<Record<Propagator, (headers: HeaderMap, context: TraceContext) => void>> = {
  w3c(headers, context) {
    headers.set("traceparent", formatTraceparent(context));
    // §3.3: the state belongs to the trace; one that came with a parent that is not valid goes.
    if (context.traceState === "") headers.remove("tracestate");
    else headers.set("tracestate", context.traceState);
  },
  b3(headers, { traceId, spanId, sampled, parentSpanId }) {
    headers.set("b3", formatB3(traceId, spanId, sampled, parentSpanId));
  },
  b3multi(headers, { traceId, spanId, sampled, parentSpanId }) {
    headers.set("x-b3-traceid", traceId);
    headers.set("x-b3-spanid", spanId);
    if (parentSpanId === "") headers.remove("x-b3-parentspanid");
    else headers.set("x-b3-parentspanid", parentSpanId);
    headers.set("x-b3-sampled", sampled ? "1" : "0");
    headers.remove("x-b3-flags");
  },
};
