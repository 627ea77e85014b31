import { setTimeout as sleep } from "node:timers/promises";
import type { ResourceRequest } from "./request-info.ts";
import { StatusError } from "./status-error.ts";

/** What is answered in place of an answer. */
export interface Failure {
  readonly status: 429 | 500 | 503;
  /** Header Retry-After. */
  readonly retryAfterS?: number;
  /** Only these requests; left out: all. */
  readonly only?: (request: ResourceRequest) => boolean;
}

/** What goes wrong with the server, as tests switch it on and off. */
export class Faults {
  /** Each request waits that long before anything is done for it. */
  latencyMs = 0;
  /** Watches that are opened get no event, and stay open. */
  hangsWatches = false;
  /** No request is answered any more; connections stay open. */
  isSilent = false;
  #gone = 0;
  #failures: { readonly failure: Failure; left: number }[] = [];
  readonly #ends = new AbortController();

  /** The next watches are answered with 410 as their first event. */
  goneOnNextWatches(count = 1): void {
    this.#gone = count;
  }

  /** The next requests fail so. */
  failNext(count: number, failure: Failure): void {
    this.#failures.push({ failure, left: count });
  }

  /** All is well again. */
  clear(): void {
    this.latencyMs = 0;
    this.hangsWatches = false;
    this.isSilent = false;
    this.#gone = 0;
    this.#failures = [];
  }

  takeGone(): boolean {
    if (this.#gone === 0) return false;
    this.#gone--;
    return true;
  }

  /** Before a request is served: waits, fails, or never returns, as the switches say. */
  async before(request: ResourceRequest | undefined): Promise<void> {
    if (this.latencyMs > 0) await this.#wait(this.latencyMs);
    if (this.isSilent) await new Promise<never>(() => {});
    const found = this.#failures.find(
      ({ failure, left }) =>
        left > 0 && (failure.only === undefined || (request !== undefined && failure.only(request))),
    );
    if (found === undefined) return;
    found.left--;
    const { status, retryAfterS } = found.failure;
    const reason = { 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable" }[status];
    throw new StatusError(
      status,
      reason,
      `the test wants ${status} here`,
      retryAfterS === undefined ? undefined : { retryAfterSeconds: retryAfterS },
    );
  }

  end(): void {
    this.#ends.abort();
  }

  async #wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#ends.signal }).catch(() => undefined);
  }
}
