import { type Clock, systemClock } from "@heddle/base";

/** What all pages together may do in one turn of the event loop, which they share with ACKs, health checks and everything else. */
const SLICE_MS = 4;
/** How many share a turn. */
let running = 0;

/** Calls `take` with what is there, some milliseconds' worth at a time, until it answers false or there is no more. */
export async function inSlices<T>(
  items: Iterator<T>,
  take: (item: T) => boolean,
  clock: Clock = systemClock,
): Promise<void> {
  running += 1;
  try {
    for (;;) {
      const endMs = clock.now() + SLICE_MS / running;
      do {
        const { value, done } = items.next();
        if (done === true || !take(value)) return;
      } while (clock.now() < endMs);
      await nextTurn(clock);
    }
  } finally {
    running -= 1;
  }
}

/** Lets go on what waits. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.after(0, resolve);
  });
}

/** What begins with the first item that is one; undefined where there is none. For who has to know before it answers. */
export async function beginOf<T>(
  items: Iterable<T | undefined>,
  clock: Clock = systemClock,
): Promise<Iterable<T | undefined> | undefined> {
  const iterator = items[Symbol.iterator]();
  let first: T | undefined;
  await inSlices(
    iterator,
    (item) => {
      first = item;
      return item === undefined;
    },
    clock,
  );
  return first === undefined ? undefined : continued(first, iterator);
}

function* continued<T>(first: T, rest: Iterator<T | undefined>): Generator<T | undefined> {
  yield first;
  for (let next = rest.next(); next.done !== true; next = rest.next()) yield next.value;
}
