/** `baseMs`: the longest first wait. `maxMs`: no wait is longer. */
export interface BackoffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait before the n-th repetition (n from 0): uniform between 0 and `baseMs` doubled n times, at most `maxMs`.
 * Full jitter, as Envoy's JitteredExponentialBackOff: clients that fail together shall not return together.
 *
 * `random` gives a number from 0 (included) to 1 (excluded).
 */
export function backoffMs(attempt: number, { baseMs, maxMs }: BackoffOptions, random: () => number): number {
  return random() * Math.min(maxMs, baseMs * 2 ** attempt);
}

/** Waits that grow until something goes well. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #attempt = 0;

  constructor(options: BackoffOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
  }

  /** Milliseconds to wait now; the next wait may be twice as long. */
  nextMs(): number {
    return backoffMs(this.#attempt++, this.#options, this.#random);
  }

  /** It went well: the next wait is short again. */
  reset(): void {
    this.#attempt = 0;
  }
}
