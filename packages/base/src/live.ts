/**
 * A value with one writer and many readers. A reader takes `current` once per unit of work and keeps it to the end, so
 * that no unit of work sees half an update.
 */
export class Live<T> {
  #current: T;
  readonly #watchers = new Set<(next: T, previous: T) => void>();

  constructor(initial: T) {
    this.#current = initial;
  }

  get current(): T {
    return this.#current;
  }

  /** Replaces the value with one assignment, then tells the watchers. Returns the previous value, for draining. */
  publish(next: T): T {
    const previous = this.#current;
    this.#current = next;
    for (const watcher of Array.from(this.#watchers)) watcher(next, previous);
    return previous;
  }

  /** Calls back after every later `publish`, until the returned function is called. */
  watch(watcher: (next: T, previous: T) => void): () => void {
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
    };
  }
}
