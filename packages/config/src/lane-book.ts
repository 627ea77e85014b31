import type { RouteConfiguration } from "@heddle/traffic";
import type { ConfigDelta } from "./assemble/config-draft.ts";
import { splitHosts } from "./host-lanes.ts";
import { laneEntry, laneKey } from "./lanes.ts";
import type { ConfigLaneEntry, ConfigLaneUpdate } from "./proxy-config.ts";

/**
 * The configuration as it crosses to the traffic workers: every key's bytes, encoded once for all workers, and the
 * generation of the last step.
 */
export class LaneBook {
  readonly #entries = new Map<string, ConfigLaneEntry>();
  /** The keys of the virtual hosts that cross apart, by that of their route configuration. */
  readonly #hostsOf = new Map<string, ReadonlySet<string>>();
  #generation = 0;

  /** Rises by one with each step that changes anything; 0 before the first. */
  get generation(): number {
    return this.#generation;
  }

  /** The step as an update for workers that have the generation before. Undefined if its content changes nothing. */
  apply(delta: ConfigDelta): ConfigLaneUpdate | undefined {
    const changed: ConfigLaneEntry[] = [];
    const removed: string[] = [];
    for (const [key, value] of delta.changed) {
      const split = key.startsWith(ROUTES) ? splitHosts(key, value as RouteConfiguration) : undefined;
      const entry = split?.head ?? laneEntry(key, value);
      if (this.#entries.get(key)?.hash === entry.hash) continue;
      this.#replaceHosts(key, split?.hosts ?? [], changed, removed);
      this.#entries.set(key, entry);
      changed.push(entry);
    }
    for (const key of delta.removed) {
      if (!this.#entries.delete(key)) continue;
      this.#replaceHosts(key, [], changed, removed);
      removed.push(key);
    }
    if (changed.length === 0 && removed.length === 0) return undefined;
    this.#generation += 1;
    return { generation: this.#generation, changed, removed };
  }

  /** Of a route configuration whose virtual hosts cross apart: those that it has not had, and those that it has no more. */
  #replaceHosts(
    routes: string,
    hosts: readonly ConfigLaneEntry[],
    changed: ConfigLaneEntry[],
    removed: string[],
  ): void {
    const before = this.#hostsOf.get(routes);
    if (before === undefined && hosts.length === 0) return;
    const now = new Set<string>();
    for (const host of hosts) {
      now.add(host.key);
      if (before?.has(host.key) === true) continue;
      this.#entries.set(host.key, host);
      changed.push(host);
    }
    for (const key of before ?? []) {
      if (now.has(key)) continue;
      this.#entries.delete(key);
      removed.push(key);
    }
    if (now.size === 0) this.#hostsOf.delete(routes);
    else this.#hostsOf.set(routes, now);
  }

  /** Everything, as one update for a worker that has nothing. */
  everything(): ConfigLaneUpdate {
    return { generation: this.#generation, changed: [...this.#entries.values()], removed: [] };
  }
}

const ROUTES = laneKey("route-configuration", "");
