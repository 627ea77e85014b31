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
