import { err, ok, type Result } from "@heddle/base";
import { EntryTable } from "../entry-table.ts";
import type { StoredEntry } from "../store.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { decodeFileHead, encodeFileHead, encodeFrame, FILE_HEAD_BYTES, readFrame } from "./frame.ts";

/*
 * A snapshot: everything that was stored at one revision, in frames of about a mebibyte, numbered from 1. The last frame
 * says how many entries there are, so that a snapshot which lost its end is no snapshot.
 *
 *     entries   1 · entry …
 *     entry     key · revision (u64) · revision of creation (u64) · value
 *     end       2 · number of entries (u32)
 */

const MAGIC = "HEDDSNP1";
const ENTRIES = 1;
const END = 2;
const FRAME_BYTES = 1024 * 1024;

/** The file's pieces, to be written one behind the other. */
export function* encodeSnapshot(revision: number, entries: readonly StoredEntry[]): Generator<Uint8Array> {
  yield encodeFileHead(MAGIC, revision);
  let number = 0;
  const writer = new ByteWriter();
  for (const entry of entries) {
    if (writer.bytes === 0) writer.u8(ENTRIES);
    writer.text(entry.key);
    writer.u64(entry.revision);
    writer.u64(entry.createdRevision);
    writer.chunk(entry.value);
    if (writer.bytes >= FRAME_BYTES) yield encodeFrame(++number, writer.take());
  }
  if (writer.bytes > 0) yield encodeFrame(++number, writer.take());
  writer.u8(END);
  writer.u32(entries.length);
  yield encodeFrame(++number, writer.take());
}

/** What is wrong with a file, and where. */
export interface Damage {
  readonly file: string;
  /** Of the frame that is wrong, in bytes. */
  readonly offset: number;
  readonly what: string;
}

/** A snapshot comes into being whole, so whatever is wrong in it is damage. Values are copies. */
export function decodeSnapshot(name: string, revision: number, file: Buffer): Result<EntryTable, Damage> {
  if (decodeFileHead(MAGIC, file) !== revision)
    return err({ file: name, offset: 0, what: "the head of the file is not that of this snapshot" });
  const table = new EntryTable();
  let offset = FILE_HEAD_BYTES;
  const damage = (what: string) => err({ file: name, offset, what });
  for (let number = 1; ; number++) {
    const frame = readFrame(file, offset);
    if (frame.type === "end" || frame.type === "torn") return damage("the end of the file is missing");
    if (frame.type === "damaged") return damage(frame.what);
    if (frame.number !== number) return damage(`found frame ${frame.number}, expected ${number}`);
    try {
      const reader = new ByteReader(frame.payload);
      if (reader.u8() === ENTRIES) readEntries(reader, table);
      else if (reader.u32() !== table.entries.size) return damage("there are not as many entries as the end says");
      else if (frame.end !== file.length) return damage("there is something behind the end");
      else break;
    } catch (error) {
      return damage((error as Error).message);
    }
    offset = frame.end;
  }
  table.reach(revision);
  return ok(table);
}

function readEntries(reader: ByteReader, table: EntryTable): void {
  while (!reader.done)
    table.put({ key: reader.text(), revision: reader.u64(), createdRevision: reader.u64(), value: reader.copy() });
}
