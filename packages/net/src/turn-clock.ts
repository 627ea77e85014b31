import type { Clock, Timer } from "@heddle/base";
import { callbackNumber } from "./flush-queue.ts";

/**
 * A clock that is read once for each callback of a connection, and stands still until the callback has returned.
 * Elsewhere (timers, promises) it is the clock beneath it.
 *
 * One request asks for the time some fifteen times, at 40 ns each; of one callback all the answers are the same moment.
 */
export class TurnClock implements Clock {
  readonly #clock: Clock;
  #callback = -1;
  #now = 0;
  #wallCallback = -1;
  #wallNow = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    const callback = callbackNumber();
    if (callback === -1) return this.#clock.now();
    if (callback !== this.#callback) {
      this.#callback = callback;
      this.#now = this.#clock.now();
    }
    return this.#now;
  }

  wallNow(): number {
    const callback = callbackNumber();
    if (callback === -1) return this.#clock.wallNow();
    if (callback !== this.#wallCallback) {
      this.#wallCallback = callback;
      this.#wallNow = this.#clock.wallNow();
    }
    return this.#wallNow;
  }

  after(delayMs: number, callback: () => void, unref?: boolean): Timer {
    return this.#clock.after(delayMs, callback, unref);
  }
}
