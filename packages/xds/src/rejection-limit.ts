import type { Clock } from "@heddle/base";

/** As many as Envoy's `rate_limit_settings` have tokens where they say nothing else (`RateLimitSettings.max_tokens`). */
const BURST = 100;

/** `RateLimitSettings.fill_rate`: 10 a second. */
const MS_PER_REJECTION = 100;

/**
 * How fast rejected responses are taken. A control plane that answers each NACK with the same again would otherwise be
 * answered as fast as both can, for ever. Good responses are never held up by themselves, however many come.
 */
export class RejectionLimit {
  readonly #clock: Clock;
  /** When the bucket is full again. */
  #fullAtMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A response was rejected. How long, in milliseconds, to read nothing more; mostly 0. */
  rejected(): number {
    const nowMs = this.#clock.now();
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + MS_PER_REJECTION;
    return Math.max(0, this.#fullAtMs - nowMs - BURST * MS_PER_REJECTION);
  }
}
