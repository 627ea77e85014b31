import type { ConfigLaneEntry } from "@heddle/config";

/** A listener that workers cannot build, and what they go on with. */
export interface FailedListener {
  readonly key: string;
  /** The last one that they could; undefined: there is none. */
  readonly previous: ConfigLaneEntry | undefined;
}

/**
 * Which listeners workers have been given and not yet built, and which they could build last. A listener that passes validation and
 * still cannot be built (a log file that may not be opened, a filter's module that throws) must not keep an address on which
 * nobody answers.
 */
export class ListenerTrials {
  /** Given with a generation that no worker has applied yet. */
  readonly #trials = new Map<string, { readonly generation: number; readonly entry: ConfigLaneEntry }>();
  readonly #built = new Map<string, ConfigLaneEntry>();
  readonly #reasons = new Map<string, string>();

  /** Why listeners are not served, or not as configured. */
  get reasons(): ReadonlyMap<string, string> {
    return this.#reasons;
  }

  begin(generation: number, entry: ConfigLaneEntry): void {
    this.#trials.set(entry.key, { generation, entry });
  }

  remove(key: string): void {
    this.#trials.delete(key);
    this.#built.delete(key);
    this.#reasons.delete(key);
  }

  /** A worker has applied that generation, but for what it refused. The first worker's word counts: all build alike. */
  applied(generation: number, refused: ReadonlyMap<string, string>): readonly FailedListener[] {
    const failed: FailedListener[] = [];
    for (const [key, trial] of this.#trials) {
      if (trial.generation > generation) continue;
      this.#trials.delete(key);
      const reason = refused.get(key);
      if (reason === undefined) {
        this.#built.set(key, trial.entry);
        this.#reasons.delete(key);
      } else {
        failed.push({ key, previous: this.#built.get(key) });
        this.#reasons.set(key, reason);
      }
    }
    return failed;
  }
}
