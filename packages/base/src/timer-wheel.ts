import type { Clock, Timer } from "./clock.ts";
import type { OnThrow } from "./guard.ts";

/**
 * A timer of a wheel. It is its own place in the wheel's lists, so that starting and cancelling allocate nothing: an
 * owner makes it once and uses it again and again. Subclasses say what happens; or `callbackTimer` makes one of a function.
 */
export abstract class WheelTimer {
  /** @internal Neighbours in the list of a slot; undefined while the timer is not running. */
  next: Link | undefined = undefined;
  /** @internal */
  previous: Link | undefined = undefined;
  /** @internal The tick at which it falls due. */
  dueTick = 0;

  get running(): boolean {
    return this.next !== undefined;
  }

  /** Called once when the time is up. The timer is no longer running and may be started again. */
  abstract onTimeout(): void;
}

export function callbackTimer(callback: () => void): WheelTimer {
  return new CallbackTimer(callback);
}

class CallbackTimer extends WheelTimer {
  readonly #callback: () => void;

  constructor(callback: () => void) {
    super();
    this.#callback = callback;
  }

  onTimeout(): void {
    this.#callback();
  }
}

/** The beginning of a list that ends where it begins. */
class ListHead {
  next: Link = this;
  previous: Link = this;
}

type Link = ListHead | WheelTimer;

/**
 * Coarse timers for thousands of exchanges and connections on one timer of the clock. Starting, restarting and
 * cancelling are O(1) and touch no timer of the process, except when a start is the earliest of all.
 *
 * A timer fires never early and at most one resolution late (plus what the event loop is late). Time is cut into ticks;
 * tick t belongs to slot t modulo the number of slots. A timer that is more than one turn away stays in its slot and is
 * looked at once a turn.
 *
 *     slots   0    1    2    3  …  511  (0)
 *             │         │
 *             a ↔ b     c ↔ (d, due in a later turn)
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #resolutionMs: number;
  readonly #slots: readonly ListHead[] = Array.from({ length: SLOTS }, () => new ListHead());
  readonly #startedAt: number;
  readonly #onThrow: OnThrow | undefined;
  /** All ticks up to this one have been served. */
  #servedTick = 0;
  #running = 0;
  #wakeup: Timer | undefined;
  #wakeupTick = Infinity;

  /**
   * 50 ms is fine enough for every timeout that a user states, and 25.6 s a turn. What a timer throws goes to `onThrow`;
   * without one it goes on to the clock's caller, and the rest fires with the next tick.
   */
  constructor(clock: Clock, resolutionMs = 50, onThrow?: OnThrow) {
    this.#onThrow = onThrow;
    this.#clock = clock;
    this.#resolutionMs = resolutionMs;
    this.#startedAt = clock.now();
  }

  /** Timers that are running. */
  get running(): number {
    return this.#running;
  }

  /** Starts a timer, or starts it anew if it is running. */
  start(timer: WheelTimer, delayMs: number): void {
    if (timer.running) unlink(timer);
    else this.#running++;
    const now = this.#clock.now() - this.#startedAt;
    const tick = Math.max(this.#servedTick + 1, Math.ceil((now + delayMs) / this.#resolutionMs));
    timer.dueTick = tick;
    linkLast(this.#slots[tick % SLOTS]!, timer);
    if (tick < this.#wakeupTick) this.#wakeAt(tick);
  }

  /** Does nothing if the timer is not running. */
  cancel(timer: WheelTimer): void {
    if (!timer.running) return;
    unlink(timer);
    this.#running--;
  }

  /** Gives the clock's timer back. Running timers do not fire any more, until another one is started. */
  stop(): void {
    this.#wakeup?.cancel();
    this.#wakeup = undefined;
    this.#wakeupTick = Infinity;
  }

  /** Timers do not keep the process alive: what they watch does. */
  #wakeAt(tick: number): void {
    this.#wakeup?.cancel();
    this.#wakeupTick = tick;
    const delayMs = this.#startedAt + tick * this.#resolutionMs - this.#clock.now();
    this.#wakeup = this.#clock.after(Math.max(0, Math.ceil(delayMs)), this.#serve, true);
  }

  readonly #serve = (): void => {
    this.#wakeup = undefined;
    this.#wakeupTick = Infinity;
    const nowTick = Math.floor((this.#clock.now() - this.#startedAt) / this.#resolutionMs);
    const due = this.#takeDue(nowTick);
    try {
      // One by one, since each may cancel or start others, those of this list included.
      for (let timer = due.next; timer instanceof WheelTimer; timer = due.next) {
        unlink(timer);
        this.#running--;
        this.#fire(timer);
      }
    } finally {
      this.#putBack(due);
      if (this.#running > 0) this.#wakeForEarliest();
    }
  };

  #fire(timer: WheelTimer): void {
    if (this.#onThrow === undefined) {
      timer.onTimeout();
      return;
    }
    try {
      timer.onTimeout();
    } catch (error) {
      this.#onThrow(error);
    }
  }

  /** Moves everything due up to `nowTick` into one list, in the order of ticks. */
  #takeDue(nowTick: number): ListHead {
    const due = new ListHead();
    const first = Math.max(this.#servedTick + 1, nowTick - SLOTS + 1); // after a long sleep every slot once is enough
    for (let tick = first; tick <= nowTick; tick++) {
      const slot = this.#slots[tick % SLOTS]!;
      for (let link = slot.next; link instanceof WheelTimer; ) {
        const timer = link;
        link = link.next!; // running timers have neighbours
        if (timer.dueTick > nowTick) continue;
        unlink(timer);
        linkLast(due, timer);
      }
    }
    this.#servedTick = Math.max(this.#servedTick, nowTick);
    return due;
  }

  /** After a callback threw, the rest fires with the next tick rather than never. */
  #putBack(due: ListHead): void {
    const tick = this.#servedTick + 1;
    for (let timer = due.next; timer instanceof WheelTimer; timer = due.next) {
      unlink(timer);
      timer.dueTick = tick;
      linkLast(this.#slots[tick % SLOTS]!, timer);
    }
  }

  #wakeForEarliest(): void {
    for (let tick = this.#servedTick + 1; tick <= this.#servedTick + SLOTS; tick++) {
      if (this.#slots[tick % SLOTS]!.next instanceof WheelTimer) {
        if (tick < this.#wakeupTick) this.#wakeAt(tick);
        return;
      }
    }
  }
}

const SLOTS = 512;

function linkLast(head: ListHead, timer: WheelTimer): void {
  const last = head.previous;
  timer.previous = last;
  timer.next = head;
  last.next = timer;
  head.previous = timer;
}

function unlink(timer: WheelTimer): void {
  timer.previous!.next = timer.next!; // only running timers are unlinked
  timer.next!.previous = timer.previous!;
  timer.next = undefined;
  timer.previous = undefined;
}
