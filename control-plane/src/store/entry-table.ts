import type { StoreChange, StoredEntry, StoreUpdate } from "./store.ts";

/** What a store holds, and how a batch changes it. Pure: durability is the business of the store that owns it. */
export class EntryTable {
  readonly #entries = new Map<string, StoredEntry>();
  #revision = 0;
  #bytes = 0;

  /** A live view. */
  get entries(): ReadonlyMap<string, StoredEntry> {
    return this.#entries;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Of all keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Makes a batch part of the table. Values become the table's own: the caller has copied them. */
  apply(revision: number, changes: readonly StoreChange[]): StoreUpdate {
    const changed: StoredEntry[] = [];
    const removed: string[] = [];
    for (const { key, value } of changes) {
      const before = this.#entries.get(key);
      if (value === undefined) {
        if (before === undefined) continue;
        this.#drop(before);
        removed.push(key);
      } else {
        const entry = { key, value, revision, createdRevision: before?.createdRevision ?? revision };
        this.put(entry);
        changed.push(entry);
      }
    }
    this.#revision = revision;
    return { revision, changed, removed };
  }

  /** An entry as it was once stored: of a snapshot, or of another member. */
  put(entry: StoredEntry): void {
    const before = this.#entries.get(entry.key);
    if (before !== undefined) this.#bytes -= entryBytes(before.key, before.value);
    this.#entries.set(entry.key, Object.freeze(entry));
    this.#bytes += entryBytes(entry.key, entry.value);
  }

  /** Removes an entry, if it is there. */
  remove(key: string): boolean {
    const before = this.#entries.get(key);
    if (before !== undefined) this.#drop(before);
    return before !== undefined;
  }

  /** The table is that of this revision, whatever changed on the way. */
  reach(revision: number): void {
    this.#revision = revision;
  }

  /** The table's content as one step, for somebody who knows nothing yet. */
  everything(): StoreUpdate {
    return { revision: this.#revision, changed: [...this.#entries.values()], removed: [] };
  }

  #drop(entry: StoredEntry): void {
    this.#entries.delete(entry.key);
    this.#bytes -= entryBytes(entry.key, entry.value);
  }
}

/** What an entry counts against a store's limit, in bytes. */
export function entryBytes(key: string, value: Uint8Array): number {
  return Buffer.byteLength(key) + value.byteLength;
}
