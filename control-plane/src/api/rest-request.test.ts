import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { test } from "node:test";
import { BodyRoom, readBody } from "./rest-request.ts";

test("bodies that are being read have a bound together, and give back what they had, however they end", async () => {
  const room = new BodyRoom();
  const MIB = 1024 * 1024;
  assert.ok(room.take(63 * MIB));
  const refused = await readBody(bodyOf(MIB / 2, MIB / 2, 1), room);
  assert.ok(!refused.ok);
  assert.deepEqual([refused.error.error.code, refused.error.error.retryAfterS], ["RESOURCE_EXHAUSTED", 1]);
  const read = await readBody(bodyOf(MIB / 2, MIB / 2), room);
  assert.equal(read.ok && read.value.length, MIB);
  assert.equal((await readBody(bodyOf(MIB / 2, -1), room)).ok, false); // its sender goes away
  assert.deepEqual([room.take(MIB), room.take(1)], [true, false]);
});

function bodyOf(...sizes: readonly number[]): IncomingMessage {
  function* chunks() {
    for (const size of sizes) yield Buffer.alloc(size, "x"); // which throws below 0
  }
  return Object.assign(Readable.from(chunks()), { headers: {} }) as unknown as IncomingMessage;
}
