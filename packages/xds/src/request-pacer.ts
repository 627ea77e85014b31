import type { Clock, Timer } from "@heddle/base";

/** `envoy.config.core.v3.RateLimitSettings` */
export interface RateLimit {
  readonly maxTokens: number;
  readonly fillRatePerSecond: number;
}

/**
 * Spaces the requests of a stream by a bucket of tokens: one each. What has to wait is kept in its order; whoever pushes while
 * something waits has to bound it.
 */
export class RequestPacer {
  readonly #limit: RateLimit;
  readonly #clock: Clock;
  readonly #send: (request: Buffer) => void;
  readonly #onWaiting: (count: number) => void;
  readonly #queue: Buffer[] = [];
  #tokens: number;
  #filledAtMs: number;
  #timer: Timer | undefined;

  /** `onWaiting` is told how many requests wait, whenever that changes. */
  constructor(limit: RateLimit, clock: Clock, send: (request: Buffer) => void, onWaiting: (count: number) => void) {
    this.#limit = limit;
    this.#clock = clock;
    this.#send = send;
    this.#onWaiting = onWaiting;
    this.#tokens = limit.maxTokens;
    this.#filledAtMs = clock.now();
  }

  get isWaiting(): boolean {
    return this.#queue.length > 0;
  }

  push(requests: readonly Buffer[]): void {
    if (requests.length === 0) return;
    const waited = this.#queue.length;
    this.#queue.push(...requests);
    if (waited === 0) this.#drain(waited);
    else this.#onWaiting(this.#queue.length);
  }

  /** The stream is gone, and what waits with it. */
  clear(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#queue.splice(0).length > 0) this.#onWaiting(0);
  }

  #drain(waited: number): void {
    this.#timer = undefined;
    const { maxTokens, fillRatePerSecond } = this.#limit;
    const nowMs = this.#clock.now();
    this.#tokens = Math.min(maxTokens, this.#tokens + ((nowMs - this.#filledAtMs) / 1000) * fillRatePerSecond);
    this.#filledAtMs = nowMs;
    while (this.#queue.length > 0 && this.#tokens >= 1 - ROUNDING) {
      this.#tokens -= 1;
      this.#send(this.#queue.shift()!); // it is not empty
    }
    if (this.#queue.length > 0) {
      const waitMs = Math.ceil(((1 - this.#tokens) / fillRatePerSecond) * 1000);
      this.#timer = this.#clock.after(waitMs, () => this.#drain(this.#queue.length), true);
    }
    if (this.#queue.length !== waited) this.#onWaiting(this.#queue.length);
  }
}

/** Sums of fractions are a little off. */
const ROUNDING = 1e-9;
