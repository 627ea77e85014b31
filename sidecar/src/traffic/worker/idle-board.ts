/** How many counts a worker has. Pools whose keys fall together add up; then a question may be asked in vain. */
export const IDLE_COUNTS = 1024;

/** The memory of a board for that many workers. All 0 in the beginning. */
export function newIdleBoard(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * IDLE_COUNTS * Int32Array.BYTES_PER_ELEMENT);
}

/** The worker in that slot is gone, and its connections with it. */
export function clearIdleCounts(board: SharedArrayBuffer, slot: number): void {
  rowOf(board, slot).fill(0);
}

/**
 * How many idle connections each worker has, by pool, where all workers see it: so that nobody is asked who has none. A
 * hint, not a promise: what is read may be gone when it is asked for.
 *
 * Each row has one writer, its worker, so that adding needs no atomic operation.
 */
export class IdleBoard {
  readonly #rows: readonly Int32Array[];
  readonly #own: Int32Array;

  constructor(board: SharedArrayBuffer, ownSlot: number) {
    const workers = board.byteLength / Int32Array.BYTES_PER_ELEMENT / IDLE_COUNTS;
    this.#rows = Array.from({ length: workers }, (_, slot) => rowOf(board, slot));
    this.#own = rowOf(board, ownSlot);
  }

  add(place: number, change: 1 | -1): void {
    this.#own[place]! += change; // places come from `placeOf`
  }

  idle(slot: number, place: number): number {
    const row = this.#rows[slot];
    return row === undefined ? 0 : Atomics.load(row, place);
  }
}

/** The same in every worker (FNV-1a). */
export function placeOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % IDLE_COUNTS;
}

function rowOf(board: SharedArrayBuffer, slot: number): Int32Array {
  return new Int32Array(board, slot * IDLE_COUNTS * Int32Array.BYTES_PER_ELEMENT, IDLE_COUNTS);
}
