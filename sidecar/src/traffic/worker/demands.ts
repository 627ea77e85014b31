import type { MetricScope } from "@heddle/telemetry";
import { type Demand, demandKey } from "@heddle/traffic";

/** Most exchanges of a worker that wait for something on demand. */
const MAX_WAITING = 1000;

/** Asks the control thread for what requests need and the configuration does not have. */
export interface Demands {
  /**
   * `onAnswer` is called once, when it has come or does not exist, and the configuration of that moment is in force; never from
   * within, and not after `cancel`. Undefined: too many wait.
   */
  ask(demand: Demand, onAnswer: () => void): { cancel(): void } | undefined;
}

/**
 * The demands of one worker. What many exchanges need is asked for once. An answer names the configuration with which it is true,
 * and counts when that has been applied.
 */
export class WorkerDemands implements Demands {
  readonly #tell: (demand: Demand) => void;
  readonly #waiting = new Map<string, Set<() => void>>();
  /** Answers to a configuration that has not been applied yet, by its generation. */
  #early: { readonly generation: number; readonly key: string }[] = [];
  #applied = 0;
  #count = 0;
  readonly #asked;
  readonly #overflow;

  constructor(metrics: MetricScope, tell: (demand: Demand) => void) {
    this.#tell = tell;
    this.#asked = metrics.counter("on_demand.requests");
    this.#overflow = metrics.counter("on_demand.overflow");
  }

  ask(demand: Demand, onAnswer: () => void): { cancel(): void } | undefined {
    if (this.#count >= MAX_WAITING) {
      this.#overflow.add();
      return undefined;
    }
    this.#asked.add();
    const key = demandKey(demand);
    const same = this.#waiting.get(key) ?? new Set();
    if (same.size === 0) {
      this.#waiting.set(key, same);
      this.#tell(demand);
    }
    const entry = (): void => onAnswer();
    same.add(entry);
    this.#count += 1;
    return {
      cancel: () => {
        if (!same.delete(entry)) return;
        this.#count -= 1;
        // The next one asks anew: the answer to this question may be older by then.
        if (same.size === 0 && this.#waiting.get(key) === same) this.#waiting.delete(key);
      },
    };
  }

  /** The control thread has answered; what it says is true with that generation. */
  answered(demand: Demand, generation: number): void {
    const key = demandKey(demand);
    if (generation <= this.#applied) this.#release(key);
    else this.#early.push({ generation, key });
  }

  /** That generation is in force. */
  applied(generation: number): void {
    this.#applied = generation;
    if (this.#early.length === 0) return;
    const due = this.#early.filter((one) => one.generation <= generation);
    this.#early = this.#early.filter((one) => one.generation > generation);
    for (const { key } of due) this.#release(key);
  }

  #release(key: string): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    this.#waiting.delete(key);
    this.#count -= waiting.size;
    for (const entry of Array.from(waiting)) if (waiting.delete(entry)) entry();
  }
}
