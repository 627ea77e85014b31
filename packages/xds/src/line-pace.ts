import type { Clock } from "@heddle/base";

/** For lines of the log that anybody can bring about: so many a second and no more. What they are about is counted anyway. */
export class LinePace {
  readonly #clock: Clock;
  readonly #perSecond: number;
  #secondEndsMs = 0;
  #left = 0;

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
  }

  /** Whether one more may be written now. */
  take(): boolean {
    const now = this.#clock.now();
    if (now >= this.#secondEndsMs) {
      this.#secondEndsMs = now + 1000;
      this.#left = this.#perSecond;
    }
    this.#left -= 1;
    return this.#left >= 0;
  }
}
