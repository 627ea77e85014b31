import type { Clock } from "./clock.ts";

/** Hears of what a callback has thrown; it must not throw itself. */
export type OnThrow = (error: unknown) => void;

/** A clock whose callbacks cannot end the thread: what they throw goes to `onThrow`. */
export function guardedClock(clock: Clock, onThrow: OnThrow): Clock {
  return {
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    after: (delayMs, callback, unref) => clock.after(delayMs, guarded(callback, onThrow), unref),
  };
}

/** For callbacks of sockets, ports and the like: a function that does the same and never throws. */
export function guarded<Parameters extends readonly unknown[]>(
  callback: (...parameters: Parameters) => void,
  onThrow: OnThrow,
): (...parameters: Parameters) => void {
  return (...parameters) => {
    try {
      callback(...parameters);
    } catch (error) {
      onThrow(error);
    }
  };
}

/**
 * Where something was thrown: the innermost frames of its stack, without the message, which may differ each time. What is
 * no Error has no place of its own.
 */
export function placeOfThrow(error: unknown): string {
  const stack = error instanceof Error ? error.stack : undefined;
  if (stack === undefined) return `not an Error: ${typeof error}`;
  const frames = stack.split("\n").filter((line) => line.startsWith("    at "));
  return frames.length === 0 ? stack : frames.slice(0, PLACE_FRAMES).join("\n");
}

const PLACE_FRAMES = 4;

/**
 * Says of each distinct place once that it threw, with its stack: an error that comes with every request would fill the disk.
 * Remembers a bounded number of places, and is silent about what is new beyond them.
 */
export class ThrowPlaces {
  readonly #seen = new Set<string>();

  /** Whether this place has not been told of yet. */
  isNew(error: unknown): boolean {
    if (this.#seen.size >= MAX_PLACES) return false;
    const place = placeOfThrow(error);
    if (this.#seen.has(place)) return false;
    this.#seen.add(place);
    return true;
  }
}

const MAX_PLACES = 100;
