import { bucketOf } from "./histogram-buckets.ts";
import {
  BLOCK_SLOTS,
  type MetricKind,
  type MetricsMessage,
  type SeriesEntry,
  SUM_SLOT,
  seriesKey,
  slotsOf,
} from "./metric-table.ts";
import type { Counter, Gauge, Histogram, Labels, MetricScope } from "./metrics.ts";

/**
 * The metrics of one thread, in shared memory (see metric-table.ts). `send` gets the table's changes, gathered until the
 * next tick; `MetricsRegistry.receive` is the other end.
 *
 * A series lives until `retire`. Its slot is given away again only after its handle has been collected, so a cluster that
 * is still draining cannot count into another's series.
 */
export class SharedMetrics implements MetricScope {
  readonly #send: (message: MetricsMessage) => void;
  readonly #series = new Map<string, Series>();
  readonly #blocks: Float64Array[] = [];
  readonly #free: Record<MetricKind, number[]> = { counter: [], gauge: [], histogram: [] };
  readonly #collected = new FinalizationRegistry<SeriesEntry>((entry) => this.#reclaim(entry));
  #next = 0;
  #message = emptyMessage();
  #scheduled = false;

  constructor(send: (message: MetricsMessage) => void) {
    this.#send = send;
  }

  counter(name: string, labels: Labels = {}): Counter {
    return this.#handle("counter", name, labels) as CounterHandle;
  }

  gauge(name: string, labels: Labels = {}): Gauge {
    return this.#handle("gauge", name, labels) as GaugeHandle;
  }

  histogram(name: string, labels: Labels = {}): Histogram {
    return this.#handle("histogram", name, labels) as HistogramHandle;
  }

  scope(prefix: string, labels: Labels = {}): MetricScope {
    return new PrefixedScope(this, prefix, labels);
  }

  /** Ends every series that carries all these labels: `{ envoy_cluster_name: "x" }` once cluster x is gone. */
  retire(labels: Labels): void {
    const wanted = Object.entries(labels);
    for (const [key, { entry, handle }] of this.#series) {
      if (!wanted.every(([label, value]) => entry.labels[label] === value)) continue;
      this.#series.delete(key);
      this.#message.retired.push(entry.slot);
      this.#collected.register(handle, entry);
      this.#schedule();
    }
  }

  /** Sends what has changed now, without waiting for the next tick. */
  flush(): void {
    this.#scheduled = false;
    const message = this.#message;
    if (message.blocks.length + message.added.length + message.retired.length === 0) return;
    this.#message = emptyMessage();
    this.#send(message);
  }

  #handle(kind: MetricKind, name: string, labels: Labels): Handle {
    const key = seriesKey(name, labels);
    const known = this.#series.get(key);
    if (known !== undefined) {
      if (known.entry.kind !== kind)
        throw new TypeError(`${name} is a ${known.entry.kind}, and was asked for as a ${kind}`);
      return known.handle;
    }
    const slot = this.#free[kind].pop() ?? this.#allocate(slotsOf(kind));
    const block = this.#blocks[Math.floor(slot / BLOCK_SLOTS)]!; // the slot was allocated in it
    const handle = new HANDLES[kind](block, slot % BLOCK_SLOTS);
    const entry = { slot, kind, name, labels };
    this.#series.set(key, { entry, handle });
    this.#message.added.push(entry);
    this.#schedule();
    return handle;
  }

  #allocate(slots: number): number {
    const left = this.#blocks.length * BLOCK_SLOTS - this.#next;
    if (left < slots) {
      // What is left of a block is left: at most the slots of one histogram.
      this.#next = this.#blocks.length * BLOCK_SLOTS;
      const buffer = new SharedArrayBuffer(BLOCK_SLOTS * Float64Array.BYTES_PER_ELEMENT);
      this.#blocks.push(new Float64Array(buffer));
      this.#message.blocks.push(buffer);
    }
    const slot = this.#next;
    this.#next += slots;
    return slot;
  }

  #reclaim(entry: SeriesEntry): void {
    const at = entry.slot % BLOCK_SLOTS;
    this.#blocks[Math.floor(entry.slot / BLOCK_SLOTS)]?.fill(0, at, at + slotsOf(entry.kind));
    this.#free[entry.kind].push(entry.slot);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      if (this.#scheduled) this.flush();
    });
  }
}

interface Series {
  readonly entry: SeriesEntry;
  readonly handle: Handle;
}

type Handle = CounterHandle | GaugeHandle | HistogramHandle;

class CounterHandle implements Counter {
  readonly #block: Float64Array;
  readonly #at: number;

  constructor(block: Float64Array, at: number) {
    this.#block = block;
    this.#at = at;
  }

  add(by = 1): void {
    this.#block[this.#at]! += by; // the slot lies in the block
  }
}

class GaugeHandle implements Gauge {
  readonly #block: Float64Array;
  readonly #at: number;

  constructor(block: Float64Array, at: number) {
    this.#block = block;
    this.#at = at;
  }

  set(to: number): void {
    this.#block[this.#at] = to;
  }

  add(by: number): void {
    this.#block[this.#at]! += by;
  }
}

class HistogramHandle implements Histogram {
  readonly #block: Float64Array;
  readonly #at: number;

  constructor(block: Float64Array, at: number) {
    this.#block = block;
    this.#at = at;
  }

  record(value: number): void {
    this.#block[this.#at + bucketOf(value)]! += 1;
    this.#block[this.#at + SUM_SLOT]! += value;
  }
}

const HANDLES = { counter: CounterHandle, gauge: GaugeHandle, histogram: HistogramHandle };

class PrefixedScope implements MetricScope {
  readonly #parent: MetricScope;
  readonly #prefix: string;
  readonly #labels: Labels;

  constructor(parent: MetricScope, prefix: string, labels: Labels) {
    this.#parent = parent;
    this.#prefix = prefix;
    this.#labels = labels;
  }

  counter(name: string, labels?: Labels): Counter {
    return this.#parent.counter(`${this.#prefix}.${name}`, this.#with(labels));
  }

  gauge(name: string, labels?: Labels): Gauge {
    return this.#parent.gauge(`${this.#prefix}.${name}`, this.#with(labels));
  }

  histogram(name: string, labels?: Labels): Histogram {
    return this.#parent.histogram(`${this.#prefix}.${name}`, this.#with(labels));
  }

  scope(prefix: string, labels?: Labels): MetricScope {
    return new PrefixedScope(this.#parent, `${this.#prefix}.${prefix}`, this.#with(labels));
  }

  #with(labels: Labels | undefined): Labels {
    return labels === undefined ? this.#labels : { ...this.#labels, ...labels };
  }
}

function emptyMessage(): { blocks: SharedArrayBuffer[]; retired: number[]; added: SeriesEntry[] } {
  return { blocks: [], retired: [], added: [] };
}
