import type { StoredEntry } from "../store.ts";
import { FILE_HEAD_BYTES } from "./frame.ts";
import { encodeLogHead, fileName, isOlder, type Recovery, revisionOfName } from "./recover.ts";
import { encodeSnapshot } from "./snapshot.ts";
import type { StoreFile, StoreFolder } from "./store-folder.ts";

/** What came of a write. `sound`: the files are as they were before it, and another one may be tried. */
export type WriteOutcome =
  | { readonly type: "durable" }
  | { readonly type: "failed"; readonly fault: string; readonly sound: boolean };

const UNFINISHED = ".unfinished";

/**
 * The files of a log store: which there are, what is added to them, and in which order, so that a crash between any two
 * steps leaves what `recover` understands.
 */
export class LogFiles {
  readonly #folder: StoreFolder;
  #log: StoreFile | undefined;
  /** Of the log that is written to: how much is committed. */
  #goodBytes = 0;
  /** Of all logs that no snapshot covers. */
  #uncoveredBytes = 0;
  /** Of these, what the next snapshot will cover. */
  #coveredBytes = 0;

  constructor(folder: StoreFolder) {
    this.#folder = folder;
  }

  get uncoveredBytes(): number {
    return this.#uncoveredBytes;
  }

  /** Every snapshot and log. What a crash left unfinished is removed. */
  async readAll(): Promise<Map<string, Buffer>> {
    const files = new Map<string, Buffer>();
    for (const name of await this.#folder.list()) {
      if (name.endsWith(UNFINISHED)) await this.#folder.remove(name);
      else if (isOurs(name)) files.set(name, await this.#folder.read(name));
    }
    return files;
  }

  /** Goes on with the files that were read. */
  async goOn({ log, obsolete, table, replayedBytes }: Recovery): Promise<void> {
    const hasHead = log !== undefined && log.goodBytes > 0;
    if (!hasHead) await this.#makeLog(table.revision);
    this.#goodBytes = hasHead ? log.goodBytes : FILE_HEAD_BYTES;
    this.#log = await this.#folder.append(log?.name ?? fileName("log", table.revision), this.#goodBytes);
    // What has been read may so far be in the kernel's memory alone; from now on it is seen, so it must not vanish.
    await this.#log.sync();
    this.#uncoveredBytes = replayedBytes;
    for (const name of obsolete) await this.#folder.remove(name);
  }

  /** Begins with what could be saved of the files that were read, of which copies are kept. */
  async beginAnew(revision: number, entries: readonly StoredEntry[], read: Iterable<string>): Promise<void> {
    for (const name of read) await this.#folder.copy(name, `damaged-${name}`);
    await this.#makeLog(revision); // higher than any other, so what follows may be interrupted anywhere
    await this.writeSnapshot(revision, entries);
    this.#goodBytes = FILE_HEAD_BYTES;
    this.#log = await this.#folder.append(fileName("log", revision), FILE_HEAD_BYTES);
  }

  /** Adds a frame to the log. What cannot be made durable is cut off again. */
  async append(frame: Uint8Array): Promise<WriteOutcome> {
    const log = this.#log!;
    let doing = "written";
    try {
      await log.write(frame);
      doing = "made durable (fsync)";
      await log.sync();
    } catch (error) {
      const fault = `the log cannot be ${doing}: ${(error as Error).message}`;
      const cut = await succeeds(log.truncate(this.#goodBytes));
      // The kernel reports a failed write-back once; the next fsync would succeed over the hole.
      return { type: "failed", fault, sound: cut && doing === "written" };
    }
    this.#goodBytes += frame.length;
    this.#uncoveredBytes += frame.length;
    return { type: "durable" };
  }

  /**
   * Lets a new log begin, at the revision that the one before it ends with. To be called before the snapshot of that
   * revision is written: the other way round one could stand there without the log that it needs.
   */
  async rotate(revision: number): Promise<WriteOutcome> {
    const name = fileName("log", revision);
    if (this.#goodBytes === FILE_HEAD_BYTES) {
      this.#coveredBytes = this.#uncoveredBytes;
      return { type: "durable" }; // it is that log already
    }
    let doing = "begun";
    try {
      await this.#writeUnfinished(name, [encodeLogHead(revision)]);
      doing = "put in its place";
      await this.#putInPlace(name);
      const next = await this.#folder.append(name, FILE_HEAD_BYTES);
      await succeeds(this.#log!.close()); // it is durable to its end
      this.#log = next;
      this.#goodBytes = FILE_HEAD_BYTES;
      this.#coveredBytes = this.#uncoveredBytes;
    } catch (error) {
      // If its name may have become durable, nothing may be added to the log before it: the two would contradict each other.
      return {
        type: "failed",
        fault: `a new log cannot be ${doing}: ${(error as Error).message}`,
        sound: doing === "begun",
      };
    }
    return { type: "durable" };
  }

  /** Writes everything that was stored when the log was rotated, and then removes what that makes superfluous. */
  async writeSnapshot(revision: number, entries: readonly StoredEntry[]): Promise<void> {
    const covered = this.#coveredBytes;
    const name = fileName("snapshot", revision);
    try {
      await this.#writeUnfinished(name, encodeSnapshot(revision, entries));
    } catch (error) {
      await succeeds(this.#folder.remove(name + UNFINISHED)); // it may be what fills the disk
      throw error;
    }
    await this.#putInPlace(name);
    this.#uncoveredBytes -= covered;
    for (const old of await this.#folder.list()) if (isOlder(old, revision)) await this.#folder.remove(old);
  }

  async close(): Promise<void> {
    if (this.#log !== undefined) await succeeds(this.#log.close());
    this.#log = undefined;
  }

  async #makeLog(revision: number): Promise<void> {
    const name = fileName("log", revision);
    await this.#writeUnfinished(name, [encodeLogHead(revision)]);
    await this.#putInPlace(name);
  }

  /** A file has its name from when it is whole and durable. */
  async #writeUnfinished(name: string, pieces: Iterable<Uint8Array>): Promise<void> {
    const file = await this.#folder.create(name + UNFINISHED);
    try {
      for (const piece of pieces) await file.write(piece);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #putInPlace(name: string): Promise<void> {
    await this.#folder.rename(name + UNFINISHED, name);
    await this.#folder.sync();
  }
}

function isOurs(name: string): boolean {
  return revisionOfName("log", name) !== undefined || revisionOfName("snapshot", name) !== undefined;
}

async function succeeds(step: Promise<void>): Promise<boolean> {
  return step.then(
    () => true,
    () => false,
  );
}
