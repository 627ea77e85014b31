import { type EntryTable, entryBytes } from "./entry-table.ts";
import type { CommitOutcome, StoreChange } from "./store.ts";
import type { StoreLimits } from "./store-limits.ts";

/**
 * Batches that are about to be written together, over the table that they will change. Each is judged by what is there once
 * those before it are; none is in the table before all are durable.
 */
export class Staging {
  readonly #table: EntryTable;
  readonly #limits: StoreLimits;
  readonly #over = new Map<string, Staged | undefined>();
  #revision: number;
  #entries: number;
  #bytes: number;

  constructor(table: EntryTable, limits: StoreLimits) {
    this.#table = table;
    this.#limits = limits;
    this.#revision = table.revision;
    this.#entries = table.entries.size;
    this.#bytes = table.bytes;
  }

  /** Puts the batch behind those that are staged, or says why it cannot be. `unchanged`: it would change nothing. */
  stage(changes: readonly StoreChange[]): Verdict {
    const conflicts = changes.flatMap(({ key, expectedRevision }) => {
      const foundRevision = this.#find(key)?.revision ?? 0;
      return expectedRevision === undefined || expectedRevision === foundRevision
        ? []
        : [{ key, expectedRevision, foundRevision }];
    });
    if (conflicts.length > 0) return { type: "conflict", conflicts };
    const { maxEntries, maxTotalBytes } = this.#limits;
    const after = this.#sizeAfter(changes);
    if (after.entries > maxEntries && after.entries > this.#entries)
      return { type: "refused", message: `the store would hold ${after.entries} entries; allowed: ${maxEntries}` };
    if (after.bytes > maxTotalBytes && after.bytes > this.#bytes)
      return { type: "refused", message: `the store would hold ${after.bytes} bytes; allowed: ${maxTotalBytes}` };

    const effective = changes.filter(({ key, value }) => value !== undefined || this.#find(key) !== undefined);
    if (effective.length === 0) return { type: "unchanged", revision: this.#revision };
    this.#revision += 1;
    this.#entries = after.entries;
    this.#bytes = after.bytes;
    for (const { key, value } of effective)
      this.#over.set(
        key,
        value === undefined ? undefined : { revision: this.#revision, bytes: entryBytes(key, value) },
      );
    return { type: "staged", revision: this.#revision, changes: effective };
  }

  #sizeAfter(changes: readonly StoreChange[]): { readonly entries: number; readonly bytes: number } {
    let entries = this.#entries;
    let bytes = this.#bytes;
    for (const { key, value } of changes) {
      const before = this.#find(key);
      entries += (value === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
      bytes += (value === undefined ? 0 : entryBytes(key, value)) - (before?.bytes ?? 0);
    }
    return { entries, bytes };
  }

  #find(key: string): Staged | undefined {
    if (this.#over.has(key)) return this.#over.get(key);
    const entry = this.#table.entries.get(key);
    return entry && { revision: entry.revision, bytes: entryBytes(key, entry.value) };
  }
}

interface Staged {
  readonly revision: number;
  readonly bytes: number;
}

export type Verdict =
  | { readonly type: "staged"; readonly revision: number; readonly changes: readonly StoreChange[] }
  | { readonly type: "unchanged"; readonly revision: number }
  | Extract<CommitOutcome, { type: "conflict" | "refused" }>;
