import { bucketOf } from "./histogram-buckets.ts";
import { LabelIndex } from "./label-index.ts";
import {
  BLOCK_SLOTS,
  type GroupEntry,
  type MetricKind,
  type MetricsMessage,
  type SeriesEntry,
  SUM_SLOT,
  seriesKey,
  slotsOf,
  slotsOfGroup,
} from "./metric-table.ts";
import type { Counter, Gauge, Histogram, Labels, MetricScope } from "./metrics.ts";
import { NOTHING, type SeriesGroup } from "./series-group.ts";

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
  readonly #seriesByLabel = new LabelIndex();
  readonly #blocks: Float64Array[] = [];
  readonly #free: Record<MetricKind, number[]> = { counter: [], gauge: [], histogram: [] };
  readonly #collected = new FinalizationRegistry<SeriesEntry>((entry) => this.#reclaim(entry));
  readonly #groups = new Map<SeriesGroup, number>();
  readonly #groupScopes = new Map<string, GroupScope>();
  readonly #groupsByLabel = new LabelIndex();
  /** Free slots of groups, by their number of slots. */
  readonly #freeGroups = new Map<number, number[]>();
  readonly #collectedGroups = new FinalizationRegistry<FreedGroup>((freed) => this.#reclaimGroup(freed));
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

  group(group: SeriesGroup, labels: Labels): MetricScope {
    const number = this.#groupNumber(group);
    const key = seriesKey(`${number}`, labels);
    const known = this.#groupScopes.get(key);
    if (known !== undefined) return known;
    const slots = slotsOfGroup(group);
    const slot = this.#freeGroups.get(slots)?.pop() ?? this.#allocate(slots);
    const block = this.#blocks[Math.floor(slot / BLOCK_SLOTS)]!; // the slot was allocated in it
    const at = (slot % BLOCK_SLOTS) * Float64Array.BYTES_PER_ELEMENT;
    const values = new Float64Array(block.buffer, at, slots);
    const scope = new GroupScope(this, group, labels, values, slot);
    this.#groupScopes.set(key, scope);
    this.#groupsByLabel.add(key, labels);
    this.#message.added.push({ slot, kind: "group", group: number, labels });
    this.#schedule();
    return scope;
  }

  /**
   * Ends every series that carries all these labels, of which there is at least one: `{ envoy_cluster_name: "x" }` once
   * cluster x is gone.
   */
  retire(labels: Labels): void {
    const wanted = Object.entries(labels);
    for (const key of this.#seriesByLabel.candidates(labels)) {
      const { entry, handle } = this.#series.get(key)!; // the index holds what the map holds
      if (!wanted.every(([label, value]) => entry.labels[label] === value)) continue;
      this.#series.delete(key);
      this.#seriesByLabel.delete(key, entry.labels);
      this.#retireSlot(entry.slot);
      this.#collected.register(handle, entry);
      this.#schedule();
    }
    for (const key of this.#groupsByLabel.candidates(labels)) {
      const scope = this.#groupScopes.get(key)!; // the index holds what the map holds
      if (!wanted.every(([label, value]) => scope.labels[label] === value)) continue;
      this.#groupScopes.delete(key);
      this.#groupsByLabel.delete(key, scope.labels);
      this.#retireSlot(scope.slot);
      // All of its handles hold the array, so that it is collected after the last of them.
      this.#collectedGroups.register(scope.end(), { slot: scope.slot, slots: slotsOfGroup(scope.definition) });
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
    this.#seriesByLabel.add(key, labels);
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

  /** In a message what is retired comes before what is added: one of which nobody has heard yet is not told of at all. */
  #retireSlot(slot: number): void {
    const unheard = this.#message.added.findIndex((entry) => entry.slot === slot);
    if (unheard === -1) this.#message.retired.push(slot);
    else this.#message.added.splice(unheard, 1);
  }

  #reclaimGroup({ slot, slots }: FreedGroup): void {
    const at = slot % BLOCK_SLOTS;
    this.#blocks[Math.floor(slot / BLOCK_SLOTS)]?.fill(0, at, at + slots);
    const free = this.#freeGroups.get(slots);
    if (free === undefined) this.#freeGroups.set(slots, [slot]);
    else free.push(slot);
  }

  #groupNumber(group: SeriesGroup): number {
    let number = this.#groups.get(group);
    if (number === undefined) {
      number = this.#groups.size;
      this.#groups.set(group, number);
      this.#message.groups.push(group);
    }
    return number;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      if (this.#scheduled) this.flush();
    });
  }
}

interface FreedGroup {
  readonly slot: number;
  readonly slots: number;
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

/** A histogram whose slots are taken with the first value. */
class LateHistogram implements Histogram {
  readonly #scope: GroupScope;
  readonly #name: string;
  #handle: Histogram | undefined;

  constructor(scope: GroupScope, name: string) {
    this.#scope = scope;
    this.#name = name;
  }

  record(value: number): void {
    this.#handle ??= this.#scope.makeHistogram(this.#name);
    this.#handle?.record(value);
  }
}

class GroupScope implements MetricScope {
  readonly definition: SeriesGroup;
  readonly labels: Labels;
  readonly slot: number;
  readonly #parent: MetricScope;
  readonly #values: Float64Array;
  #ended = false;

  constructor(parent: MetricScope, definition: SeriesGroup, labels: Labels, values: Float64Array, slot: number) {
    this.#parent = parent;
    this.definition = definition;
    this.labels = labels;
    this.#values = values;
    this.slot = slot;
  }

  counter(name: string): Counter {
    const place = this.definition.counters.indexOf(name);
    if (place !== -1) return new CounterHandle(this.#values, place);
    // A name that nobody could know before, such as that of a status code.
    return this.#ended ? NOTHING : this.#parent.counter(`${this.definition.prefix}.${name}`, this.labels);
  }

  gauge(name: string): Gauge {
    const { counters, gauges } = this.definition;
    return new GaugeHandle(this.#values, counters.length + placeOf(gauges, name));
  }

  histogram(name: string): Histogram {
    placeOf(this.definition.histograms, name);
    return new LateHistogram(this, name);
  }

  /** Undefined once the group has ended: nobody would take its series away again. */
  makeHistogram(name: string): Histogram | undefined {
    return this.#ended ? undefined : this.#parent.histogram(`${this.definition.prefix}.${name}`, this.labels);
  }

  scope(prefix: string, labels: Labels = {}): MetricScope {
    const inner = this.#parent.scope(`${this.definition.prefix}.${prefix}`, { ...this.labels, ...labels });
    return new ScopeOfGroup(this, inner);
  }

  group(): MetricScope {
    throw new TypeError("a group of series holds no other");
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The array that all of its handles hold. */
  end(): Float64Array {
    this.#ended = true;
    return this.#values;
  }
}

/** Series that are made while their group lives, and end with it: made later, nobody would take them away again. */
class ScopeOfGroup implements MetricScope {
  readonly #group: GroupScope;
  readonly #inner: MetricScope;

  constructor(group: GroupScope, inner: MetricScope) {
    this.#group = group;
    this.#inner = inner;
  }

  counter(name: string, labels?: Labels): Counter {
    return this.#group.ended ? NOTHING : this.#inner.counter(name, labels);
  }

  gauge(name: string, labels?: Labels): Gauge {
    return this.#group.ended ? NOTHING : this.#inner.gauge(name, labels);
  }

  histogram(name: string, labels?: Labels): Histogram {
    return this.#group.ended ? NOTHING : this.#inner.histogram(name, labels);
  }

  scope(prefix: string, labels?: Labels): MetricScope {
    return new ScopeOfGroup(this.#group, this.#inner.scope(prefix, labels));
  }

  group(): MetricScope {
    throw new TypeError("a group of series holds no other");
  }
}

function placeOf(names: readonly string[], name: string): number {
  const place = names.indexOf(name);
  if (place === -1) throw new TypeError(`${name} is not one of the group's series`);
  return place;
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

  group(): MetricScope {
    throw new TypeError("a group has a prefix of its own: ask the thread's metrics for it");
  }

  #with(labels: Labels | undefined): Labels {
    return labels === undefined ? this.#labels : { ...this.#labels, ...labels };
  }
}

function emptyMessage(): {
  blocks: SharedArrayBuffer[];
  retired: number[];
  added: (SeriesEntry | GroupEntry)[];
  groups: SeriesGroup[];
} {
  return { blocks: [], retired: [], added: [], groups: [] };
}
