import type { Clock, Timer } from "@heddle/base";

/** How long a name may go unanswered before it is taken not to exist (xds_protocol.rst, "Knowing When a Requested Resource Does Not Exist"). */
const EXISTENCE_TIMEOUT_MS = 15_000;

/**
 * Names that were asked for and have no answer. One timer for all of them, since all are waited for equally long: `schedule` is
 * called once a batch of names was added or taken away.
 */
export class AwaitedNames {
  readonly #clock: Clock;
  readonly #onLate: (names: readonly string[]) => void;
  /** With the time when each counts as absent; the earliest is the first. */
  readonly #untilMs: Map<string, number> = new Map();
  #timer: Timer | undefined;

  constructor(clock: Clock, onLate: (names: readonly string[]) => void) {
    this.#clock = clock;
    this.#onLate = onLate;
  }

  has(name: string): boolean {
    return this.#untilMs.has(name);
  }

  add(name: string): void {
    this.#untilMs.set(name, this.#clock.now() + EXISTENCE_TIMEOUT_MS);
  }

  delete(name: string): void {
    this.#untilMs.delete(name);
  }

  clear(): void {
    this.#untilMs.clear();
    this.schedule();
  }

  schedule(): void {
    const [earliest] = this.#untilMs.values();
    if (earliest === undefined) {
      this.#timer?.cancel();
      this.#timer = undefined;
    } else if (this.#timer === undefined) {
      this.#timer = this.#clock.after(Math.max(0, earliest - this.#clock.now()), () => this.#giveUp(), true);
    }
  }

  /** They stay until they are taken away, which is what an absent name comes to. */
  #giveUp(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.now();
    const late: string[] = [];
    for (const [name, atMs] of this.#untilMs) {
      if (atMs > nowMs) break;
      late.push(name);
    }
    this.#onLate(late);
  }
}
