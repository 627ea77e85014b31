import type { Clock, Timer } from "@heddle/base";
import { WILDCARD } from "./protocol/subscription.ts";
import type { ResourceKind } from "./resource/resource-type.ts";
import type { ResourceUpdate } from "./subscription.ts";

/**
 * How long a control plane that has come back with nothing is given to find what it had. Longer than one takes to read its
 * sources again, and short enough for whoever has meant it.
 */
export const GRACE_MS = 60_000;

/** What refers goes before what it refers to. */
const REMOVAL_ORDER: readonly ResourceKind[] = [
  "listener",
  "virtual-host",
  "route-configuration",
  "extension-config",
  "cluster",
  "endpoints",
  "secret",
  "runtime",
];

const NOTHING: ResourceUpdate["changed"] = new Map();

/**
 * Stands between a client and whoever applies what it brings. A control plane that has lost its data says, on the next stream,
 * that everything of a kind is gone; that would end the traffic of a mesh that nobody has touched. So where the first response
 * of a kind on a stream takes away all that is held of it, removals are held back, of that kind and of all others: what is not
 * there again when the grace is over is then removed (docs/decisions/0011).
 *
 * A control plane that is there and takes things away, be it the last, is obeyed at once.
 */
export class RemovalGuard {
  readonly #clock: Clock;
  readonly #release: (update: ResourceUpdate) => void;
  /** What was passed on and not taken back, those whose removal is held back among them. */
  readonly #held = new Map<ResourceKind, Set<string>>();
  readonly #heldBack = new Map<ResourceKind, Set<string>>();
  /** Kinds that have had a response on this stream. */
  readonly #answered = new Set<ResourceKind>();
  #timer: Timer | undefined;

  /** @param release gets the removals whose time has come. */
  constructor(clock: Clock, release: (update: ResourceUpdate) => void) {
    this.#clock = clock;
    this.#release = release;
  }

  /** Names whose removal is held back, by kind; none as a rule. */
  get heldBack(): ReadonlyMap<ResourceKind, ReadonlySet<string>> {
    return this.#heldBack;
  }

  openStream(): void {
    this.#answered.clear();
  }

  /** Only these names are wanted of that kind from now on. */
  want(kind: ResourceKind, names: ReadonlySet<string>): void {
    if (names.has(WILDCARD)) return;
    for (const held of [this.#held.get(kind), this.#heldBack.get(kind)])
      for (const name of held ?? []) if (!names.has(name)) held?.delete(name);
  }

  /** These names are no longer wanted of that kind. */
  drop(kind: ResourceKind, names: readonly string[]): void {
    for (const held of [this.#held.get(kind), this.#heldBack.get(kind)]) for (const name of names) held?.delete(name);
  }

  /** Nobody is there who could bring anything again: the grace begins anew with the next stream's first response. */
  closeStream(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** The update without what is held back. */
  pass(update: ResourceUpdate): ResourceUpdate {
    const { kind, changed, removed, absent } = update;
    const held = this.#held.get(kind) ?? new Set();
    this.#held.set(kind, held);
    const isFirst = update.timedOut !== true && !this.#answered.has(kind);
    if (update.timedOut !== true) this.#answered.add(kind);
    const gone = [...removed, ...absent].filter((name) => held.has(name));
    const takesAll = gone.length > 0 && gone.length === held.size && changed.size === 0;
    const back = this.#heldBack.get(kind);
    for (const name of [...changed.keys(), ...(update.refreshed ?? [])]) {
      held.add(name);
      back?.delete(name);
    }
    if (back?.size === 0) this.#heldBack.delete(kind);
    const holds = gone.length > 0 && (this.#heldBack.size > 0 || (isFirst && takesAll));
    if (holds) this.#heldBack.set(kind, new Set([...(this.#heldBack.get(kind) ?? []), ...gone]));
    else for (const name of gone) held.delete(name);
    if (this.#heldBack.size === 0) this.closeStream();
    else if (update.timedOut !== true) this.#timer ??= this.#clock.after(GRACE_MS, () => this.#end(), true);
    if (!holds) return update;
    const keeps = (name: string): boolean => !held.has(name);
    return { ...update, removed: removed.filter(keeps), absent: absent.filter(keeps) };
  }

  #end(): void {
    this.#timer = undefined;
    const heldBack = new Map(this.#heldBack);
    this.#heldBack.clear(); // what is subscribed in between is no longer held back
    for (const kind of REMOVAL_ORDER) {
      const names = heldBack.get(kind);
      if (names === undefined || names.size === 0) continue;
      for (const name of names) this.#held.get(kind)?.delete(name);
      this.#release({ kind, changed: NOTHING, removed: [...names], absent: [] });
    }
  }
}
