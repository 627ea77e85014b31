import { type FSWatcher, watch } from "node:fs";
import { join } from "node:path";

/**
 * Tells when anything happens in some folders. Only a hint: events come late, twice, or not at all (network file systems,
 * no inotify watches left), so whoever uses it also looks from time to time.
 */
export class FolderWatcher {
  readonly #onEvent: (place: string | undefined) => void;
  readonly #watchers = new Map<string, FSWatcher>();

  /** `onEvent`: where it happened; undefined where that is not known. */
  constructor(onEvent: (place: string | undefined) => void) {
    this.#onEvent = onEvent;
  }

  /** Replaces the folders that are watched. One that cannot be watched is tried again the next time. */
  watch(folders: ReadonlySet<string>): void {
    for (const folder of this.#watchers.keys()) if (!folders.has(folder)) this.#drop(folder);
    for (const folder of folders) {
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { persistent: false }, (_event, name) =>
          this.#onEvent(name === null ? undefined : join(folder, name)),
        );
        this.#watchers.set(folder, watcher);
        watcher.on("error", () => this.#drop(folder));
      } catch {
        // ENOENT: gone meanwhile. ENOSPC, EMFILE: no watches left; the look from time to time has to do.
      }
    }
  }

  close(): void {
    for (const folder of this.#watchers.keys()) this.#drop(folder);
  }

  #drop(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }
}
