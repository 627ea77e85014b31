import type { Clock, Timer } from "@heddle/base";

/** Kinds whose first answer is still outstanding, each for as long as its source is waited for. */
export class FirstAnswers<Kind> {
  readonly #clock: Clock;
  readonly #onTimeout: () => void;
  /** Without a timer: waited for without end. */
  readonly #awaited: Map<Kind, Timer | undefined> = new Map();

  constructor(clock: Clock, onTimeout: () => void) {
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  /** 0: without end. */
  waitFor(kind: Kind, timeoutMs: number): void {
    const giveUp = (): void => {
      this.#awaited.delete(kind);
      this.#onTimeout();
    };
    this.#awaited.set(kind, timeoutMs === 0 ? undefined : this.#clock.after(timeoutMs, giveUp));
  }

  awaits(kind: Kind): boolean {
    return this.#awaited.has(kind);
  }

  /** It has come. */
  arrived(kind: Kind): void {
    this.#awaited.get(kind)?.cancel();
    this.#awaited.delete(kind);
  }

  close(): void {
    for (const timer of this.#awaited.values()) timer?.cancel();
    this.#awaited.clear();
  }
}
