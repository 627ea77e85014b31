import type { ConfigDelta } from "./assemble/config-draft.ts";
import { laneEntry } from "./lanes.ts";
import type { ConfigLaneEntry, ConfigLaneUpdate } from "./proxy-config.ts";

/**
 * The configuration as it crosses to the traffic workers: every key's bytes, encoded once for all workers, and the
 * generation of the last step.
 */
export class LaneBook {
  readonly #entries = new Map<string, ConfigLaneEntry>();
  #generation = 0;

  /** Rises by one with each step that changes anything; 0 before the first. */
  get generation(): number {
    return this.#generation;
  }

  /** The step as an update for workers that have the generation before. Undefined if its content changes nothing. */
  apply(delta: ConfigDelta): ConfigLaneUpdate | undefined {
    const changed: ConfigLaneEntry[] = [];
    for (const [key, value] of delta.changed) {
      const entry = laneEntry(key, value);
      if (this.#entries.get(key)?.hash === entry.hash) continue;
      this.#entries.set(key, entry);
      changed.push(entry);
    }
    const removed = delta.removed.filter((key) => this.#entries.delete(key));
    if (changed.length === 0 && removed.length === 0) return undefined;
    this.#generation += 1;
    return { generation: this.#generation, changed, removed };
  }

  /** Everything, as one update for a worker that has nothing. */
  everything(): ConfigLaneUpdate {
    return { generation: this.#generation, changed: [...this.#entries.values()], removed: [] };
  }
}
