import { BUCKET_COUNT } from "./histogram-buckets.ts";
import {
  BLOCK_SLOTS,
  type GroupEntry,
  type MetricsMessage,
  type SeriesEntry,
  SUM_SLOT,
  seriesKey,
} from "./metric-table.ts";
import type { Labels } from "./metrics.ts";
import type { SeriesGroup } from "./series-group.ts";
import {
  type KeptSeries,
  type SeriesOrder,
  type SeriesValue,
  type SeriesWalk,
  type WalkOptions,
  walkSeries,
} from "./series-walk.ts";

/**
 * All threads' metrics, read on the control thread. Values of different slots are read without a lock, so a sum may
 * be a moment ahead of its count.
 *
 * A counter never goes back when a worker dies: what it had counted is kept. Gauges of a dead worker are gone.
 */
export class MetricsRegistry {
  readonly #threads = new Map<number, ThreadTable>();
  /** Counters and histograms of threads that are gone. */
  #kept: ReadonlyMap<string, KeptSeries> = new Map();
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
    const kept = new Map(this.#kept); // somebody may be walking over the one before
    for (const entry of allOf(table)) {
      if (entry.kind !== "gauge") keep(kept, seriesKey(entry.name, entry.labels), entry, table.blocks);
    }
    this.#kept = kept;
  }

  /** The sum over all series of that name, whatever their labels. Counters and gauges alone. */
  sum(name: string): number {
    let sum = 0;
    for (const kept of this.#kept.values()) if (kept.name === name) sum += kept.value;
    for (const { series, groups, blocks } of this.#threads.values()) {
      const offsets = groups.map((group) => offsetOf(group, name));
      for (const entry of series.values()) {
        const offset = entry.kind === "group" ? offsets[entry.group] : entry.name === name ? 0 : undefined;
        if (offset === undefined) continue;
        sum += blocks[Math.floor(entry.slot / BLOCK_SLOTS)]?.[(entry.slot % BLOCK_SLOTS) + offset] ?? 0;
      }
    }
    return sum;
  }

  /** Every series that is shown, one by one; what is counted meanwhile may or may not be in what comes later. */
  walk(order: SeriesOrder, options: Omit<WalkOptions, "hidden"> = {}): SeriesWalk {
    return this.#walk(order, { ...options, hidden: this.#unwanted });
  }

  /** Every series that is shown, sorted by name and labels. `all`: those that are not shown as well. */
  collect({ all = false }: { readonly all?: boolean } = {}): SeriesValue[] {
    const series: SeriesValue[] = [];
    for (const one of this.#walk("name", all ? {} : { hidden: this.#unwanted }))
      if (one !== undefined) series.push(one);
    return series;
  }

  /** What there is at this moment; a thread that ends later is read to the end all the same. */
  #walk(order: SeriesOrder, options: WalkOptions): SeriesWalk {
    const threads = [...this.#threads.values()].map(({ series, groups, blocks }) => ({
      entries: [...series.values()],
      living: series,
      groups,
      blocks,
    }));
    return walkSeries(threads, this.#kept.values(), order, options);
  }

  /** What its owner has ended is forgotten by name too, once no thread has it. */
  #forget(entries: Iterable<SeriesEntry>): void {
    // Nothing is kept until a worker has died, so that this costs nothing.
    if (this.#kept.size === 0 && this.#unwanted.size === 0) return;
    let kept: Map<string, KeptSeries> | undefined; // somebody may be walking over the one before
    for (const entry of entries) {
      const key = seriesKey(entry.name, entry.labels);
      if ((!this.#kept.has(key) && !this.#unwanted.has(key)) || this.#has(key)) continue;
      kept ??= new Map(this.#kept);
      kept.delete(key);
      this.#unwanted.delete(key);
    }
    if (kept !== undefined) this.#kept = kept;
  }

  #has(key: string): boolean {
    for (const table of this.#threads.values()) {
      for (const other of allOf(table)) if (seriesKey(other.name, other.labels) === key) return true;
    }
    return false;
  }
}

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

/** Where a group has that name, from its slot on; undefined where it has not. */
function offsetOf({ prefix, counters, gauges }: SeriesGroup, name: string): number | undefined {
  if (!name.startsWith(`${prefix}.`)) return undefined;
  const member = name.slice(prefix.length + 1);
  const counter = counters.indexOf(member);
  if (counter !== -1) return counter;
  const gauge = gauges.indexOf(member);
  return gauge === -1 ? undefined : counters.length + gauge;
}

/** Adds what a thread had counted to what is kept; the one before stays as it was. */
function keep(
  kept: Map<string, KeptSeries>,
  key: string,
  { kind, name, labels, slot }: SeriesEntry,
  blocks: readonly Float64Array[],
): void {
  const before = kept.get(key);
  if (before !== undefined && before.kind !== kind) return; // one name, two kinds: whoever came first stays
  const block = blocks[Math.floor(slot / BLOCK_SLOTS)];
  const at = slot % BLOCK_SLOTS;
  if (kind !== "histogram") {
    kept.set(key, { kind, name, labels, value: (before?.value ?? 0) + (block?.[at] ?? 0), buckets: undefined });
    return;
  }
  const buckets = before?.buckets?.slice() ?? new Float64Array(BUCKET_COUNT);
  for (let i = 0; i < BUCKET_COUNT; i++) buckets[i]! += block?.[at + i] ?? 0;
  kept.set(key, { kind, name, labels, value: (before?.value ?? 0) + (block?.[at + SUM_SLOT] ?? 0), buckets });
}
