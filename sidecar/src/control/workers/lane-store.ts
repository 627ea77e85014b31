import type { ConfigDelta, ConfigLaneEntry, ConfigLaneUpdate } from "@heddle/config";
import { laneEntry } from "@heddle/config/lanes";

/**
 * The configuration in the form in which it crosses to workers: encoded once, in shared memory, by key. What did not change
 * its content makes no update, and a worker that starts gets everything as one.
 */
export class LaneStore {
  readonly #entries = new Map<string, ConfigLaneEntry>();
  #generation = 0;

  /** Rises by one with each step that changes anything; 0 before the first. */
  get generation(): number {
    return this.#generation;
  }

  /** Encodes a step. Undefined: nothing is different from what it was. */
  step({ changed, removed }: ConfigDelta): ConfigLaneUpdate | undefined {
    const entries: ConfigLaneEntry[] = [];
    for (const [key, value] of changed) {
      const entry = laneEntry(key, value);
      if (this.#entries.get(key)?.hash === entry.hash) continue;
      this.#entries.set(key, entry);
      entries.push(entry);
    }
    const gone = removed.filter((key) => this.#entries.delete(key));
    if (entries.length === 0 && gone.length === 0) return undefined;
    return { generation: ++this.#generation, changed: entries, removed: gone };
  }

  everything(): ConfigLaneUpdate {
    return { generation: this.#generation, changed: [...this.#entries.values()], removed: [] };
  }
}
