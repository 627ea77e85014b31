import { backoffMs, type Clock, type Timer } from "@heddle/base";

/** Wall time. */
export interface Validity {
  readonly validFromMs: number;
  readonly validToMs: number;
}

export interface SvidRenewalOptions {
  readonly clock: Clock;
  /** From 0 (included) to 1 (excluded). */
  readonly random: () => number;
  /** Begins an attempt to get one. It ends with `issued` or `failed`, never from within. */
  readonly request: () => void;
  /** What is held has just expired: nobody may be shown it any more. */
  readonly onExpired: () => void;
  /** After how much of a certificate's life the next one is asked for, in percent (50). */
  readonly renewAtPercent?: number;
}

export type RenewalState =
  /** There has been none; it is asked for. */
  | { readonly type: "none" }
  /** It is asked for again at `renewAtMs`. */
  | { readonly type: "valid"; readonly validity: Validity; readonly renewAtMs: number }
  /** It is asked for, and what is held serves. */
  | { readonly type: "renewing"; readonly validity: Validity }
  /** It is asked for, and nothing serves. */
  | { readonly type: "expired" };

/** How far the renewal may be from its time, so that a mesh that began together does not renew together. */
const JITTER = 0.1;
const HALF_LIFE_PERCENT = 50;

/** Where nothing serves haste is needed, as when a control plane is away. */
const BACKOFF_WITHOUT = { baseMs: 200, maxMs: 10_000 };

/** Where something serves: never so slowly that fewer than some tens of attempts are left before it expires. */
const BACKOFF_WITH = { baseMs: 1000, maxMs: 60_000 };
const ATTEMPTS_PER_LIFE = 50;

/** From one certificate to the asking for the next, however soon that one ends: an authority whose root is ending gives ever shorter ones. */
const LEAST_MS = 500;

/** Timers stand still while a machine sleeps, and wall clocks are set: the time is looked at this often. */
const LOOK_MS = 30_000;

/**
 * Decides when a certificate is asked for: at once where there is none, at half its life, or as told (± 10 %), where there is one, and after
 * each failure again, ever less often. No input or output: who asks and what is done with the answer is the caller's.
 */
export class SvidRenewal {
  readonly #options: SvidRenewalOptions;
  #state: RenewalState = { type: "none" };
  /** An attempt is under way. */
  #asking = false;
  /** Since something was issued. */
  #failures = 0;
  /** Not asked again before that: monotonic, since a wall clock that is put right may go back by years. */
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: SvidRenewalOptions) {
    this.#options = options;
  }

  get state(): RenewalState {
    return this.#state;
  }

  /** Attempts that have failed since something was issued. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * Begins; `held` is what was kept from before. It serves, and is renewed at once all the same: nobody knows what has become
   * of the authority that issued it.
   */
  start(held: Validity | undefined): void {
    if (held !== undefined && held.validToMs > this.#options.clock.wallNow())
      this.#state = { type: "renewing", validity: held };
    this.#look();
  }

  issued(validity: Validity): void {
    if (this.#closed) return;
    const nowMs = this.#options.clock.wallNow();
    this.#asking = false;
    this.#failures = 0;
    this.#notBeforeMs = this.#options.clock.now() + LEAST_MS;
    // From now, and not from its beginning, which is put back for clocks that are behind; and never more than its whole life,
    // which for a clock that is behind seems longer.
    const lifeMs = Math.min(validity.validToMs - nowMs, validity.validToMs - validity.validFromMs);
    const { random, renewAtPercent = HALF_LIFE_PERCENT } = this.#options;
    const waitMs = lifeMs * (renewAtPercent / 100) * (1 + JITTER * (2 * random() - 1));
    this.#state = { type: "valid", validity, renewAtMs: nowMs + waitMs };
    this.#look();
  }

  failed(): void {
    if (this.#closed) return;
    const { clock, random } = this.#options;
    this.#asking = false;
    const waitMs = backoffMs(this.#failures, this.#backoff(), random);
    this.#failures += 1;
    this.#notBeforeMs = clock.now() + waitMs;
    this.#look();
  }

  /** Asks at once, where it does not already: what attempts are made with has changed. */
  hurry(): void {
    if (this.#closed || this.#state.type === "valid") return;
    this.#notBeforeMs = Number.NEGATIVE_INFINITY;
    this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer?.cancel();
    if (this.#closed) return;
    const { clock, onExpired, request } = this.#options;
    const nowMs = clock.wallNow();
    const before = this.#state;
    if ((before.type === "valid" || before.type === "renewing") && nowMs >= before.validity.validToMs) {
      this.#state = { type: "expired" };
      onExpired();
    } else if (before.type === "valid" && nowMs >= before.renewAtMs) {
      this.#state = { type: "renewing", validity: before.validity };
    }
    const waitMs = this.#notBeforeMs - clock.now();
    const asksNow = this.#state.type !== "valid" && !this.#asking && waitMs <= 0;
    if (asksNow) this.#asking = true;
    const nextMs = Math.max(1, this.#nextMs(nowMs, waitMs));
    this.#timer = clock.after(Math.min(LOOK_MS, nextMs), () => this.#look(), true);
    if (asksNow) request();
  }

  /** Until something is due. */
  #nextMs(nowMs: number, waitMs: number): number {
    const retryMs = this.#asking ? Number.POSITIVE_INFINITY : waitMs;
    switch (this.#state.type) {
      case "valid":
        return Math.min(this.#state.renewAtMs, this.#state.validity.validToMs) - nowMs;
      case "renewing":
        return Math.min(retryMs, this.#state.validity.validToMs - nowMs);
      case "none":
      case "expired":
        return retryMs;
      default:
        throw new Error(`unknown state ${(this.#state satisfies never as { type: string }).type}`);
    }
  }

  #backoff(): { readonly baseMs: number; readonly maxMs: number } {
    if (this.#state.type !== "renewing") return BACKOFF_WITHOUT;
    const { validFromMs, validToMs } = this.#state.validity;
    const maxMs = Math.min(BACKOFF_WITH.maxMs, Math.max(100, (validToMs - validFromMs) / ATTEMPTS_PER_LIFE));
    return { baseMs: Math.min(BACKOFF_WITH.baseMs, maxMs), maxMs };
  }
}
