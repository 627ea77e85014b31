import { performance } from "node:perf_hooks"; // the global one is an accessor, asked at each look at the time

/** A timer that has been started. `cancel` after it fired, or twice, does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * Time, as the rest of the code sees it. Only `systemClock` touches the process's timers (a lint rule bans them
 * elsewhere), so everything that waits can be tested with a clock turned by hand.
 */
export interface Clock {
  /** Monotonic milliseconds, with a fraction. For durations. */
  now(): number;
  /** Milliseconds since the Unix epoch. For logs and certificates; may jump. */
  wallNow(): number;
  /** Calls back once after `delayMs`, or some weeks if that is longer. Does not keep the process alive when `unref` is true. */
  after(delayMs: number, callback: () => void, unref?: boolean): Timer;
}

/** 24.8 days. Above it Node takes 1 ms, and writes a warning; and a client can ask for it (`grpc-timeout: 99999999H`). */
const MAX_DELAY_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(delayMs, callback, unref = false) {
    if (delayMs <= 0) return soon(callback, unref);
    const handle = setTimeout(callback, Math.min(delayMs, MAX_DELAY_MS));
    if (unref) handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Behind what the kernel has ready now. A timer of 0 would be one of 1 ms. */
function soon(callback: () => void, unref: boolean): Timer {
  const handle = setImmediate(callback);
  if (unref) handle.unref();
  return { cancel: () => clearImmediate(handle) };
}

/** A clock that moves only when told to. For tests. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #epochMs: number;
  #timers: ManualTimer[] = [];
  #order = 0;

  constructor(epochMs = Date.UTC(2026, 0, 1)) {
    this.#epochMs = epochMs;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#epochMs + this.#now;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  /** Timers that have neither fired nor been cancelled. A test that ends with any has leaked them. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Moves time forward, firing in order every timer that falls due, those set meanwhile included. */
  advance(byMs: number): void {
    const end = this.#now + byMs;
    for (;;) {
      let due: ManualTimer | undefined;
      for (const timer of this.#timers) {
        if (timer.at > end) continue;
        if (due === undefined || timer.at < due.at || (timer.at === due.at && timer.order < due.order)) due = timer;
      }
      if (due === undefined) break;
      const fired = due;
      this.#timers = this.#timers.filter((other) => other !== fired);
      this.#now = Math.max(this.#now, fired.at);
      fired.callback();
    }
    this.#now = end;
  }
}

interface ManualTimer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}
