import { err, ok, type Result } from "@heddle/base";
import { EntryTable } from "../entry-table.ts";
import { decodeBatches } from "./batches.ts";
import { decodeFileHead, encodeFileHead, FILE_HEAD_BYTES, readFrame } from "./frame.ts";
import { type Damage, decodeSnapshot } from "./snapshot.ts";

/*
 * From the files of a folder to what was stored. Pure.
 *
 *     snapshot-R   everything that was stored at revision R
 *     log-R        the batches behind revision R, in order and without a gap
 *
 * A new log-R is begun before snapshot-R is written, and older files are removed once snapshot-R is durable. So what is
 * stored is the newest snapshot and every log from its revision on; and where a log follows, the one before it is whole.
 */

const LOG_MAGIC = "HEDDLOG1";

export interface Recovery {
  readonly table: EntryTable;
  /** The log to go on with, and how much of it is good: what is behind was never durable. Undefined: there is none yet. */
  readonly log: { readonly name: string; readonly goodBytes: number; readonly bytes: number } | undefined;
  /** The logs that hold what the newest snapshot does not. */
  readonly replayedBytes: number;
  /** What the newest snapshot has made superfluous. */
  readonly obsolete: readonly string[];
  /** Damage that has cost nothing: another file has what the damaged one held. */
  readonly harmless: readonly Damage[];
}

/** What was committed is no longer whole. `usable`: the best that can be had of it. */
export interface Loss {
  readonly damage: Damage;
  /** Everything before the damage. */
  readonly usable: EntryTable;
  /** No revision up to this one may be used again. */
  readonly highestRevision: number;
}

export function fileName(kind: "log" | "snapshot", revision: number): string {
  return `${kind}-${String(revision).padStart(REVISION_DIGITS, "0")}`;
}

const REVISION_DIGITS = 16;
const FILE_NAME = new RegExp(`^(log|snapshot)-(\\d{${REVISION_DIGITS}})$`);

/** The revision in the name of a file of this kind, or undefined. */
export function revisionOfName(kind: "log" | "snapshot", name: string): number | undefined {
  const match = FILE_NAME.exec(name);
  return match?.[1] === kind ? Number(match[2]) : undefined;
}

/** Whether such a file of such a length has anything in it that was stored. */
export function holdsSomething(name: string, bytes: number): boolean {
  return (
    revisionOfName("snapshot", name) !== undefined ||
    (revisionOfName("log", name) !== undefined && bytes > FILE_HEAD_BYTES)
  );
}

export function encodeLogHead(revision: number): Uint8Array {
  return encodeFileHead(LOG_MAGIC, revision);
}

/** @param files by name; others than snapshots and logs are ignored. */
export function recover(files: ReadonlyMap<string, Buffer>): Result<Recovery, Loss> {
  const snapshots = filesOf("snapshot", files).reverse();
  const logs = filesOf("log", files);
  const newest = snapshots[0]?.revision ?? 0;
  const olderThan = (revision: number) => [...files.keys()].filter((name) => isOlder(name, revision));
  const damaged: Damage[] = [];
  let best: Loss | undefined;
  for (const snapshot of snapshots) {
    const read = decodeSnapshot(snapshot.name, snapshot.revision, snapshot.bytes);
    if (!read.ok) {
      damaged.push(read.error);
      continue;
    }
    const replayed = replay(read.value, snapshot.revision, logs, newest);
    if (replayed.ok) return ok({ ...replayed.value, obsolete: olderThan(snapshot.revision), harmless: damaged });
    best ??= { ...replayed.error, damage: damaged[0] ?? replayed.error.damage };
  }
  if (best === undefined) {
    // Without a snapshot everything is in the logs, from the first revision on.
    const replayed = replay(new EntryTable(), 0, logs, newest);
    if (replayed.ok) return ok({ ...replayed.value, obsolete: [], harmless: damaged });
    best = { ...replayed.error, damage: damaged[0] ?? replayed.error.damage };
  }
  return err({ ...best, highestRevision: Math.max(best.highestRevision, newest, logs.at(-1)?.revision ?? 0) });
}

type Replay = Pick<Recovery, "table" | "log" | "replayedBytes">;

/** Applies every log from the revision on to the table, which is that of this revision; it must reach `atLeast`. */
function replay(table: EntryTable, revision: number, all: readonly StoreFile[], atLeast: number): Result<Replay, Loss> {
  const logs = all.filter((log) => log.revision >= revision);
  const lost = (damage: Damage) => err({ damage, usable: table, highestRevision: table.revision });
  const missing = (at: number) =>
    lost({ file: fileName("log", at), offset: 0, what: "the file is missing, and another one says that it was there" });
  let replayedBytes = 0;
  let goodBytes = 0;
  for (const [index, log] of logs.entries()) {
    if (log.revision !== table.revision) return missing(table.revision);
    const read = readLog(log, table, index === logs.length - 1);
    if (!read.ok) return lost(read.error);
    goodBytes = read.value;
    replayedBytes += log.bytes.length;
  }
  const last = logs.at(-1);
  // A log is begun before its snapshot is written, so a snapshot without one has lost what came after it.
  if (last === undefined && (revision > 0 || atLeast > 0 || all.length > 0)) return missing(table.revision);
  if (table.revision < atLeast) return missing(table.revision);
  return ok({
    table,
    log: last && { name: last.name, goodBytes, bytes: last.bytes.length },
    replayedBytes,
  });
}

/** Applies one log; gives how many of its bytes are good. Only the last one may have a torn end. */
function readLog(log: StoreFile, table: EntryTable, isLast: boolean): Result<number, Damage> {
  let offset = 0;
  const damage = (what: string) => err({ file: log.name, offset, what });
  if (isLast && isBeginningOf(log.bytes, encodeLogHead(log.revision))) return ok(0); // cut off by somebody else
  if (decodeFileHead(LOG_MAGIC, log.bytes) !== log.revision)
    return damage("the head of the file is not that of this log");
  offset = FILE_HEAD_BYTES;
  for (;;) {
    const frame = readFrame(log.bytes, offset);
    if (frame.type === "end") return ok(offset);
    if (frame.type === "torn") return isLast ? ok(offset) : damage("the end of the file is missing");
    if (frame.type === "damaged") return damage(frame.what);
    const expected = table.revision + 1;
    if (frame.number !== expected) return damage(`found revision ${frame.number}, expected ${expected}`);
    try {
      for (const batch of decodeBatches(frame.payload)) table.apply(table.revision + 1, batch);
    } catch (error) {
      return damage((error as Error).message);
    }
    offset = frame.end;
  }
}

/** Shorter than the whole, and the same as far as it goes. */
function isBeginningOf(bytes: Buffer, whole: Uint8Array): boolean {
  return bytes.length < whole.length && bytes.equals(whole.subarray(0, bytes.length));
}

interface StoreFile {
  readonly name: string;
  readonly revision: number;
  readonly bytes: Buffer;
}

/** Of one kind, by rising revision. */
function filesOf(kind: "log" | "snapshot", files: ReadonlyMap<string, Buffer>): StoreFile[] {
  const found: StoreFile[] = [];
  for (const [name, bytes] of files) {
    const revision = revisionOfName(kind, name);
    if (revision !== undefined) found.push({ name, revision, bytes });
  }
  return found.sort((one, other) => one.revision - other.revision);
}

/** Whether a snapshot of this revision makes the file superfluous. */
export function isOlder(name: string, revision: number): boolean {
  const own = revisionOfName("log", name) ?? revisionOfName("snapshot", name);
  return own !== undefined && own < revision;
}
