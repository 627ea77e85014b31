import type { Clock, Timer } from "./clock.ts";

/** Something that ends by itself once it is asked to, and can be ended at once: a connection, a tunnel, a server. */
export interface Drainable {
  /** Take nothing new, finish what runs, then leave the group. */
  drain(): void;
  /** End now. */
  destroy(): void;
}

/**
 * The units that somebody owns, and their way to end: ask each to finish; wait until the last has left; at the deadline
 * end those that remain. Units leave by `delete`, also when they end in the usual way.
 */
export class DrainGroup<Unit extends Drainable> {
  readonly #clock: Clock;
  readonly #units = new Set<Unit>();
  #draining:
    | { readonly promise: Promise<number>; readonly finish: () => void; readonly endBy: (deadlineMs: number) => void }
    | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#units.size;
  }

  get draining(): boolean {
    return this.#draining !== undefined;
  }

  [Symbol.iterator](): Iterator<Unit> {
    return this.#units.values();
  }

  /** A unit that comes while the group drains is asked to finish at once. */
  add(unit: Unit): void {
    this.#units.add(unit);
    if (this.draining) unit.drain();
  }

  delete(unit: Unit): void {
    if (this.#units.delete(unit) && this.#units.size === 0) this.#draining?.finish();
  }

  /**
   * Resolves when no unit is left, with the number of those that had to be ended by force. A second call waits for the
   * first one's end, and can bring its deadline forward.
   */
  drain(deadlineMs: number): Promise<number> {
    if (this.#draining !== undefined) {
      this.#draining.endBy(deadlineMs);
      return this.#draining.promise;
    }
    const { promise, resolve } = Promise.withResolvers<number>();
    let forced = 0;
    let isDone = false;
    let deadline: Timer | undefined;
    let deadlineAtMs = Infinity;
    const endBy = (withinMs: number): void => {
      const atMs = this.#clock.now() + withinMs;
      if (isDone || atMs >= deadlineAtMs) return;
      deadlineAtMs = atMs;
      deadline?.cancel();
      deadline = this.#clock.after(withinMs, force);
    };
    const force = (): void => {
      forced = this.#units.size;
      for (const unit of Array.from(this.#units)) unit.destroy();
      this.#units.clear(); // whatever did not leave is not waited for
      finish();
    };
    const finish = (): void => {
      isDone = true;
      deadline?.cancel();
      resolve(forced);
    };
    endBy(deadlineMs);
    this.#draining = { promise, finish, endBy };
    for (const unit of Array.from(this.#units)) unit.drain();
    if (this.#units.size === 0) finish();
    return promise;
  }
}
