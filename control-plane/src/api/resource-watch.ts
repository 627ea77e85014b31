import type { Store, StoredEntry } from "../store/store.ts";
import type { History } from "./history.ts";
import { parseStoreKey, type ResourceKey } from "./resource-key.ts";
import { showResource } from "./show-resource.ts";
import type { WatchEvent } from "./wire.ts";

export interface ResourceWatchOptions {
  readonly store: Store;
  readonly history: History;
  readonly select: (key: ResourceKey) => boolean;
  /** Undefined: everything that there is first. */
  readonly fromRevision: number | undefined;
  readonly onReady: () => void;
  readonly onClose: () => void;
}

/** A reader that reads nothing holds what was taken for it, and there are many readers. */
const MAX_BYTES = 1024 * 1024;

/**
 * One follower of the store. It is asked for the next events when its reader has room, so that a slow reader costs a place in
 * the history and no queue; one that falls out of the history is told everything anew.
 */
export class ResourceWatch {
  readonly #options: ResourceWatchOptions;
  readonly #unwatch: () => void;
  /** The last revision that has been told whole. */
  #position: number;
  /** What is still to be told of the state at `#position`. */
  #state: StoredEntry[] | undefined;
  #tellsResync = false;
  #closed = false;

  constructor(options: ResourceWatchOptions) {
    this.#options = options;
    const { store, fromRevision } = options;
    this.#position = fromRevision ?? store.revision;
    if (fromRevision === undefined) this.#tellState();
    this.#unwatch = options.history.onChange(options.onReady);
  }

  /** The next events, at most about so many and a MiB; none: there is nothing more now. */
  take(most: number): readonly WatchEvent[] {
    if (this.#closed) return [];
    if (this.#state === undefined && this.#options.history.since(this.#position) === undefined) {
      this.#tellsResync = true;
      this.#tellState();
    }
    return this.#state === undefined ? this.#takeChanges(most) : this.#takeState(this.#state, most);
  }

  /** Where the next watch may begin, to be said when there is nothing else to say. */
  get synced(): WatchEvent {
    return { type: "SYNCED", revision: this.#position };
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#options.onClose();
  }

  #tellState(): void {
    const { store } = this.#options;
    this.#position = store.revision;
    this.#state = [...(store.entries?.values() ?? [])].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #takeState(state: StoredEntry[], most: number): readonly WatchEvent[] {
    const events: WatchEvent[] = [];
    if (this.#tellsResync) events.push({ type: "RESYNC", revision: this.#position });
    this.#tellsResync = false;
    let [count, bytes] = [0, 0];
    while (events.length < most && bytes < MAX_BYTES && count < state.length) {
      const entry = state[count]!; // count is below the length
      count += 1;
      const event = this.#eventOf(entry.key, entry.revision, entry);
      if (event === undefined) continue;
      events.push(event);
      bytes += entry.value.length;
    }
    state.splice(0, count);
    if (state.length === 0) {
      this.#state = undefined;
      events.push(this.synced);
    }
    return events;
  }

  /** Whole revisions: whoever is cut off between two goes on at the right one. */
  #takeChanges(most: number): readonly WatchEvent[] {
    const changes = this.#options.history.since(this.#position) ?? [];
    const events: WatchEvent[] = [];
    let bytes = 0;
    for (const { revision, key, entry } of changes) {
      if ((events.length >= most || bytes >= MAX_BYTES) && revision !== this.#position) break;
      this.#position = revision;
      const event = this.#eventOf(key, revision, entry);
      if (event === undefined) continue;
      events.push(event);
      bytes += entry?.value.length ?? 0;
    }
    return events;
  }

  #eventOf(storeKey: string, revision: number, entry: StoredEntry | undefined): WatchEvent | undefined {
    const key = parseStoreKey(storeKey);
    if (key === undefined || !this.#options.select(key)) return undefined;
    if (entry === undefined) return { type: "DELETE", revision, resource: { key } };
    return { type: "PUT", revision, resource: showResource(key, entry, "redacted") };
  }
}
