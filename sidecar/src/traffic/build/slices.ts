import { getHeapStatistics } from "node:v8";
import type { Clock } from "@heddle/base";

/** What a worker may spend on its configuration between two turns of traffic. */
export const SLICE_MS = 1;

/**
 * What slices may leave in the young generation before it is collected, in a turn of its own. Configuration stays, so a collection
 * copies nearly all that has been made of it since the last, and once more all that the last one has copied: 1 ms with this, twice that
 * with 1 MiB. Where V8 waits until the young generation is full, it is 5 MiB in one go.
 */
export const COLLECT_AFTER_BYTES = 512 * 1024;

/** The heap of this thread. */
export interface CollectedHeap {
  usedBytes(): number;
  /** Its young generation, at once. */
  collectYoung(): void;
}

/** Cuts long work into slices, between which traffic is served. */
export class Slices {
  /** Not the clock of a turn: time has to pass within one. */
  readonly clock: Clock;
  readonly #heap: CollectedHeap | undefined;
  #endMs: number;
  /** The least that has been used since the last collection: traffic, too, has the heap collected. */
  #collectedBytes: number;

  /** @param heap undefined: V8 alone says when it is collected. */
  constructor(clock: Clock, heap: CollectedHeap | undefined = ownHeap()) {
    this.clock = clock;
    this.#heap = heap;
    this.#endMs = clock.now() + SLICE_MS;
    this.#collectedBytes = heap?.usedBytes() ?? 0;
  }

  /** Of the slice; 0 or less when it is time for `next`. */
  get leftMs(): number {
    return this.#endMs - this.clock.now();
  }

  async next(): Promise<void> {
    await nextTurn();
    if (this.#heap !== undefined && this.#collects(this.#heap)) await nextTurn();
    this.#endMs = this.clock.now() + SLICE_MS;
  }

  #collects(heap: CollectedHeap): boolean {
    const usedBytes = heap.usedBytes();
    this.#collectedBytes = Math.min(this.#collectedBytes, usedBytes);
    if (usedBytes < this.#collectedBytes + COLLECT_AFTER_BYTES) return false;
    heap.collectYoung();
    this.#collectedBytes = heap.usedBytes();
    return true;
  }
}

/** Undefined where the process was not started so that it can be asked for (`NODE_FLAGS`). */
function ownHeap(): CollectedHeap | undefined {
  const { gc } = globalThis;
  return (
    gc && {
      usedBytes: () => getHeapStatistics().used_heap_size, // some 10 µs
      collectYoung: () => gc({ type: "minor", execution: "sync" }),
    }
  );
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
