import type { Clock } from "@heddle/base";

export interface RateLimit {
  /** So many at once. */
  readonly burst: number;
  /** And so many a second from then on. */
  readonly perSecond: number;
}

/** Buckets that are remembered: beyond them the ones used longest ago are forgotten, which are the fullest. */
const MAX_BUCKETS = 10_000;

/** How often each of many may call: a bucket a name. */
export class CallRate {
  readonly #clock: Clock;
  readonly #limit: RateLimit;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, limit: RateLimit) {
    this.#clock = clock;
    this.#limit = limit;
  }

  /** 0: go on; else in how many seconds there is room again. */
  take(name: string): number {
    const { burst, perSecond } = this.#limit;
    const now = this.#clock.now();
    const known = this.#buckets.get(name);
    const left = known === undefined ? burst : Math.min(burst, known.left + ((now - known.atMs) / 1000) * perSecond);
    const isLet = left >= 1;
    this.#buckets.delete(name); // the last of the map is the one used last
    this.#buckets.set(name, { left: isLet ? left - 1 : left, atMs: now });
    if (this.#buckets.size > MAX_BUCKETS) this.#buckets.delete(this.#buckets.keys().next().value!); // there are many
    return isLet ? 0 : Math.max(1, Math.ceil((1 - left) / perSecond));
  }
}

interface Bucket {
  readonly left: number;
  readonly atMs: number;
}
