import type { ResourceKind, ResourceSubscriber } from "@heddle/xds";
import { equalNames, type Wants } from "./wants.ts";

const NO_NAMES: ReadonlySet<string> = new Set();

/** Tells the subscriber which names are wanted of a kind, where that is news to it. */
export class ToldWants {
  readonly #subscriber: ResourceSubscriber;
  readonly #told: Map<ResourceKind, Wants> = new Map();

  constructor(subscriber: ResourceSubscriber) {
    this.#subscriber = subscriber;
  }

  /** `wants` is all of that kind; the same object as before is no news. */
  tell(kind: ResourceKind, wants: Wants): void {
    const before = this.#told.get(kind);
    if (wants === before) return;
    this.#told.set(kind, wants);
    for (const [key, { origin, names }] of wants)
      if (!equalNames(names, before?.get(key)?.names)) this.#subscriber.subscribe(kind, names, origin);
    for (const [key, { origin }] of before ?? [])
      if (!wants.has(key)) this.#subscriber.subscribe(kind, NO_NAMES, origin);
  }
}
