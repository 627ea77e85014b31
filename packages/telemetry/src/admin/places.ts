import type { EventEmitter } from "node:events";
import { type Clock, systemClock } from "@heddle/base";

/** Places of which there are few; who finds none waits for its turn, for a while. */
export class Places {
  readonly #waitMs: number;
  readonly #clock: Clock;
  readonly #waiting: Set<() => void> = new Set();
  #free: number;

  constructor(count: number, waitMs: number, clock: Clock = systemClock) {
    this.#free = count;
    this.#waitMs = waitMs;
    this.#clock = clock;
  }

  /** False: there was none in time, or `asker` has closed meanwhile. Who has got one says so when it leaves. */
  take(asker: EventEmitter): Promise<boolean> {
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const end = (has: boolean): void => {
        timer.cancel();
        asker.off("close", giveUp);
        this.#waiting.delete(grant);
        resolve(has);
      };
      const grant = (): void => end(true);
      const giveUp = (): void => end(false);
      const timer = this.#clock.after(this.#waitMs, giveUp, true);
      asker.on("close", giveUp);
      this.#waiting.add(grant);
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free += 1;
    else next();
  }
}
