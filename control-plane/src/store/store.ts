/**
 * Where the control plane keeps what people put into it. A store knows keys and bytes; what they mean is known above it.
 *
 * Entries change in batches. A batch happens whole or not at all, in one revision; revisions rise through the whole store
 * and none is used twice, so a revision says exactly what was there. What was committed survives the end of the process at
 * any moment.
 */
export interface Store {
  /** For status: "log /var/lib/heddle/resources", "etcd 127.0.0.1:2379". */
  readonly name: string;
  /**
   * Everything that is stored, by key. Undefined until it has been read: nobody may then conclude that something does not
   * exist. A live view: the map changes in place, its entries never do.
   */
  readonly entries: ReadonlyMap<string, StoredEntry> | undefined;
  /** Of the last batch that `entries` contains; 0 for a store that has never held anything. */
  readonly revision: number;
  /**
   * Why the store could not be written, or be followed, of late; undefined when all is well. No reason not to try: a disk may
   * have room again, and only the next commit finds out.
   */
  readonly trouble: string | undefined;
  /** Where a secret that belongs to the store's content may lie in a file of that name. Left out: there is no such place. */
  readonly keyFile?: ((name: string) => string) | undefined;
  /** Reads what is there and begins to follow it. Rejects if it can never be used; otherwise `trouble` says what is missing. */
  start(): Promise<void>;
  /**
   * Calls back after `entries` or `trouble` has changed, in the order of revisions, until the returned function is called.
   * The first reading is a step too, which brings every entry. A change of `trouble` alone is a step that brings none.
   */
  watch(watcher: StoreWatcher): () => void;
  /**
   * Resolves when the batch is durable, `entries` contains it and the watchers have heard of it. Values are copied. A batch
   * that removes what is not there, and nothing else, is committed without a new revision. Batches of one store happen in
   * the order in which they were asked for.
   */
  commit(changes: readonly StoreChange[]): Promise<CommitOutcome>;
  /** Lets what has been asked for come to its end, then lets go of everything. Commits afterwards are `unavailable`. */
  close(): Promise<void>;
}

export interface StoredEntry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Of the batch that last changed this entry: what a later change may expect. */
  readonly revision: number;
  /** Of the batch that brought it into being. */
  readonly createdRevision: number;
}

export interface StoreChange {
  readonly key: string;
  /** Undefined removes the entry. */
  readonly value: Uint8Array | undefined;
  /** The revision that the entry must have now; 0: it must not exist. Left out: whatever it is. */
  readonly expectedRevision?: number;
}

export type CommitOutcome =
  | { readonly type: "committed"; readonly revision: number }
  /** Nothing has changed: somebody else was first. `foundRevision` 0: there is no such entry. */
  | {
      readonly type: "conflict";
      readonly conflicts: readonly {
        readonly key: string;
        readonly expectedRevision: number;
        readonly foundRevision: number;
      }[];
    }
  /** Nothing has changed, nor would it another time: the batch is over a limit, or names a key twice. `message` says which. */
  | { readonly type: "refused"; readonly message: string }
  /** Nothing is known to have changed: the disk is full, the store cannot be reached. */
  | { readonly type: "unavailable"; readonly message: string };

export type StoreWatcher = (update: StoreUpdate) => void;

/** What one step brought. A store that had to read everything anew says the difference as one step. */
export interface StoreUpdate {
  readonly revision: number;
  readonly changed: readonly StoredEntry[];
  readonly removed: readonly string[];
}
