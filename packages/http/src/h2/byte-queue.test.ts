import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RecordingTransport } from "../testing/recording-transport.ts";
import { ByteQueue } from "./byte-queue.ts";

test("what goes in comes out in its order, however it is taken", () => {
  const step = fc.oneof(
    fc.record({ push: fc.integer({ min: 1, max: 20_000 }) }),
    fc.record({ write: fc.nat(30_000) }),
    fc.constant({ shift: true }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new ByteQueue();
      const transport = new RecordingTransport();
      let sent = "";
      let taken = "";
      let next = 0;
      for (const one of steps) {
        if ("push" in one) {
          const chunk = Buffer.alloc(one.push, String.fromCharCode(97 + (next++ % 26)));
          sent += chunk.toString("latin1");
          queue.push(chunk);
          chunk.fill(0);
        } else if ("write" in one) {
          queue.writeTo(transport, Math.min(one.write, queue.bytes));
          taken += transport.take();
        } else taken += queue.shift()?.toString("latin1") ?? "";
        assert.equal(queue.bytes, sent.length - taken.length);
      }
      queue.writeTo(transport, queue.bytes);
      assert.equal(taken + transport.take(), sent);
    }),
    { numRuns: 100 },
  );
});

test("bytes that come one by one lie together", () => {
  const queue = new ByteQueue();
  for (let i = 0; i < 60_000; i++) queue.push(Buffer.from([i & 0xff]));
  let chunks = 0;
  while (queue.shift() !== undefined) chunks++;
  assert.ok(chunks <= 6, `${chunks}`);
});
