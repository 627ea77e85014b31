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
 * decoded update is handed over whole; the next begins when `apply` has ended.
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
    for (let update = this.#queue.shift(); update !== undefined; update = this.#queue.shift()) {
      try {
        const decoded = await this.#decode(update);
        await this.#apply(decoded);
      } catch (error) {
        // It would come again to the worker that replaces this one, and end that one too.
        for (const { key } of update.changed) this.#hashes.delete(key);
        this.#onBroken(update, error);
      }
    }
    this.#working = false;
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
