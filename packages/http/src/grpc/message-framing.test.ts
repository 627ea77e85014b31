import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { GrpcMessageCounter } from "./message-counter.ts";
import { GrpcFrameFlag, GrpcMessageReader, grpcMessageBytes } from "./message-framing.ts";

interface Read {
  readonly messages: readonly [flags: number, text: string][];
  readonly error: string | undefined;
  readonly partial: boolean;
  readonly counted: number;
}

function readAll(chunks: readonly Uint8Array[], maxMessageBytes = 1000, allowedFlags?: number): Read {
  const messages: [number, string][] = [];
  const reader = new GrpcMessageReader(
    (flags, message) => messages.push([flags, Buffer.from(message).toString("latin1")]),
    maxMessageBytes,
    allowedFlags,
  );
  const counter = new GrpcMessageCounter();
  let error: string | undefined;
  for (const chunk of chunks) {
    counter.inspect(chunk);
    const result = reader.read(chunk);
    if (!result.ok) error = result.error;
  }
  return { messages, error, partial: reader.partial, counted: counter.count };
}

function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return chunks;
}

test("messages come out of a body however it is cut, those without bytes too", () => {
  const texts = fc.array(
    fc.uint8Array({ max: 0x7f, maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString()),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 60 }), (messages, size) => {
      const body = Buffer.concat(messages.map((text, i) => grpcMessageBytes(Buffer.from(text), i % 2)));
      const read = readAll(cut(body, size));
      assert.deepEqual(
        read.messages,
        messages.map((text, i) => [i % 2, text]),
      );
      assert.equal(read.error, undefined);
      assert.equal(read.partial, false);
      assert.equal(read.counted, messages.length);
    }),
    { numRuns: 200, seed: 4 },
  );
});

test("a body that ends within a message has been cut off", () => {
  const body = grpcMessageBytes(Buffer.from("hello"));
  for (let end = 1; end < body.length; end++) {
    const read = readAll([body.subarray(0, end)]);
    assert.equal(read.partial, true, `after ${end} bytes`);
    assert.deepEqual(read.messages, []);
    assert.equal(read.counted, end < 5 ? 0 : 1, "a message counts with its prefix");
    const counter = new GrpcMessageCounter();
    counter.inspect(body.subarray(0, end));
    assert.equal(counter.atBoundary, false);
    counter.inspect(body.subarray(end));
    assert.equal(counter.atBoundary, true);
  }
});

test("a message that is too long is refused by its prefix, and nothing follows it", () => {
  const body = Buffer.concat([
    grpcMessageBytes(Buffer.from("short")),
    grpcMessageBytes(Buffer.alloc(11)),
    grpcMessageBytes(Buffer.from("late")),
  ]);
  for (const size of [1, 7, body.length]) {
    const read = readAll(cut(body, size), 10);
    assert.deepEqual(read.messages, [[0, "short"]]);
    assert.equal(read.error, "a message is too long: found 11 bytes, allowed are 10");
  }
});

test("flags that are reserved are refused, and end the counting", () => {
  const body = Buffer.concat([grpcMessageBytes(Buffer.from("a")), grpcMessageBytes(Buffer.from("b"), 0x80)]);
  const strict = readAll([body]);
  assert.equal(strict.error, "a message has reserved flags: found 0x80");
  assert.equal(strict.counted, 1);
  const web = readAll([body], 1000, GrpcFrameFlag.Compressed | GrpcFrameFlag.WebTrailers);
  assert.deepEqual(web.messages, [
    [0, "a"],
    [0x80, "b"],
  ]);
});

test("a prefix that promises much costs nothing before it comes", () => {
  const prefix = Buffer.from([0, 0x40, 0, 0, 0]);
  const reader = new GrpcMessageReader(() => assert.fail("no message is whole"), 2 ** 31);
  const before = process.memoryUsage().arrayBuffers;
  assert.equal(reader.read(prefix).ok, true);
  assert.equal(reader.read(Buffer.alloc(10)).ok, true);
  assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20);
  assert.equal(reader.partial, true);
});
