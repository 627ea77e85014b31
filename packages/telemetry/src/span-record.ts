/** A span that has ended, as it goes from a traffic worker to the thread that exports it: plain data, text mostly. */
export interface SpanRecord {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits. */
  readonly spanId: string;
  /** "" where the trace begins here. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  readonly kind: "server" | "client";
  /** Milliseconds since the Unix epoch, with a fraction. */
  readonly startWallMs: number;
  readonly durationMs: number;
  readonly isError: boolean;
  /** Name, value, name, value. All values are text, as Envoy's tags are. */
  readonly attributes: readonly string[];
}
