import { BUCKET_COUNT } from "./histogram-buckets.ts";
import {
  BLOCK_SLOTS,
  type GroupEntry,
  labelsKey,
  type MetricKind,
  type SeriesEntry,
  SUM_SLOT,
} from "./metric-table.ts";
import type { Labels } from "./metrics.ts";
import type { SeriesGroup } from "./series-group.ts";
import { compareText, sortInSlices } from "./sort-in-slices.ts";
import { statName, statStem } from "./stat-names.ts";

/*
 * All series of all threads, one after the other, without ever holding all of them: ten thousand clusters have half a million.
 * Every walk has places to pause (`undefined`), so that whoever walks can let other work go on; what is retired or begins
 * meanwhile may be missed or be seen for the last time, as in any look that takes a while.
 */

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

/** `undefined` is a place to pause. */
export type SeriesWalk = Iterable<SeriesValue | undefined>;

/** "name": by name, then labels. "shown": by the dotted name that `/stats` shows. */
export type SeriesOrder = "name" | "shown";

export interface WalkOptions {
  /** All where left out. */
  readonly kinds?: readonly MetricKind[];
  /** Of series that nobody wants to see, their keys. */
  readonly hidden?: ReadonlySet<string>;
  /** By "name": what is of one family comes together, families in the order of these names. */
  readonly familyOf?: (name: string) => string;
}

/** One thread's series. */
export interface WalkedThread {
  /** As they were when the walk began. */
  readonly entries: readonly (SeriesEntry | GroupEntry)[];
  /** By slot, as they are: the slot of one that is retired meanwhile may be another's. */
  readonly living: ReadonlyMap<number, SeriesEntry | GroupEntry>;
  readonly groups: readonly SeriesGroup[];
  readonly blocks: readonly Float64Array[];
}

/** What a thread that is gone had counted. */
export interface KeptSeries {
  readonly kind: MetricKind;
  readonly name: string;
  readonly labels: Labels;
  /** Of a histogram the sum. */
  readonly value: number;
  /** Of a histogram alone. */
  readonly buckets: Float64Array | undefined;
}

export function* walkSeries(
  threads: readonly WalkedThread[],
  kept: Iterable<KeptSeries>,
  order: SeriesOrder,
  { kinds = ALL_KINDS, hidden = NONE, familyOf }: WalkOptions = {},
): Generator<SeriesValue | undefined> {
  const tables = yield* tablesOf(threads, kept);
  const walk = order === "name" ? walkByName(tables, kinds, familyOf) : walkAsShown(tables, kinds);
  if (hidden.size === 0) yield* walk;
  else
    for (const one of walk) yield one !== undefined && hidden.has(one.name + labelsKey(one.labels)) ? undefined : one;
}

const ALL_KINDS: readonly MetricKind[] = ["counter", "gauge", "histogram"];
const NONE: ReadonlySet<string> = new Set();

/** Those that have one set of labels in a table, over all threads. */
interface Bearer {
  readonly labels: Labels;
  readonly suffix: string;
  readonly places: Place[];
  readonly kept: KeptSeries[];
}

interface Place {
  readonly blocks: readonly Float64Array[];
  readonly entry: SeriesEntry | GroupEntry;
  readonly living: WalkedThread["living"];
}

/** Series of one name, or of one group, by their labels. */
interface Table {
  /** Of a group: its prefix. */
  readonly name: string;
  /** Of a group, whatever it holds: see `members`. */
  readonly kind: MetricKind | "group";
  readonly members: readonly Member[];
  readonly bearers: Map<string, Bearer>;
}

/** A name that every bearer of a table has. */
interface Member {
  readonly name: string;
  readonly kind: MetricKind;
  /** From the bearer's slot; undefined of a histogram of a group, which has a table of its own once it has values. */
  readonly offset: number | undefined;
}

const PAUSE_EVERY = 256;

function* tablesOf(threads: readonly WalkedThread[], kept: Iterable<KeptSeries>): Generator<undefined, Table[]> {
  const tables = new Map<string, Table>();
  const single = (name: string, kind: MetricKind): Table => {
    const key = `${kind}\0${name}`;
    let table = tables.get(key);
    if (table === undefined) {
      table = { name, kind, members: [{ name, kind, offset: 0 }], bearers: new Map() };
      tables.set(key, table);
    }
    return table;
  };
  let seen = 0;
  for (const { entries, living, groups, blocks } of threads) {
    const ofGroup = groups.map((group) => tableOfGroup(tables, group));
    for (const entry of entries) {
      const table = entry.kind === "group" ? ofGroup[entry.group]! : single(entry.name, entry.kind); // told of before its entries
      bearerOf(table, entry.labels).places.push({ blocks, entry, living });
      if (++seen % PAUSE_EVERY === 0) yield;
    }
  }
  for (const one of kept) {
    bearerOf(single(one.name, one.kind), one.labels).kept.push(one);
    if (++seen % PAUSE_EVERY === 0) yield;
  }
  return [...tables.values()];
}

/** Equal groups of two threads are one table. */
function tableOfGroup(tables: Map<string, Table>, group: SeriesGroup): Table {
  const { prefix, counters, gauges, histograms } = group;
  const key = JSON.stringify([prefix, counters, gauges, histograms]);
  let table = tables.get(key);
  if (table === undefined) {
    const slots = [
      ...counters.map((name) => ["counter", name] as const),
      ...gauges.map((name) => ["gauge", name] as const),
    ];
    const members: Member[] = slots.map(([kind, name], offset) => ({ name: `${prefix}.${name}`, kind, offset }));
    for (const name of histograms) members.push({ name: `${prefix}.${name}`, kind: "histogram", offset: undefined });
    table = { name: prefix, kind: "group", members, bearers: new Map() };
    tables.set(key, table);
  }
  return table;
}

function bearerOf({ bearers }: Table, labels: Labels): Bearer {
  const suffix = labelsKey(labels);
  let bearer = bearers.get(suffix);
  if (bearer === undefined) {
    bearer = { labels, suffix, places: [], kept: [] };
    bearers.set(suffix, bearer);
  }
  return bearer;
}

/** One table's part of a name: its bearers in the order of their labels. */
interface Source {
  readonly member: Member;
  readonly bearers: readonly Bearer[];
}

function* walkByName(
  tables: readonly Table[],
  kinds: readonly MetricKind[],
  familyOf: (name: string) => string = (name) => name,
): Generator<SeriesValue | undefined> {
  const sources = new Map<string, Source[]>();
  for (const { members, bearers } of tables) {
    const sorted = yield* sortInSlices([...bearers.values()], ({ suffix }) => suffix);
    for (const member of members) {
      if (!kinds.includes(member.kind)) continue;
      const ofName = sources.get(member.name);
      if (ofName === undefined) sources.set(member.name, [{ member, bearers: sorted }]);
      else ofName.push({ member, bearers: sorted });
    }
  }
  const names = [...sources.keys()].map((name) => ({ name, family: familyOf(name) }));
  names.sort((a, b) => compareText(a.family, b.family) || compareText(a.name, b.name));
  for (const { name } of names) yield* walkName(sources.get(name)!); // each name is of the map
}

/** Goes through the sources side by side: what has equal labels is one series. */
function* walkName(sources: readonly Source[]): Generator<SeriesValue> {
  const at = sources.map(() => 0);
  for (;;) {
    let least: string | undefined;
    for (const [index, { bearers }] of sources.entries()) {
      const suffix = bearers[at[index]!]?.suffix;
      if (suffix !== undefined && (least === undefined || suffix < least)) least = suffix;
    }
    if (least === undefined) return;
    let value: SeriesValue | undefined;
    for (const [index, { member, bearers }] of sources.entries()) {
      const bearer = bearers[at[index]!];
      if (bearer?.suffix !== least) continue;
      at[index]! += 1;
      const own = read(member, bearer);
      if (own !== undefined) value = joined(value, own);
    }
    if (value !== undefined) yield value;
  }
}

/** What a bearer shows sorts behind its stem: so no more waits than what begins with the same names. */
function* walkAsShown(tables: readonly Table[], kinds: readonly MetricKind[]): Generator<SeriesValue | undefined> {
  const stems: Stem[] = [];
  for (const { name, kind, members, bearers } of tables) {
    const wanted = members.filter((member) => kinds.includes(member.kind));
    if (wanted.length === 0) continue;
    for (const bearer of bearers.values()) {
      stems.push({ text: (kind === "group" ? statStem : statName)(name, bearer.labels), members: wanted, bearer });
      if (stems.length % PAUSE_EVERY === 0) yield;
    }
  }
  let waiting: Shown[] = [];
  for (const { text, members, bearer } of yield* sortInSlices(stems, (stem) => stem.text)) {
    const first = waiting.findIndex(({ shown }) => shown >= text);
    const ready = first === -1 ? waiting : waiting.slice(0, first);
    waiting = first === -1 ? [] : waiting.slice(first);
    yield* joinEqual(ready);
    for (const member of members) {
      const value = read(member, bearer);
      if (value !== undefined) waiting.push({ shown: statName(member.name, bearer.labels), value });
    }
    waiting.sort((a, b) => compareText(a.shown, b.shown));
    yield;
  }
  yield* joinEqual(waiting);
}

interface Stem {
  readonly text: string;
  readonly members: readonly Member[];
  readonly bearer: Bearer;
}

interface Shown {
  readonly shown: string;
  readonly value: SeriesValue;
}

/** Neighbours of one name are one series: of two threads, or of two labels that are shown alike, as in Envoy. */
function* joinEqual(sorted: readonly Shown[]): Generator<SeriesValue> {
  let last: Shown | undefined;
  for (const next of sorted) {
    if (last?.shown === next.shown) last = { shown: last.shown, value: joined(last.value, next.value) };
    else {
      if (last !== undefined) yield last.value;
      last = next;
    }
  }
  if (last !== undefined) yield last.value;
}

const EMPTY_HISTOGRAM = new Float64Array(BUCKET_COUNT);

/** Undefined: it has been retired since the walk began. */
function read({ name, kind, offset }: Member, { labels, places, kept }: Bearer): SeriesValue | undefined {
  let isThere = kept.length > 0;
  const buckets = kind !== "histogram" ? undefined : new Float64Array(offset === undefined ? 0 : BUCKET_COUNT);
  let value = 0;
  for (const one of kept) {
    value += one.value;
    one.buckets?.forEach((count, index) => {
      buckets![index]! += count; // what is kept of a histogram is one
    });
  }
  for (const { blocks, entry, living } of places) {
    const { slot } = entry;
    if (living.get(slot) !== entry) continue;
    isThere = true;
    if (offset === undefined) continue;
    const block = blocks[Math.floor(slot / BLOCK_SLOTS)];
    const at = slot % BLOCK_SLOTS;
    value += block?.[at + (buckets === undefined ? offset : SUM_SLOT)] ?? 0;
    if (buckets !== undefined) for (let i = 0; i < BUCKET_COUNT; i++) buckets[i]! += block?.[at + i] ?? 0;
  }
  if (!isThere) return undefined;
  if (buckets === undefined) return { kind, name, labels, value, buckets, sum: 0 };
  if (offset === undefined) return { kind, name, labels, value: 0, buckets: EMPTY_HISTOGRAM, sum: 0 };
  return { kind, name, labels, value: buckets.reduce((a, b) => a + b, 0), buckets, sum: value };
}

/** One name, two kinds: whoever came first stays. */
function joined(a: SeriesValue | undefined, b: SeriesValue): SeriesValue {
  if (a === undefined) return b;
  if (a.kind !== b.kind) return a;
  const buckets = a.buckets === undefined || b.buckets === undefined ? undefined : addBuckets(a.buckets, b.buckets);
  return { ...a, value: a.value + b.value, buckets, sum: a.sum + b.sum };
}

function addBuckets(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((count, index) => count + (b[index] ?? 0));
}
