import type { SeriesValue } from "@heddle/telemetry";

/**
 * The series of all threads, collected when somebody looks.
 *
 * Counters can be set to zero as far as this view goes. Nobody but the thread that counts may write a counter, so what it
 * had then is remembered and taken away.
 */
export class StatsView {
  readonly #collect: () => readonly SeriesValue[];
  /** Of counters, by name and labels: what they had when they were reset. */
  readonly #zero = new Map<string, number>();

  constructor(collect: () => readonly SeriesValue[]) {
    this.#collect = collect;
  }

  collect(): readonly SeriesValue[] {
    const all = this.#collect();
    return this.#zero.size === 0 ? all : all.map((series) => this.#sinceReset(series));
  }

  resetCounters(): void {
    this.#zero.clear();
    for (const series of this.#collect()) {
      if (series.kind === "counter" && series.value > 0) this.#zero.set(keyOf(series), series.value);
    }
  }

  #sinceReset(series: SeriesValue): SeriesValue {
    const zero = this.#zero.get(keyOf(series));
    if (zero === undefined || series.kind !== "counter") return series;
    if (series.value >= zero) return { ...series, value: series.value - zero };
    this.#zero.delete(keyOf(series)); // the series has ended meanwhile and begun anew
    return series;
  }
}

function keyOf({ name, labels }: SeriesValue): string {
  return JSON.stringify([name, labels]);
}
