/**
 * Which of several control planes is called next, the first being the one that is wanted most (gRFC A71). A later one is
 * called only while one before it does not answer and something is wanted that nobody has answered yet: what is held
 * serves, and a control plane that is asked second may know less. Once any of them has answered, the next attempt begins
 * with the first again.
 */
export class ServerChoice {
  readonly #count: number;
  #index = 0;

  /** There is at least one. */
  constructor(count: number) {
    this.#count = count;
  }

  get index(): number {
    return this.#index;
  }

  /**
   * The attempt ended without an answer. True: the next one shall wait, since everyone who may be called has been.
   */
  unanswered(lacksSomething: boolean): boolean {
    this.#index = lacksSomething ? (this.#index + 1) % this.#count : 0;
    return this.#index === 0;
  }

  /** A stream that had been answered ended, or a better server is back. */
  beginAnew(): void {
    this.#index = 0;
  }

  /** That one, which is up, takes over. */
  choose(index: number): void {
    this.#index = index;
  }
}
