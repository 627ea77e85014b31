import { join } from "node:path";
import type { Log } from "@heddle/telemetry";
import type { EntryTable } from "./entry-table.ts";
import { encodeBatches } from "./log/batches.ts";
import { encodeFrame } from "./log/frame.ts";
import { LogFiles } from "./log/log-files.ts";
import { type Loss, type Recovery, recover } from "./log/recover.ts";
import type { StoreFolder } from "./log/store-folder.ts";
import { Staging, type Verdict } from "./staging.ts";
import type { CommitOutcome, Store, StoreChange, StoredEntry, StoreWatcher } from "./store.ts";
import { StoreError } from "./store-error.ts";
import { faultOfBatch, STORE_LIMITS, type StoreLimits } from "./store-limits.ts";
import { Watchers } from "./watchers.ts";

export interface LogStoreOptions {
  readonly folder: StoreFolder;
  readonly log: Log;
  readonly limits?: StoreLimits;
  /** A snapshot is written when the logs hold more than this, and more than twice what is stored. Default: 4 MiB. */
  readonly minLogBytes?: number;
  /** Where what was committed is damaged, goes on with what came before the damage rather than refuse to start. */
  readonly acceptDataLoss?: boolean;
}

/**
 * A store in a folder of one process: an append-only log, and snapshots that keep it short.
 *
 * A batch is committed once it is durable (fsync); batches that come while one is being written share the next frame.
 * Nothing becomes visible before. What cannot be written leaves no trace: the log is cut back to what was committed. Where
 * even that fails, or an fsync has failed, nobody knows what the disk holds, and the store takes no more until it is opened
 * anew: the kernel reports a failed write-back once, and the next fsync would succeed over the hole.
 */
export class LogStore implements Store {
  readonly name: string;
  readonly #folder: StoreFolder;
  readonly #files: LogFiles;
  readonly #log: Log;
  readonly #limits: StoreLimits;
  readonly #minLogBytes: number;
  readonly #acceptDataLoss: boolean;
  readonly #watchers = new Watchers();

  #state: "new" | "open" | "closed" = "new";
  /** Nobody knows what the disk holds. */
  #broken = false;
  #table: EntryTable | undefined;
  #trouble: string | undefined;
  #queue: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #snapshotting: Promise<void> | undefined;
  #nextSnapshotBytes = 0;

  constructor({ folder, log, limits, minLogBytes, acceptDataLoss }: LogStoreOptions) {
    this.name = `log ${folder.path}`;
    this.#folder = folder;
    this.#files = new LogFiles(folder);
    this.#log = log.with({ part: "store", folder: folder.path });
    this.#limits = limits ?? STORE_LIMITS;
    this.#minLogBytes = minLogBytes ?? MIN_LOG_BYTES;
    this.#acceptDataLoss = acceptDataLoss ?? false;
  }

  get entries(): ReadonlyMap<string, StoredEntry> | undefined {
    return this.#table?.entries;
  }

  get revision(): number {
    return this.#table?.revision ?? 0;
  }

  get trouble(): string | undefined {
    return this.#trouble;
  }

  get keyFile(): (name: string) => string {
    return (name) => join(this.#folder.path, name);
  }

  watch(watcher: StoreWatcher): () => void {
    return this.#watchers.add(watcher);
  }

  /** Rejects with a `StoreError` where another process has the folder or what was committed is damaged. */
  async start(): Promise<void> {
    if (this.#state !== "new") throw new Error(`${this.name} has been started before`);
    await this.#folder.open();
    let table: EntryTable;
    try {
      table = await this.#readFiles();
    } catch (error) {
      await this.#files.close();
      await this.#folder.close();
      if (error instanceof StoreError) throw error;
      throw new StoreError("unusable", `${this.name} cannot be read: ${(error as Error).message}`, error);
    }
    this.#table = table;
    this.#state = "open";
    this.#planSnapshot();
    this.#watchers.tell(table.everything());
    this.#writing ??= this.#writeQueue(); // a snapshot may be due
  }

  commit(changes: readonly StoreChange[]): Promise<CommitOutcome> {
    if (this.#state !== "open" || this.#broken) return Promise.resolve(unavailable(this.#whyNot()));
    const fault = faultOfBatch(changes, this.#limits);
    if (fault !== undefined) return Promise.resolve({ type: "refused", message: fault });
    // Copied now: whoever owns the bytes may change them while the batch waits.
    const copies = changes.map((change) => ({ ...change, value: change.value && Uint8Array.from(change.value) }));
    return new Promise((resolve) => {
      this.#queue.push({ changes: copies, resolve });
      this.#writing ??= this.#writeQueue();
    });
  }

  async close(): Promise<void> {
    const wasStarted = this.#table !== undefined && this.#state !== "closed";
    this.#state = "closed";
    await this.#writing;
    await this.#snapshotting;
    this.#watchers.clear();
    if (!wasStarted) return;
    await this.#files.close();
    await this.#folder.close();
  }

  async #readFiles(): Promise<EntryTable> {
    const files = await this.#files.readAll();
    const recovered = recover(files);
    if (!recovered.ok) return await this.#goOnWithLoss(recovered.error, files.keys());
    this.#tell(recovered.value);
    await this.#files.goOn(recovered.value);
    return recovered.value.table;
  }

  #tell({ log, harmless }: Recovery): void {
    for (const damage of harmless)
      this.#log.warn("a snapshot is damaged; the one before it and the logs have all that it held", { ...damage });
    if (log === undefined || log.goodBytes === log.bytes) return;
    const cut = { file: log.name, offset: log.goodBytes, bytes: log.bytes - log.goodBytes };
    this.#log.warn(
      "the log ends in a write that never came to its end, so nobody was told that it was kept; cut off",
      cut,
    );
  }

  async #goOnWithLoss({ damage, usable, highestRevision }: Loss, read: Iterable<string>): Promise<EntryTable> {
    const { file, offset, what } = damage;
    const { entries, revision } = usable;
    if (!this.#acceptDataLoss)
      throw new StoreError(
        "damaged",
        `${this.#folder.path}/${file} is damaged at byte ${offset}: ${what}. What was committed there would be lost, so ` +
          "the store is not opened. Put back a copy of the folder, or start once with --store-accept-data-loss: that " +
          `goes on with the ${entries.size} entries of revision ${revision} and keeps the files as damaged-*`,
      );
    this.#log.error("data loss accepted: going on with what came before the damage", {
      ...damage,
      entries: entries.size,
      revision,
    });
    usable.reach(highestRevision + SKIPPED_REVISIONS);
    await this.#files.beginAnew(usable.revision, [...entries.values()], read);
    return usable;
  }

  /** Writes what waits, until nothing does. Never rejects. */
  async #writeQueue(): Promise<void> {
    await Promise.resolve(); // batches that are asked for in the same turn share the first frame too
    for (;;) {
      if (this.#snapshotIsDue) await this.#beginSnapshot();
      if (this.#queue.length === 0) break;
      await this.#writeGroup(this.#takeGroup());
    }
    this.#writing = undefined;
  }

  /** As many batches as may stand in one frame, in the order in which they came. */
  #takeGroup(): Waiting[] {
    let bytes = 0;
    const beyond = this.#queue.findIndex(({ changes }, index) => {
      for (const { value } of changes) bytes += value?.byteLength ?? 0;
      return index > 0 && bytes > this.#limits.maxBatchBytes;
    });
    return this.#queue.splice(0, beyond === -1 ? this.#queue.length : beyond);
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    const table = this.#table!;
    const staging = new Staging(table, this.#limits);
    const verdicts = group.map(({ changes }) => staging.stage(changes));
    const staged = verdicts.filter((verdict) => verdict.type === "staged");
    const fault = await this.#makeDurable(staged);
    if (fault === undefined)
      for (const { revision, changes } of staged) this.#watchers.tell(table.apply(revision, changes));
    for (const [index, { resolve }] of group.entries())
      resolve(fault === undefined ? outcomeOf(verdicts[index]!) : unavailable(fault));
  }

  /** Or says why it cannot be done; then nothing of it is left. */
  async #makeDurable(batches: readonly { readonly changes: readonly StoreChange[] }[]): Promise<string | undefined> {
    if (this.#broken) return this.#trouble;
    if (batches.length === 0) return undefined;
    const payload = encodeBatches(batches.map(({ changes }) => changes));
    const written = await this.#files.append(encodeFrame(this.revision + 1, payload));
    if (written.type === "durable") this.#setTrouble(undefined);
    else if (!written.sound) this.#break(written.fault);
    else this.#setTrouble(written.fault);
    return written.type === "durable" ? undefined : written.fault;
  }

  #break(fault: string): void {
    this.#broken = true;
    this.#setTrouble(`${fault}; nothing more is taken until the control plane has been started anew`);
  }

  #setTrouble(trouble: string | undefined): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    if (trouble === undefined) this.#log.info("the store takes changes again");
    else this.#log.error("the store cannot be written", { fault: trouble });
    this.#watchers.tell({ revision: this.revision, changed: [], removed: [] });
  }

  #whyNot(): string {
    if (this.#state === "closed") return "the store has been closed";
    return this.#trouble ?? "the store has not been read yet";
  }

  get #snapshotIsDue(): boolean {
    return this.#files.uncoveredBytes > this.#nextSnapshotBytes && !this.#snapshotting && !this.#broken;
  }

  #planSnapshot(): void {
    this.#nextSnapshotBytes = Math.max(this.#minLogBytes, SNAPSHOT_FACTOR * this.#table!.bytes);
  }

  /** Between two frames. The snapshot itself is written beside the commits that follow. */
  async #beginSnapshot(): Promise<void> {
    const rotated = await this.#files.rotate(this.revision);
    if (rotated.type === "failed") {
      this.#putOffSnapshot(rotated.fault);
      if (!rotated.sound) this.#break(rotated.fault);
      return;
    }
    this.#snapshotting = this.#files.writeSnapshot(this.revision, [...this.entries!.values()]).then(
      () => this.#planSnapshot(),
      (error: unknown) => this.#putOffSnapshot((error as Error).message),
    );
    void this.#snapshotting.then(() => {
      this.#snapshotting = undefined;
    });
  }

  #putOffSnapshot(fault: string): void {
    this.#nextSnapshotBytes = this.#files.uncoveredBytes + this.#minLogBytes;
    this.#log.warn("no snapshot could be written; the log grows", { fault });
  }
}

const MIN_LOG_BYTES = 4 * 1024 * 1024;
const SNAPSHOT_FACTOR = 2;
/** After a loss: somebody may have seen revisions that are not in the files any more. */
const SKIPPED_REVISIONS = 1_000_000_000;

interface Waiting {
  readonly changes: readonly StoreChange[];
  readonly resolve: (outcome: CommitOutcome) => void;
}

function outcomeOf(verdict: Verdict): CommitOutcome {
  switch (verdict.type) {
    case "staged":
    case "unchanged":
      return { type: "committed", revision: verdict.revision };
    case "conflict":
    case "refused":
      return verdict;
  }
}

function unavailable(message: string): CommitOutcome {
  return { type: "unavailable", message };
}
