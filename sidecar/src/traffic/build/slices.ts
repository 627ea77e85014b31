import type { Clock } from "@heddle/base";

/** What a worker may spend on its configuration between two turns of traffic. */
export const SLICE_MS = 1;

/** Cuts long work into slices, between which traffic is served. */
export class Slices {
  /** Not the clock of a turn: time has to pass within one. */
  readonly clock: Clock;
  #endMs: number;

  constructor(clock: Clock) {
    this.clock = clock;
    this.#endMs = clock.now() + SLICE_MS;
  }

  /** Of the slice; 0 or less when it is time for `next`. */
  get leftMs(): number {
    return this.#endMs - this.clock.now();
  }

  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#endMs = this.clock.now() + SLICE_MS;
  }
}
