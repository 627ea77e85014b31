import type { CommitOutcome, Store, StoreChange, StoredEntry, StoreUpdate, StoreWatcher } from "./store.ts";

/** A store in memory for tests: it can be behind, in trouble, and written by somebody else. */
export class ScriptedStore implements Store {
  readonly name = "scripted";
  entries: ReadonlyMap<string, StoredEntry> | undefined;
  revision = 0;
  trouble: string | undefined;
  /** Called before a commit is looked at: another replica's moment. */
  beforeCommit: () => void = () => {};
  /** What the next commits say, in place of doing anything. */
  unavailable: string | undefined;
  commits = 0;
  readonly #watchers = new Set<StoreWatcher>();
  #held: ReadonlyMap<string, StoredEntry> = new Map();

  async start(): Promise<void> {
    this.entries = this.#held;
    this.#tell({ revision: this.revision, changed: [...this.#held.values()], removed: [] });
  }

  watch(watcher: StoreWatcher): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  async commit(changes: readonly StoreChange[]): Promise<CommitOutcome> {
    this.commits += 1;
    this.beforeCommit();
    if (this.unavailable !== undefined) return { type: "unavailable", message: this.unavailable };
    const conflicts = changes.flatMap(({ key, expectedRevision }) => {
      const foundRevision = this.#held.get(key)?.revision ?? 0;
      if (expectedRevision === undefined || expectedRevision === foundRevision) return [];
      return [{ key, expectedRevision, foundRevision }];
    });
    if (conflicts.length > 0) return { type: "conflict", conflicts };
    this.put(...changes);
    return { type: "committed", revision: this.revision };
  }

  /** What somebody else commits. */
  put(...changes: readonly StoreChange[]): void {
    this.revision += 1;
    const next = new Map(this.#held);
    const changed: StoredEntry[] = [];
    const removed: string[] = [];
    for (const { key, value } of changes) {
      const before = next.get(key);
      if (value === undefined) {
        if (next.delete(key)) removed.push(key);
        continue;
      }
      const entry = { key, value, revision: this.revision, createdRevision: before?.createdRevision ?? this.revision };
      next.set(key, entry);
      changed.push(entry);
    }
    this.#held = next;
    if (this.entries === undefined) return;
    this.entries = next;
    this.#tell({ revision: this.revision, changed, removed });
  }

  /** Begins or ends a trouble. */
  setTrouble(trouble: string | undefined): void {
    this.trouble = trouble;
    this.#tell({ revision: this.revision, changed: [], removed: [] });
  }

  async close(): Promise<void> {
    this.#watchers.clear();
  }

  #tell(update: StoreUpdate): void {
    for (const watcher of Array.from(this.#watchers)) watcher(update);
  }
}
