import { BUCKET_COUNT } from "./histogram-buckets.ts";
import {
  BLOCK_SLOTS,
  type GroupEntry,
  labelsKey,
  type MetricKind,
  type MetricsMessage,
  type SeriesEntry,
  SUM_SLOT,
  seriesKey,
} from "./metric-table.ts";
import type { Labels } from "./metrics.ts";
import type { SeriesGroup } from "./series-group.ts";

/** One series over all threads. */
export interface SeriesValue {
  readonly kind: MetricKind;
  readonly name: string;
  readonly labels: Labels;
  /** Of a counter or gauge; of a histogram the count. */
  readonly value: number;
  /** Of a histogram only: counts by bucket (see histogram-buckets.ts), and the sum of all recorded values. */
  readonly buckets: Float64Array | undefined;
  readonly sum: number;
}

/**
 * All threads' metrics, read on the control thread. Values of different slots are read without a lock, so a sum may
 * be a moment ahead of its count.
 *
 * A counter never goes back when a worker dies: what it had counted is kept. Gauges of a dead worker are gone.
 */
export class MetricsRegistry {
  readonly #threads = new Map<number, ThreadTable>();
  /** Counters and histograms of threads that are gone. */
  readonly #kept = new Map<string, Total>();
  readonly #accepts: ((name: string, labels: Labels) => boolean) | undefined;
  /** Series that nobody wants to see. */
  readonly #unwanted = new Set<string>();

  /** `accepts`: whether a series is shown (Envoy's `stats_matcher`). Asked once for each. */
  constructor(accepts?: (name: string, labels: Labels) => boolean) {
    this.#accepts = accepts;
  }

  /** Applies a message of that thread. Threads are numbered by the caller; a replaced worker is a new thread. */
  receive(thread: number, message: MetricsMessage): void {
    let table = this.#threads.get(thread);
    if (table === undefined) {
      table = { blocks: [], series: new Map(), groups: [] };
      this.#threads.set(thread, table);
    }
    table.groups.push(...message.groups);
    for (const buffer of message.blocks) table.blocks.push(new Float64Array(buffer));
    for (const slot of message.retired) {
      const entry = table.series.get(slot);
      table.series.delete(slot);
      if (entry !== undefined) this.#forget(seriesOf(entry, table.groups));
    }
    for (const entry of message.added) {
      table.series.set(entry.slot, entry);
      if (this.#accepts === undefined) continue;
      for (const { name, labels } of namesOf(entry, table.groups)) {
        if (!this.#accepts(name, labels)) this.#unwanted.add(seriesKey(name, labels));
      }
    }
  }

  /** The thread has ended. */
  remove(thread: number): void {
    const table = this.#threads.get(thread);
    if (table === undefined) return;
    this.#threads.delete(thread);
    for (const entry of allOf(table)) {
      if (entry.kind !== "gauge") addTo(this.#kept, seriesKey(entry.name, entry.labels), entry, table.blocks);
    }
  }

  /** The sum over all series of that name, whatever their labels. Counters and gauges alone. */
  sum(name: string): number {
    let sum = 0;
    for (const kept of this.#kept.values()) if (kept.name === name) sum += kept.value;
    for (const table of this.#threads.values()) {
      const { blocks } = table;
      for (const entry of allOf(table)) {
        if (entry.name === name) sum += blocks[Math.floor(entry.slot / BLOCK_SLOTS)]?.[entry.slot % BLOCK_SLOTS] ?? 0;
      }
    }
    return sum;
  }

  /** Every series that is shown, sorted by name and labels. `all`: those that are not shown as well. */
  collect({ all = false }: { readonly all?: boolean } = {}): SeriesValue[] {
    const totals = new Map<string, Total>();
    for (const [key, kept] of this.#kept) totals.set(key, { ...kept, buckets: kept.buckets?.slice() });
    for (const table of this.#threads.values()) addAll(totals, table);
    for (const table of this.#threads.values()) addEmptyHistograms(totals, table);
    const hidden = all ? NONE : this.#unwanted;
    const keys = [...totals.keys()].filter((key) => !hidden.has(key)).sort();
    return keys.map((key) => toValue(totals.get(key)!)); // each key is of the map
  }

  /** What its owner has ended is forgotten by name too, once no thread has it. */
  #forget(entries: Iterable<SeriesEntry>): void {
    // Nothing is kept until a worker has died, so that this costs nothing.
    if (this.#kept.size === 0 && this.#unwanted.size === 0) return;
    for (const entry of entries) {
      const key = seriesKey(entry.name, entry.labels);
      if ((!this.#kept.has(key) && !this.#unwanted.has(key)) || this.#has(key)) continue;
      this.#kept.delete(key);
      this.#unwanted.delete(key);
    }
  }

  #has(key: string): boolean {
    for (const table of this.#threads.values()) {
      for (const other of allOf(table)) if (seriesKey(other.name, other.labels) === key) return true;
    }
    return false;
  }
}

const NONE: ReadonlySet<string> = new Set();

interface ThreadTable {
  readonly blocks: Float64Array[];
  readonly series: Map<number, SeriesEntry | GroupEntry>;
  readonly groups: SeriesGroup[];
}

/** The series of a thread, those of groups one by one. Histograms of groups have entries of their own once they have values. */
function* allOf({ series, groups }: ThreadTable): Iterable<SeriesEntry> {
  for (const entry of series.values()) {
    if (entry.kind === "group") yield* seriesOf(entry, groups);
    else yield entry;
  }
}

function* seriesOf(entry: SeriesEntry | GroupEntry, groups: readonly SeriesGroup[]): Iterable<SeriesEntry> {
  if (entry.kind !== "group") {
    yield entry;
    return;
  }
  const { prefix, counters, gauges } = groups[entry.group]!; // a group is told of before its entries
  let { slot } = entry;
  const { labels } = entry;
  for (const name of counters) yield { slot: slot++, kind: "counter", name: `${prefix}.${name}`, labels };
  for (const name of gauges) yield { slot: slot++, kind: "gauge", name: `${prefix}.${name}`, labels };
}

/** All names that an entry stands for, those of histograms as well. */
function* namesOf(
  entry: SeriesEntry | GroupEntry,
  groups: readonly SeriesGroup[],
): Iterable<{ readonly name: string; readonly labels: Labels }> {
  yield* seriesOf(entry, groups);
  if (entry.kind !== "group") return;
  const { prefix, histograms } = groups[entry.group]!; // as above
  for (const name of histograms) yield { name: `${prefix}.${name}`, labels: entry.labels };
}

/** Histograms of groups that nothing was recorded in are there all the same, empty. */
function addEmptyHistograms(totals: Map<string, Total>, { series, groups }: ThreadTable): void {
  for (const entry of series.values()) {
    if (entry.kind !== "group") continue;
    const { prefix, histograms } = groups[entry.group]!; // as above
    const { labels } = entry;
    const suffix = labelsKey(labels);
    for (const of of histograms) {
      const name = `${prefix}.${of}`;
      const key = name + suffix;
      if (!totals.has(key)) totals.set(key, { kind: "histogram", name, labels, value: 0, buckets: EMPTY_HISTOGRAM });
    }
  }
}

const EMPTY_HISTOGRAM = new Float64Array(BUCKET_COUNT);

interface Total {
  readonly kind: MetricKind;
  readonly name: string;
  readonly labels: Labels;
  /** Of a histogram the sum. */
  value: number;
  /** Of a histogram alone. */
  readonly buckets: Float64Array | undefined;
}

/** A look at ten thousand clusters passes here half a million times: what a group has in common is made once for it. */
function addAll(totals: Map<string, Total>, { series, groups, blocks }: ThreadTable): void {
  for (const entry of series.values()) {
    const { labels } = entry;
    const suffix = labelsKey(labels);
    if (entry.kind !== "group") {
      addTo(totals, entry.name + suffix, entry, blocks);
      continue;
    }
    const { prefix, counters, gauges } = groups[entry.group]!; // a group is told of before its entries
    const block = blocks[Math.floor(entry.slot / BLOCK_SLOTS)];
    let at = entry.slot % BLOCK_SLOTS;
    const add = (kind: "counter" | "gauge", of: string): void => {
      const name = `${prefix}.${of}`;
      const key = name + suffix;
      const value = block?.[at++] ?? 0;
      const total = totals.get(key);
      if (total === undefined) totals.set(key, { kind, name, labels, value, buckets: undefined });
      else if (total.kind === kind) total.value += value;
    };
    for (const name of counters) add("counter", name);
    for (const name of gauges) add("gauge", name);
  }
}

function addTo(
  totals: Map<string, Total>,
  key: string,
  { kind, name, labels, slot }: SeriesEntry,
  blocks: readonly Float64Array[],
): void {
  let total = totals.get(key);
  if (total === undefined) {
    const buckets = kind === "histogram" ? new Float64Array(BUCKET_COUNT) : undefined;
    total = { kind, name, labels, value: 0, buckets };
    totals.set(key, total);
  }
  if (total.kind !== kind) return; // one name, two kinds: whoever came first stays
  const block = blocks[Math.floor(slot / BLOCK_SLOTS)];
  const at = slot % BLOCK_SLOTS;
  if (total.buckets === undefined) total.value += block?.[at] ?? 0;
  else {
    for (let i = 0; i < BUCKET_COUNT; i++) total.buckets[i]! += block?.[at + i] ?? 0;
    total.value += block?.[at + SUM_SLOT] ?? 0;
  }
}

function toValue({ kind, name, labels, value, buckets }: Total): SeriesValue {
  if (buckets === undefined) return { kind, name, labels, value, buckets, sum: 0 };
  return { kind, name, labels, value: buckets.reduce((a, b) => a + b, 0), buckets, sum: value };
}
