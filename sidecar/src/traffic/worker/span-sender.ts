import type { Clock, Timer } from "@heddle/base";
import type { Counter, MetricScope, SpanRecord } from "@heddle/telemetry";
import type { SpanSink } from "../http/tracing/span-sink.ts";

/** Spans of one provider on their way to the control thread. */
export interface SpanBatch {
  /** JSON of the `TracingProvider`. */
  readonly provider: string;
  readonly spans: readonly SpanRecord[];
}

/** Spans that are gathered or on their way, at most: some MB where the control thread takes none. */
const MAX_UNTAKEN = 4096;
const SEND_AT = 256;
const SEND_AFTER_MS = 100;

/**
 * Hands spans to the control thread in batches. That thread says when it has taken one; what would make more than
 * `MAX_UNTAKEN` wait is dropped and counted, so that a control thread that is busy costs spans and no memory.
 */
export class SpanSender implements SpanSink {
  readonly #send: (batches: readonly SpanBatch[]) => void;
  readonly #clock: Clock;
  readonly #dropped: Counter;
  #gathered = new Map<string, SpanRecord[]>();
  #count = 0;
  #untaken = 0;
  #timer: Timer | undefined;

  constructor(clock: Clock, metrics: MetricScope, send: (batches: readonly SpanBatch[]) => void) {
    this.#clock = clock;
    this.#send = send;
    this.#dropped = metrics.counter("tracing.spans_dropped");
  }

  add(provider: string, span: SpanRecord): void {
    if (this.#untaken >= MAX_UNTAKEN) {
      this.#dropped.add();
      return;
    }
    this.#untaken++;
    const spans = this.#gathered.get(provider);
    if (spans === undefined) this.#gathered.set(provider, [span]);
    else spans.push(span);
    if (++this.#count >= SEND_AT) this.flush();
    else this.#timer ??= this.#clock.after(SEND_AFTER_MS, () => this.flush(), true);
  }

  /** The control thread has taken that many. */
  taken(count: number): void {
    this.#untaken -= count;
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#count === 0) return;
    const batches = [...this.#gathered].map(([provider, spans]) => ({ provider, spans }));
    this.#gathered = new Map();
    this.#count = 0;
    this.#send(batches);
  }
}
