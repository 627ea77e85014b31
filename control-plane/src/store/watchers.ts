import type { StoreUpdate, StoreWatcher } from "./store.ts";

/** Those who follow a store. */
export class Watchers {
  readonly #watchers = new Set<{ readonly watcher: StoreWatcher }>();

  add(watcher: StoreWatcher): () => void {
    const seat = { watcher }; // of its own: the same function may watch twice
    this.#watchers.add(seat);
    return () => void this.#watchers.delete(seat);
  }

  tell(update: StoreUpdate): void {
    const now = Array.from(this.#watchers); // who comes during a step has seen what it brought
    for (const seat of now) if (this.#watchers.has(seat)) seat.watcher(update);
  }

  clear(): void {
    this.#watchers.clear();
  }
}
