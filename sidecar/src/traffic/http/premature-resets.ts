/**
 * Counts how the requests of one HTTP/2 connection end, and tells when too many of them were taken back before they had an
 * answer: who opens streams only to reset them costs us and the upstream much and itself nothing (rapid reset,
 * CVE-2023-44487), and so does who makes us reset them (MadeYouReset, CVE-2025-8671).
 *
 * The limit is Envoy's: half of all that have ended, of 500 where fewer have (`overload.premature_reset_total_stream_count`;
 * what is premature says `overload.premature_reset_min_stream_lifetime_seconds`).
 */
export class PrematureResets {
  #ended = 0;
  #premature = 0;

  /** A request has ended. True: its connection is not to go on. */
  isTooMuch(premature: boolean): boolean {
    this.#ended++;
    if (!premature) return false;
    this.#premature++;
    return this.#premature * 2 >= Math.max(this.#ended, TOTAL_STREAM_COUNT);
  }
}

const TOTAL_STREAM_COUNT = 500;
/** Who waits longer for an answer than this before giving up most likely meant it. */
export const MIN_STREAM_LIFETIME_MS = 1000;
