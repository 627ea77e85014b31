import type { CommitOutcome, Store, StoreChange, StoredEntry, StoreUpdate, StoreWatcher } from "./store.ts";
import { faultOfBatch, STORE_LIMITS } from "./store-limits.ts";
import { Watchers } from "./watchers.ts";

/**
 * The entries of a store whose keys begin with `prefix`, without it, and those whose keys do not: each as a store of its own,
 * so that what one owner keeps there is nothing to the other.
 *
 * Revisions are the whole store's: a step that touches nothing of a part is told there as one that brings nothing. The store
 * is started by its owner, and closed after both parts.
 */
export function splitStore(store: Store, prefix: string): { readonly part: Store; readonly rest: Store } {
  return {
    part: new StorePart(
      store,
      (key) => (key.startsWith(prefix) ? key.slice(prefix.length) : undefined),
      (key) => prefix + key,
    ),
    rest: new StorePart(
      store,
      (key) => (key.startsWith(prefix) ? undefined : key),
      (key) => key,
    ),
  };
}

class StorePart implements Store {
  readonly #store: Store;
  readonly #toPart: (key: string) => string | undefined;
  readonly #toStore: (key: string) => string;
  readonly #watchers = new Watchers();
  readonly #unwatch: () => void;
  #entries: Map<string, StoredEntry> | undefined;
  #revision: number;
  #isClosed = false;

  constructor(store: Store, toPart: (key: string) => string | undefined, toStore: (key: string) => string) {
    this.#store = store;
    this.#toPart = toPart;
    this.#toStore = toStore;
    this.#revision = store.revision;
    this.#readAll();
    this.#unwatch = store.watch((update) => this.#follow(update));
  }

  get name(): string {
    return this.#store.name;
  }

  get entries(): ReadonlyMap<string, StoredEntry> | undefined {
    return this.#entries;
  }

  get revision(): number {
    return this.#revision;
  }

  get trouble(): string | undefined {
    return this.#store.trouble;
  }

  get keyFile(): ((name: string) => string) | undefined {
    return this.#store.keyFile;
  }

  async start(): Promise<void> {}

  watch(watcher: StoreWatcher): () => void {
    return this.#watchers.add(watcher);
  }

  async commit(changes: readonly StoreChange[]): Promise<CommitOutcome> {
    if (this.#isClosed) return { type: "unavailable", message: `${this.name} has been closed` };
    const fault = faultOfBatch(changes, STORE_LIMITS); // the store's own would speak of other keys
    if (fault !== undefined) return { type: "refused", message: fault };
    const stranger = changes.find(({ key }) => this.#toPart(this.#toStore(key)) === undefined);
    if (stranger !== undefined) return { type: "refused", message: `the key "${stranger.key}" is reserved` };
    const outcome = await this.#store.commit(changes.map((change) => ({ ...change, key: this.#toStore(change.key) })));
    if (outcome.type !== "conflict") return outcome;
    return {
      type: "conflict",
      conflicts: outcome.conflicts.map((one) => ({ ...one, key: this.#toPart(one.key) ?? one.key })),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unwatch();
    this.#watchers.clear();
  }

  #readAll(): void {
    const { entries } = this.#store;
    if (entries === undefined) return;
    this.#entries = new Map();
    for (const entry of entries.values()) this.#take(this.#entries, entry);
  }

  #follow({ revision, changed, removed }: StoreUpdate): void {
    this.#revision = revision;
    if (this.#entries === undefined) {
      // The first reading, or a trouble before it.
      this.#readAll();
      this.#watchers.tell({ revision, changed: [...(this.#entries ?? new Map()).values()], removed: [] });
      return;
    }
    const entries = this.#entries;
    const mine = changed.flatMap((entry) => this.#take(entries, entry) ?? []);
    const gone = removed.flatMap((key) => this.#toPart(key) ?? []);
    for (const key of gone) entries.delete(key);
    this.#watchers.tell({ revision, changed: mine, removed: gone });
  }

  #take(entries: Map<string, StoredEntry>, entry: StoredEntry): StoredEntry | undefined {
    const key = this.#toPart(entry.key);
    if (key === undefined) return undefined;
    const own = key === entry.key ? entry : Object.freeze({ ...entry, key });
    entries.set(key, own);
    return own;
  }
}
