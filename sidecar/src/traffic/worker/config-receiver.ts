import type { Clock } from "@heddle/base";
import type { ConfigLaneEntry, ConfigLaneUpdate } from "@heddle/config";
import {
  decodeLane,
  EndpointLaneReader,
  HeldHosts,
  isHostKey,
  type LaneKind,
  type LaneValues,
  laneKey,
  type PackedUpdate,
  PackedUpdateReader,
  parseLaneKey,
} from "@heddle/config/lanes";
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
  /** Of all these. A step has mostly one or two of many, and whoever has nothing to do with them need not look through it. */
  readonly kinds: ReadonlySet<LaneKind>;
}

/**
 * Decodes updates, one after the other, only keys whose hash has changed, in slices between which traffic is served. Each
 * decoded update is handed over whole; the next begins when `apply` has ended. What has come meanwhile is taken as one, so that a
 * worker never falls behind: to apply costs more than to receive.
 */
export class ConfigReceiver {
  readonly #clock: Clock;
  readonly #apply: (update: DecodedUpdate, slices: Slices) => Promise<void>;
  readonly #onBroken: (update: ConfigLaneUpdate, error: unknown) => void;
  readonly #hashes = new Map<string, string>();
  readonly #hosts = new HeldHosts();
  readonly #arrived: PackedUpdate[] = [];
  /** Read, and not decoded. */
  readonly #queue: ConfigLaneUpdate[] = [];
  #working = false;

  /**
   * `slices`: what is left of the one that runs is for `apply`. `onBroken`: decoding or applying an update threw. The next one is taken
   * as if that had not come.
   */
  constructor(
    clock: Clock,
    apply: (update: DecodedUpdate, slices: Slices) => Promise<void>,
    onBroken: (update: ConfigLaneUpdate, error: unknown) => void,
  ) {
    this.#clock = clock;
    this.#apply = apply;
    this.#onBroken = onBroken;
  }

  receive(update: PackedUpdate): void {
    this.#arrived.push(update);
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    const slices = new Slices(this.#clock);
    while (this.#arrived.length + this.#queue.length > 0) {
      // The turn in which a message comes, or a step has come into force, has had its work.
      await slices.next();
      await this.#read(slices);
      const steps = this.#queue.splice(0, joinable(this.#queue));
      const error = await this.#take(joined(steps), slices);
      if (error === undefined) continue;
      // Together with others a good step must not be lost for the sake of a bad one.
      for (const step of steps) {
        const why = steps.length === 1 ? error : await this.#take(step, slices);
        // It would come again to the worker that replaces this one, and end that one too.
        if (why !== undefined) this.#onBroken(step, why.cause);
      }
    }
    this.#working = false;
  }

  async #read(slices: Slices): Promise<void> {
    for (let packed = this.#arrived.shift(); packed !== undefined; packed = this.#arrived.shift()) {
      const reader = new PackedUpdateReader(packed);
      while (!reader.step(slices.leftMs, this.#clock)) await slices.next();
      this.#queue.push(reader.result);
    }
  }

  /** Decodes and applies it. Answers what it threw, if it did. */
  async #take(update: ConfigLaneUpdate, slices: Slices): Promise<{ readonly cause: unknown } | undefined> {
    try {
      await this.#apply(await this.#decode(update, slices), slices);
      // Not before: where several were taken as one in vain, those are tried one by one, and the first of them may need such a host.
      for (const key of update.removed) if (isHostKey(key)) this.#hosts.drop(key);
      return undefined;
    } catch (cause) {
      for (const { key } of update.changed) this.#hashes.delete(key);
      return { cause };
    }
  }

  async #decode({ generation, changed, removed }: ConfigLaneUpdate, slices: Slices): Promise<DecodedUpdate> {
    const entries: DecodedEntry[] = [];
    const gone: DecodedUpdate["removed"][number][] = [];
    const kinds = new Set<LaneKind>();
    for (const entry of changed) {
      if (this.#hashes.get(entry.key) === entry.hash) continue;
      this.#hashes.set(entry.key, entry.hash);
      if (isHostKey(entry.key)) {
        this.#hosts.take(entry);
        if (slices.leftMs <= 0) await slices.next();
        continue;
      }
      const decoded = await this.#decodeEntry(entry, slices);
      entries.push(decoded);
      kinds.add(decoded.kind);
      if (slices.leftMs <= 0) await slices.next();
    }
    const whole = entries.map((entry) => this.#withHosts(entry));
    for (const key of removed) {
      this.#hashes.delete(key);
      if (isHostKey(key)) continue;
      const parsed = parseLaneKey(key);
      gone.push(parsed);
      kinds.add(parsed.kind);
      if (slices.leftMs <= 0) await slices.next();
    }
    return { generation, changed: whole, removed: gone, kinds };
  }

  /** The hosts of a step may come behind what names them. */
  #withHosts(entry: DecodedEntry): DecodedEntry {
    if (entry.kind !== "route-configuration") return entry;
    return { ...entry, value: this.#hosts.whole(laneKey(entry.kind, entry.name), entry.value) };
  }

  async #decodeEntry({ key, hash, bytes }: ConfigLaneEntry, slices: Slices): Promise<DecodedEntry> {
    const { kind, name } = parseLaneKey(key);
    if (kind !== "endpoints") return { kind, name, hash, value: decodeLane(key, bytes) } as DecodedEntry;
    const reader = new EndpointLaneReader(bytes);
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
