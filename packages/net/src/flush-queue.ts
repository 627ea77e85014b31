/** What can be flushed. `flush` must not throw. */
export interface Flushable {
  flush(): void;
}

/*
 * Which connections of this thread have gathered output, and when it leaves.
 *
 * Output that is made while a socket's callback runs leaves when that callback ends; output that is made elsewhere (a timer,
 * a promise) leaves on the next tick. Flushing explicitly at a callback's end rather than always on the next tick saves
 * some 4 % of what a byte-copying proxy costs (bench/micro/connection.ts).
 */
let depth = 0;
let callbacks = 0;
let ticking = false;
let dirty: (Flushable | undefined)[] = [];
let spare: (Flushable | undefined)[] = [];
/** How many of `dirty` are meant. Lists keep their length: setting it is a call into the engine, twice a request. */
let dirtyCount = 0;

/** To be called once when a connection begins to gather. */
export function scheduleFlush(connection: Flushable): void {
  dirty[dirtyCount++] = connection;
  if (depth === 0 && !ticking) {
    ticking = true;
    process.nextTick(flushOnTick);
  }
}

/** Brackets a callback from a socket; every `enterCallback` is followed by a `leaveCallback`. */
export function enterCallback(): void {
  if (depth++ === 0) callbacks = (callbacks + 1) & 0x3fff_ffff; // a small integer, which is never boxed
}

export function leaveCallback(): void {
  if (--depth === 0) flushAll();
}

/** Which callback runs now: the same number as long as the outermost one has not returned; -1 outside of callbacks. */
export function callbackNumber(): number {
  return depth === 0 ? -1 : callbacks;
}

function flushOnTick(): void {
  ticking = false;
  flushAll();
}

function flushAll(): void {
  // A flush may make others write (a failed write, say), so this goes on until nobody is dirty.
  while (dirtyCount > 0) {
    const now = dirty;
    const count = dirtyCount;
    dirty = spare;
    dirtyCount = 0;
    for (let i = 0; i < count; i++) {
      now[i]!.flush(); // below the count
      now[i] = undefined;
    }
    spare = now;
  }
}
