import type { Store, StoredEntry, StoreUpdate } from "../store/store.ts";

/** One key's change. */
export interface Change {
  readonly revision: number;
  readonly key: string;
  /** Undefined: it is gone. */
  readonly entry: StoredEntry | undefined;
}

/**
 * The last changes of a store, for those who follow it and want to go on where they were. Bounded: who has been away for
 * longer is told everything anew.
 */
export class History {
  readonly #store: Store;
  readonly #changes: Change[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #unwatch: () => void;
  #bytes = 0;
  /** All changes after this revision are known. */
  #knownAfter: number;
  #last: number;
  /** What a store finds when it is first read is no change: who asks for it is told everything. */
  #awaitsFirst: boolean;

  constructor(store: Store) {
    this.#store = store;
    this.#awaitsFirst = store.entries === undefined;
    this.#knownAfter = store.revision;
    this.#last = store.revision;
    this.#unwatch = store.watch((update) => this.#add(update));
  }

  /** The changes after a revision, in their order; undefined where they are not known, which is also said of the future. */
  since(revision: number): readonly Change[] | undefined {
    if (revision < this.#knownAfter || revision > this.#last) return undefined;
    // Newest last, and most who ask are near the end.
    let first = this.#changes.length;
    while (first > 0 && this.#changes[first - 1]!.revision > revision) first -= 1; // within the list
    return this.#changes.slice(first);
  }

  /** Calls back after changes, until the returned function is called. */
  onChange(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  close(): void {
    this.#unwatch();
    this.#watchers.clear();
  }

  #add({ revision, changed, removed }: StoreUpdate): void {
    if (this.#awaitsFirst) {
      this.#awaitsFirst = this.#store.entries === undefined; // it may have told of a trouble alone
      this.#knownAfter = revision;
      this.#last = revision;
    } else if (revision < this.#last) {
      // The store has been set back: of what came before nothing leads to what it holds now.
      this.#changes.length = 0;
      this.#bytes = 0;
      this.#knownAfter = revision;
      this.#last = revision;
    } else if (revision > this.#last) {
      for (const entry of changed) this.#push({ revision, key: entry.key, entry });
      for (const key of removed) this.#push({ revision, key, entry: undefined });
      this.#last = revision;
      this.#trim();
    }
    for (const watcher of Array.from(this.#watchers)) watcher();
  }

  #push(change: Change): void {
    this.#changes.push(change);
    this.#bytes += change.entry?.value.length ?? 0;
  }

  /** Takes away whole revisions: half of one is no step. */
  #trim(): void {
    let count = 0;
    while (this.#changes.length - count > MAX_CHANGES || (this.#bytes > MAX_BYTES && count < this.#changes.length)) {
      const { revision } = this.#changes[count]!; // count is below the length
      while (count < this.#changes.length && this.#changes[count]!.revision === revision) {
        this.#bytes -= this.#changes[count]!.entry?.value.length ?? 0;
        count += 1;
      }
      this.#knownAfter = revision;
    }
    if (count > 0) this.#changes.splice(0, count);
  }
}

const MAX_CHANGES = 4096;
const MAX_BYTES = 16 * 1024 * 1024;
