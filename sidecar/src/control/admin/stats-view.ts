import type { SeriesOrder, SeriesSource, SeriesValue, SeriesWalk, WalkOptions } from "@heddle/telemetry";
import { inSlices } from "@heddle/telemetry/admin";

/**
 * The series of all threads, read when somebody looks.
 *
 * Counters can be set to zero as far as this view goes. Nobody but the thread that counts may write a counter, so what it
 * had then is remembered and taken away.
 */
export class StatsView implements SeriesSource {
  readonly #source: SeriesSource;
  readonly look: () => Iterable<undefined>;
  /** Of counters, by name and labels: what they had when they were reset. */
  readonly #zero = new Map<string, number>();

  /** `look` brings up to date what is only counted when somebody looks; each `yield` is a place to pause. */
  constructor(source: SeriesSource, look: () => Iterable<undefined> = () => []) {
    this.#source = source;
    this.look = look;
  }

  walk(order: SeriesOrder, options?: Omit<WalkOptions, "hidden">): SeriesWalk {
    const all = this.#source.walk(order, options);
    return this.#zero.size === 0 ? all : this.#sinceResetAll(all);
  }

  async resetCounters(): Promise<void> {
    this.#zero.clear();
    await inSlices(this.#source.walk("name", { kinds: ["counter"] })[Symbol.iterator](), (series) => {
      if (series !== undefined && series.value > 0) this.#zero.set(keyOf(series), series.value);
      return true;
    });
  }

  *#sinceResetAll(all: SeriesWalk): SeriesWalk {
    for (const series of all) yield series && this.#sinceReset(series);
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
