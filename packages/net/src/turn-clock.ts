import type { Clock, Timer } from "@heddle/base";
import { callbackNumber } from "./flush-queue.ts";

/** A jump of the wall clock is seen so much later at most. */
const WALL_HOLDS_MS = 100;

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
  /** From the monotonic to the wall clock, and until when that holds. */
  #wallOffset = 0;
  #wallUntil = -Infinity;

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
    const now = this.now();
    if (now >= this.#wallUntil) {
      this.#wallOffset = this.#clock.wallNow() - now;
      this.#wallUntil = now + WALL_HOLDS_MS;
    }
    return Math.floor(now + this.#wallOffset + 0.001); // what is a whole number up to rounding stays one
  }

  after(delayMs: number, callback: () => void, unref?: boolean): Timer {
    return this.#clock.after(delayMs, callback, unref);
  }
}
