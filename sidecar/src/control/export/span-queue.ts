import type { Clock, Timer } from "@heddle/base";
import type { Counter, Log, MetricScope, SpanRecord } from "@heddle/telemetry";

/** Sends spans to wherever their receiver is now. Rejects with the reason why they did not arrive. */
export type SendSpans = (spans: readonly SpanRecord[]) => Promise<void>;

/** Envoy's defaults of `tracing.opentelemetry.min_flush_spans` and `…flush_interval_ms`. */
const FLUSH_AT = 5;
const FLUSH_AFTER_MS = 5000;
/** One export is under way at a time; meanwhile spans gather, and this many go with the next. */
const MAX_BATCH = 512;
const MAX_QUEUED = 4096;
const CLOSE_WITHIN_MS = 2000;

/**
 * The spans of one provider that wait to be exported. Bounded: while the receiver is slow or away, what does not fit is dropped and
 * counted, and so is what an export failed with. It is said once when exports begin to fail, and once when they succeed again.
 */
export class SpanQueue {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #send: SendSpans;
  readonly #sent: Counter;
  readonly #dropped: Counter;
  readonly #timerFlushed: Counter;
  #queue: SpanRecord[] = [];
  #sending: Promise<void> | undefined;
  #timer: Timer | undefined;
  #failing = false;
  #closed = false;

  /** `name`: "opentelemetry" or "zipkin", in metrics and log. */
  constructor(name: string, send: SendSpans, env: { clock: Clock; log: Log; metrics: MetricScope }) {
    this.#name = name;
    this.#clock = env.clock;
    this.#log = env.log;
    this.#send = send;
    const scope = env.metrics.scope(`tracing.${name}`);
    this.#sent = scope.counter("spans_sent");
    this.#dropped = scope.counter("spans_dropped");
    this.#timerFlushed = scope.counter("timer_flushed");
  }

  add(spans: readonly SpanRecord[]): void {
    const room = this.#closed ? 0 : MAX_QUEUED - this.#queue.length;
    for (let i = 0; i < spans.length && i < room; i++) this.#queue.push(spans[i]!); // i is below the length
    if (spans.length > room) this.#dropped.add(spans.length - Math.max(0, room));
    if (this.#sending !== undefined || this.#queue.length === 0) return;
    if (this.#queue.length >= FLUSH_AT) this.#flush();
    else {
      this.#timer ??= this.#clock.after(
        FLUSH_AFTER_MS,
        () => {
          this.#timerFlushed.add();
          this.#flush();
        },
        true,
      );
    }
  }

  /** Sends what waits, within a time, and takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    const patience = Promise.withResolvers<void>();
    const timer = this.#clock.after(CLOSE_WITHIN_MS, () => patience.resolve());
    const emptied = (async () => {
      while (this.#sending !== undefined || this.#queue.length > 0) {
        if (this.#sending === undefined) this.#flush();
        await this.#sending;
      }
    })();
    await Promise.race([emptied, patience.promise]);
    timer.cancel();
    this.#timer?.cancel();
    this.#dropped.add(this.#queue.length);
    this.#queue = [];
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const batch = this.#queue.splice(0, MAX_BATCH);
    if (batch.length === 0) return;
    this.#sending = this.#send(batch).then(
      () => this.#ended(batch.length, undefined),
      (error: unknown) => this.#ended(batch.length, error instanceof Error ? error : new Error("it was not taken")),
    );
  }

  #ended(count: number, error: Error | undefined): void {
    this.#sending = undefined;
    if (error === undefined) {
      this.#sent.add(count);
      if (this.#failing) this.#log.info("spans are exported again", { tracer: this.#name });
    } else {
      this.#dropped.add(count);
      if (!this.#failing) {
        this.#log.warn("spans cannot be exported and are dropped", { tracer: this.#name, reason: error.message });
      }
    }
    this.#failing = error !== undefined;
    this.add([]); // what has come meanwhile
  }
}
