import type { StoreChange } from "../store.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";

/*
 * The payload of a log's frame: batches that one fsync makes durable. The frame's number is the revision of the first; the
 * others follow without a gap.
 *
 *     batches   count (u32) · batch …
 *     batch     count (u32) · change …
 *     change    1 · key · value      put
 *               2 · key              removed
 *     key, value: length (u32) · bytes
 */

const PUT = 1;
const REMOVED = 2;

export function encodeBatches(batches: readonly (readonly StoreChange[])[]): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(batches.length);
  for (const batch of batches) {
    writer.u32(batch.length);
    for (const { key, value } of batch) {
      writer.u8(value === undefined ? REMOVED : PUT);
      writer.text(key);
      if (value !== undefined) writer.chunk(value);
    }
  }
  return writer.take();
}

/** Throws where the payload is none of ours. Values are copies. */
export function decodeBatches(payload: Uint8Array): StoreChange[][] {
  const reader = new ByteReader(payload);
  const batches: StoreChange[][] = [];
  for (let batchesLeft = reader.u32(); batchesLeft > 0; batchesLeft--) {
    const batch: StoreChange[] = [];
    for (let changesLeft = reader.u32(); changesLeft > 0; changesLeft--) batch.push(decodeChange(reader));
    batches.push(batch);
  }
  if (!reader.done) throw new RangeError("the frame is longer than what it says");
  return batches;
}

function decodeChange(reader: ByteReader): StoreChange {
  const kind = reader.u8();
  if (kind !== PUT && kind !== REMOVED) throw new RangeError(`a change of kind ${kind}`);
  const key = reader.text();
  return { key, value: kind === PUT ? reader.copy() : undefined };
}
