/**
 * A look that costs much, for however many ask: one is under way at a time, and whoever asks meanwhile gets the next one, which begins
 * after it, so that nobody is told what was so before it asked.
 */
export class SharedLook<Seen> {
  readonly #look: () => Promise<Seen>;
  #current: Promise<Seen> | undefined;
  #next: Promise<Seen> | undefined;

  /** `look` does not reject. */
  constructor(look: () => Promise<Seen>) {
    this.#look = look;
  }

  take(): Promise<Seen> {
    if (this.#current === undefined) return this.#begin();
    this.#next ??= this.#current.then(() => this.#begin());
    return this.#next;
  }

  #begin(): Promise<Seen> {
    this.#next = undefined;
    const current = this.#look();
    this.#current = current;
    // Behind whoever waits for its turn, who has begun the next by then.
    void current.then(() => {
      if (this.#current === current && this.#next === undefined) this.#current = undefined;
    });
    return current;
  }
}
