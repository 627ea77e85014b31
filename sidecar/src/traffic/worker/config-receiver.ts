import type { Clock } from "@heddle/base";
import type { ConfigLaneEntry, ConfigLaneUpdate } from "@heddle/config";
import { decodeLane, EndpointLaneReader, type LaneKind, type LaneValues, parseLaneKey } from "@heddle/config/lanes";

import { Slices } from "../build/slices.ts";

/** One key of an update, decoded. */
export type DecodedEntry = {
  readonly [Kind in LaneKind]: {
    readonly kind: Kind;
    readonly name: string;
    readonly hash: string;
    readonly value: LaneValues[Kind];
  };
}[LaneKind];

export interface DecodedUpdate {
  readonly generation: number;
  /** Only what differs from what was applied before. */
  readonly changed: readonly DecodedEntry[];
  readonly removed: readonly { readonly kind: LaneKind; readonly name: string }[];
}

/**
 * Decodes updates, one after the other, only keys whose hash has changed, in slices between which traffic is served. Each
 * decoded update is handed over whole; the next begins when `apply` has ended. What has come meanwhile is taken as one, so that a
 * worker never falls behind: to apply costs more than to receive.
 */
export class ConfigReceiver {
  readonly #clock: Clock;
  readonly #apply: (update: DecodedUpdate) => Promise<void>;
  readonly #onBroken: (update: ConfigLaneUpdate, error: unknown) => void;
  readonly #hashes = new Map<string, string>();
  readonly #queue: ConfigLaneUpdate[] = [];
  #working = false;

  /** `onBroken`: decoding or applying an update threw. The next one is taken as if that had not come. */
  constructor(
    clock: Clock,
    apply: (update: DecodedUpdate) => Promise<void>,
    onBroken: (update: ConfigLaneUpdate, error: unknown) => void,
  ) {
    this.#clock = clock;
    this.#apply = apply;
    this.#onBroken = onBroken;
  }

  receive(update: ConfigLaneUpdate): void {
    this.#queue.push(update);
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    while (this.#queue.length > 0) {
      const steps = this.#queue.splice(0, joinable(this.#queue));
      const error = await this.#take(joined(steps));
      if (error === undefined) continue;
      // Together with others a good step must not be lost for the sake of a bad one.
      for (const step of steps) {
        const why = steps.length === 1 ? error : await this.#take(step);
        // It would come again to the worker that replaces this one, and end that one too.
        if (why !== undefined) this.#onBroken(step, why.cause);
      }
    }
    this.#working = false;
  }

  /** Decodes and applies it. Answers what it threw, if it did. */
  async #take(update: ConfigLaneUpdate): Promise<{ readonly cause: unknown } | undefined> {
    try {
      await this.#apply(await this.#decode(update));
      return undefined;
    } catch (cause) {
      for (const { key } of update.changed) this.#hashes.delete(key);
      return { cause };
    }
  }

  async #decode({ generation, changed, removed }: ConfigLaneUpdate): Promise<DecodedUpdate> {
    const entries: DecodedEntry[] = [];
    const slices = new Slices(this.#clock);
    for (const entry of changed) {
      if (this.#hashes.get(entry.key) === entry.hash) continue;
      this.#hashes.set(entry.key, entry.hash);
      entries.push(await this.#decodeEntry(entry, slices));
      if (slices.leftMs <= 0) await slices.next();
    }
    for (const key of removed) this.#hashes.delete(key);
    return { generation, changed: entries, removed: removed.map(parseLaneKey) };
  }

  async #decodeEntry({ key, hash, bytes }: ConfigLaneEntry, slices: Slices): Promise<DecodedEntry> {
    const { kind, name } = parseLaneKey(key);
    const view = new Uint8Array(bytes);
    if (kind !== "endpoints") return { kind, name, hash, value: decodeLane(key, view) } as DecodedEntry;
    const reader = new EndpointLaneReader(view);
    while (!reader.step(slices.leftMs, this.#clock)) await slices.next();
    return { kind, name, hash, value: reader.result };
  }
}

/**
 * How many of these, from the first on, may be taken as one; there is at least one. A key that was removed and comes again is
 * another thing with state of its own (the cells of a cluster's circuit breakers), so the removal has to be seen.
 */
function joinable(steps: readonly ConfigLaneUpdate[]): number {
  const removed = new Set<string>();
  const end = steps.findIndex(({ changed, removed: gone }) => {
    if (changed.some(({ key }) => removed.has(key))) return true;
    for (const key of gone) removed.add(key);
    return false;
  });
  return end === -1 ? steps.length : end;
}

/** The step from before the first to behind the last. */
function joined(steps: readonly ConfigLaneUpdate[]): ConfigLaneUpdate {
  const last = steps.at(-1);
  if (last === undefined) throw new TypeError("there is no step");
  if (steps.length === 1) return last;
  const changed = new Map<string, ConfigLaneEntry>();
  const removed = new Set<string>();
  for (const step of steps) {
    for (const entry of step.changed) changed.set(entry.key, entry);
    for (const key of step.removed) {
      changed.delete(key);
      removed.add(key);
    }
  }
  return { generation: last.generation, changed: [...changed.values()], removed: [...removed] };
}
