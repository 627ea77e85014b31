import { EntryTable } from "./entry-table.ts";
import type { CommitOutcome, Store, StoreChange, StoredEntry, StoreWatcher } from "./store.ts";
import { faultOfBatch, STORE_LIMITS } from "./store-limits.ts";
import { Watchers } from "./watchers.ts";

/** A store that ends with its process, for who needs one and has no place for it. */
export class MemoryStore implements Store {
  readonly name = "memory";
  readonly trouble = undefined;
  readonly #watchers = new Watchers();
  #table: EntryTable | undefined;
  #isClosed = false;

  get entries(): ReadonlyMap<string, StoredEntry> | undefined {
    return this.#table?.entries;
  }

  get revision(): number {
    return this.#table?.revision ?? 0;
  }

  async start(): Promise<void> {
    this.#table = new EntryTable();
    this.#watchers.tell(this.#table.everything());
  }

  watch(watcher: StoreWatcher): () => void {
    return this.#watchers.add(watcher);
  }

  async commit(changes: readonly StoreChange[]): Promise<CommitOutcome> {
    const table = this.#table;
    if (table === undefined || this.#isClosed) return { type: "unavailable", message: "the store is not open" };
    const fault = faultOfBatch(changes, STORE_LIMITS);
    if (fault !== undefined) return { type: "refused", message: fault };
    const conflicts = changes.flatMap(({ key, expectedRevision }) => {
      const foundRevision = table.entries.get(key)?.revision ?? 0;
      return expectedRevision === undefined || expectedRevision === foundRevision
        ? []
        : [{ key, expectedRevision, foundRevision }];
    });
    if (conflicts.length > 0) return { type: "conflict", conflicts };
    if (changes.every(({ key, value }) => value === undefined && !table.entries.has(key)))
      return { type: "committed", revision: table.revision };
    const copies = changes.map((change) => ({ ...change, value: change.value && Uint8Array.from(change.value) }));
    const update = table.apply(table.revision + 1, copies);
    this.#watchers.tell(update);
    return { type: "committed", revision: update.revision };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watchers.clear();
  }
}
