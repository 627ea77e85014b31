import type { Clock } from "@heddle/base";
import { WRITE_BURST, WRITES_PER_SECOND } from "./resource-limits.ts";

/** How fast each caller may write: a bucket a name. Names are those of tokens, so there are few. */
export class WriteRate {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { left: number; atMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** 0: go on; else in how many seconds there is room again. */
  take(name: string): number {
    const now = this.#clock.now();
    const bucket = this.#buckets.get(name) ?? { left: WRITE_BURST, atMs: now };
    this.#buckets.set(name, bucket);
    bucket.left = Math.min(WRITE_BURST, bucket.left + ((now - bucket.atMs) / 1000) * WRITES_PER_SECOND);
    bucket.atMs = now;
    if (bucket.left < 1) return Math.max(1, Math.ceil((1 - bucket.left) / WRITES_PER_SECOND));
    bucket.left -= 1;
    return 0;
  }
}
