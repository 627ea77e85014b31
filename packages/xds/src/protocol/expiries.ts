import type { Clock, Timer } from "@heddle/base";

/**
 * Names that are good for a time. One timer for all of them; setting a name again, as each heartbeat does, costs no timer:
 * one that rings too early looks again.
 */
export class Expiries {
  readonly #clock: Clock;
  readonly #onExpired: (names: readonly string[]) => void;
  readonly #atMs: Map<string, number> = new Map();
  #timer: Timer | undefined;
  #timerAtMs = 0;

  constructor(clock: Clock, onExpired: (names: readonly string[]) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** The name is good for so long from now on; without a time, for ever. */
  set(name: string, ttlMs: number | undefined): void {
    if (ttlMs === undefined) {
      this.delete(name);
      return;
    }
    const atMs = this.#clock.now() + ttlMs;
    this.#atMs.set(name, atMs);
    if (this.#timer === undefined || atMs < this.#timerAtMs) this.#schedule(atMs);
  }

  delete(name: string): void {
    if (this.#atMs.delete(name) && this.#atMs.size === 0) this.#cancel();
  }

  /** Forgets every name without a word. */
  clear(): void {
    this.#atMs.clear();
    this.#cancel();
  }

  #schedule(atMs: number): void {
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.#clock.after(Math.max(0, atMs - this.#clock.now()), () => this.#ring(), true);
  }

  #cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #ring(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.now();
    const expired: string[] = [];
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [name, atMs] of this.#atMs) {
      if (atMs <= nowMs) expired.push(name);
      else nextMs = Math.min(nextMs, atMs);
    }
    for (const name of expired) this.#atMs.delete(name);
    if (nextMs !== Number.POSITIVE_INFINITY) this.#schedule(nextMs);
    if (expired.length > 0) this.#onExpired(expired);
  }
}
