import { BUCKET_COUNT } from "./histogram-buckets.ts";
import type { Labels } from "./metrics.ts";
import type { SeriesGroup } from "./series-group.ts";

/*
 * How a thread's metrics are seen by another. A thread has blocks of numbers in shared memory that it alone writes, without
 * Atomics: a counter is one addition. A block is never grown; when it is full the thread appends another. Which series
 * lies in which slot is told in messages, made by the writing thread itself: it needs no answer before it counts, and the
 * reader only learns a little later of a series that has just begun.
 *
 * A slot is its place in all blocks of the thread, one after the other. A counter and a gauge have one; a histogram has
 * `HISTOGRAM_SLOTS` in one block: the buckets, then the sum.
 */

export const BLOCK_SLOTS = 4096;
export const HISTOGRAM_SLOTS = BUCKET_COUNT + 1;
export const SUM_SLOT = BUCKET_COUNT;

export type MetricKind = "counter" | "gauge" | "histogram";

/** A group of series (series-group.ts): its counters, then its gauges, a slot each. */
export interface GroupEntry {
  readonly slot: number;
  readonly kind: "group";
  /** Place among all groups that the thread has told of. */
  readonly group: number;
  readonly labels: Labels;
}

export interface SeriesEntry {
  readonly slot: number;
  readonly kind: MetricKind;
  readonly name: string;
  readonly labels: Labels;
}

/** What changed in a thread's table since its last message. */
export interface MetricsMessage {
  /** Appended to the thread's blocks. */
  readonly blocks: readonly SharedArrayBuffer[];
  /** Slots whose series is gone. They come before `added`, which may name one of them again later. */
  readonly retired: readonly number[];
  readonly added: readonly (SeriesEntry | GroupEntry)[];
  /** Appended to the groups that the thread has told of. */
  readonly groups: readonly SeriesGroup[];
}

export function slotsOf(kind: MetricKind): number {
  return kind === "histogram" ? HISTOGRAM_SLOTS : 1;
}

export function slotsOfGroup({ counters, gauges }: SeriesGroup): number {
  return counters.length + gauges.length;
}

/** Equal for the same name and labels, whatever the order of the labels. */
export function seriesKey(name: string, labels: Labels): string {
  return name + labelsKey(labels);
}

/** The part of a key that is the same for all series with these labels. */
export function labelsKey(labels: Labels): string {
  let key = "";
  for (const label of Object.keys(labels).sort()) key += `\0${label}\0${labels[label]}`;
  return key;
}
