import type { Clock } from "@heddle/base";

/** How long a name that does not exist is answered so without asking again. */
const ABSENT_FOR_MS = 10_000;
/** Of names that are asked for on demand, and of those that are known not to exist. */
const MAX_NAMES = 1000;

/**
 * Names of one kind that requests have asked for. A name that exists is kept, and with it the subscription, as in Envoy; one that
 * does not is let go, and answered from memory for a while. Both are bounded: whoever asks for names at random can make the
 * control plane busy with so many, and fills nothing.
 */
export class DemandBook {
  readonly #clock: Clock;
  /** Asked for, whether they are there or not. */
  readonly #names = new Set<string>();
  /** Without an answer yet. */
  readonly #pending = new Set<string>();
  #revision = 0;
  /** With the time until which nobody asks again; the earliest is the first. */
  readonly #absent = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Another one whenever `names` has changed. */
  get revision(): number {
    return this.#revision;
  }

  /** To subscribe, besides what is subscribed anyway. */
  get names(): ReadonlySet<string> {
    return this.#names;
  }

  get pending(): ReadonlySet<string> {
    return this.#pending;
  }

  /** "answered": there is none, or no room to ask. "asked": it is subscribed now, or was and waits. */
  ask(name: string): "answered" | "asked" {
    const absentUntilMs = this.#absent.get(name);
    if (absentUntilMs !== undefined && absentUntilMs > this.#clock.now()) return "answered";
    this.#absent.delete(name);
    if (!this.#names.has(name)) {
      if (this.#names.size >= MAX_NAMES) return "answered";
      this.#names.add(name);
      this.#revision += 1;
    }
    this.#pending.add(name);
    return "asked";
  }

  /** It has come. */
  found(name: string): void {
    this.#pending.delete(name);
  }

  /** There is no such thing, or none any more. */
  absent(name: string): void {
    if (!this.#names.delete(name)) return;
    this.#revision += 1;
    this.#pending.delete(name);
    this.#absent.delete(name);
    this.#absent.set(name, this.#clock.now() + ABSENT_FOR_MS);
    const [oldest] = this.#absent.keys();
    if (this.#absent.size > MAX_NAMES && oldest !== undefined) this.#absent.delete(oldest);
  }

  /** Nobody may ask for these any more. */
  forget(isGone: (name: string) => boolean): void {
    for (const name of this.#names) {
      if (!isGone(name)) continue;
      this.#names.delete(name);
      this.#pending.delete(name);
      this.#revision += 1;
    }
  }
}
