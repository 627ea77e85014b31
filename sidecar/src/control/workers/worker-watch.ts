import { readCode } from "@heddle/filter";
import type { WatchdogConfig } from "@heddle/traffic";
import { Vital } from "../../traffic/overload/vitals.ts";

/** What a look at a worker has found that the look before had not. */
export type WatchEvent = "miss" | "megamiss" | "kill" | "recovered";

/** Samples of the delay; the least of them counts, so that one pause (a garbage collection, a blocked moment) is no overload. */
const DELAY_SAMPLES = 5;

/**
 * The control thread's eye on one worker: it asks, looks at the next look whether the answer has come, and counts how long none
 * has. Time is counted in looks, not by the clock: while the machine sleeps nobody looks, and nobody has been silent.
 */
export class WorkerWatch {
  readonly vitals: SharedArrayBuffer;
  readonly #cells: Int32Array;
  readonly #config: WatchdogConfig;
  readonly #killAfterMs: number;
  readonly #names = new Map<number, string>();
  readonly #delays: number[] = [];
  #started = false;
  #asked = 0;
  #silentMs = 0;
  #told: "nothing" | "miss" | "megamiss" | "kill" = "nothing";

  /** `random`: 0 to below 1; spreads the ends of many that block at once. */
  constructor(vitals: SharedArrayBuffer, config: WatchdogConfig, random: () => number) {
    this.vitals = vitals;
    this.#cells = new Int32Array(vitals);
    this.#config = config;
    const { killTimeoutMs, maxKillTimeoutJitterMs } = config;
    this.#killAfterMs = killTimeoutMs === 0 ? Infinity : killTimeoutMs + random() * maxKillTimeoutJitterMs;
  }

  /** Silent for longer than `megamiss_timeout`. */
  get blocked(): boolean {
    return this.#told === "megamiss" || this.#told === "kill";
  }

  get silentMs(): number {
    return this.#silentMs;
  }

  /** The filter and the phase that run now, or "" where it is none of a filter. */
  get running(): string {
    const code = readCode(Atomics.load(this.#cells, Vital.running));
    return code === undefined ? "" : `${this.#names.get(code.id) ?? `filter ${code.id}`} ${code.phase}`;
  }

  /** By how much it was late at least, in each of the last looks; 0 until there are enough of them. */
  get delayMs(): number {
    return this.#delays.length < DELAY_SAMPLES ? 0 : Math.min(...this.#delays);
  }

  /** 0 to 1. */
  get heapShare(): number {
    return Atomics.load(this.#cells, Vital.heapUsed) / 1000;
  }

  /** The worker runs; what it takes to start is not counted. */
  begin(): void {
    this.#started = true;
  }

  name(id: number, name: string): void {
    this.#names.set(id, name);
  }

  set(cell: number, value: number): void {
    Atomics.store(this.#cells, cell, value);
  }

  get(cell: number): number {
    return Atomics.load(this.#cells, cell);
  }

  /** One look, `intervalMs` after the one before. `ask` puts the next question, once the last is answered. */
  look(intervalMs: number, ask: (id: number) => void): WatchEvent | undefined {
    if (!this.#started) return undefined;
    if (Atomics.load(this.#cells, Vital.answered) === this.#asked) {
      if (this.#asked > 0) this.#note(Atomics.load(this.#cells, Vital.delayMs));
      this.#silentMs = 0;
      ask(++this.#asked);
      const recovered = this.blocked;
      this.#told = "nothing";
      return recovered ? "recovered" : undefined;
    }
    this.#silentMs += intervalMs;
    const { missTimeoutMs, megamissTimeoutMs } = this.#config;
    if (this.#told !== "kill" && this.#silentMs >= this.#killAfterMs) return this.#tell("kill");
    if (!this.blocked && this.#silentMs >= megamissTimeoutMs) return this.#tell("megamiss");
    if (this.#told === "nothing" && this.#silentMs >= missTimeoutMs) return this.#tell("miss");
    return undefined;
  }

  #tell(event: "miss" | "megamiss" | "kill"): WatchEvent {
    this.#told = event;
    return event;
  }

  #note(delayMs: number): void {
    if (this.#delays.length === DELAY_SAMPLES) this.#delays.shift();
    this.#delays.push(delayMs);
  }
}
