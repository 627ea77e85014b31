import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtobufReader, WireType } from "./protobuf-reader.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

test("what is written is read again, in its order", () => {
  const field = fc.integer({ min: 1, max: 2 ** 29 - 1 });
  const written = fc.oneof(
    fc.record({ type: fc.constant("varint" as const), field, value: fc.maxSafeNat() }),
    fc.record({ type: fc.constant("double" as const), field, value: fc.double() }),
    fc.record({ type: fc.constant("text" as const), field, value: fc.string({ unit: "grapheme", maxLength: 200 }) }),
    fc.record({ type: fc.constant("bytes" as const), field, value: fc.uint8Array({ maxLength: 3000 }) }),
  );
  fc.assert(
    fc.property(fc.array(written, { maxLength: 8 }), (fields) => {
      const writer = new ProtobufWriter();
      for (const one of fields) {
        if (one.type === "varint") writer.varint(one.field, one.value);
        else if (one.type === "double") writer.double(one.field, one.value);
        else if (one.type === "text") writer.text(one.field, one.value);
        else writer.bytes(one.field, one.value);
      }
      const reader = new ProtobufReader(writer.finish());
      for (const one of fields) {
        assert.ok(reader.next());
        assert.equal(reader.field, one.field);
        if (one.type === "varint") assert.equal(reader.varint, one.value);
        else if (one.type === "double") assert.ok(Object.is(reader.double, one.value));
        else if (one.type === "text") assert.equal(reader.text, one.value);
        else assert.deepEqual(Buffer.from(reader.bytes), Buffer.from(one.value));
      }
      assert.equal(reader.next(), false);
      assert.equal(reader.broken, false);
    }),
    { numRuns: 200, seed: 6 },
  );
});

test("messages within messages have their lengths, however long they are", () => {
  for (const size of [0, 1, 127, 128, 16_383, 16_384, 70_000]) {
    const writer = new ProtobufWriter();
    const outer = writer.open(1);
    const inner = writer.open(2);
    writer.latin1(3, "é".repeat(size));
    writer.close(inner);
    writer.varint(4, size);
    writer.close(outer);
    const first = new ProtobufReader(writer.finish());
    assert.ok(first.next() && first.is(1, WireType.Bytes), String(size));
    const second = new ProtobufReader(first.bytes);
    assert.ok(second.next() && second.is(2, WireType.Bytes));
    const third = new ProtobufReader(second.bytes);
    assert.ok(third.next() && third.is(3, WireType.Bytes));
    assert.equal(third.latin1, "é".repeat(size));
    assert.ok(second.next() && second.is(4, WireType.Varint));
    assert.equal(second.varint, size);
    assert.equal(first.next() || second.next() || third.next(), false);
  }
});

test("bytes that are no message are told from one, and are never read beyond their end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const reader = new ProtobufReader(bytes);
      let read = 0;
      while (reader.next()) read += reader.wireType === WireType.Varint ? 1 : reader.bytes.length;
      assert.ok(read <= bytes.length);
    }),
    { numRuns: 500, seed: 7 },
  );
});
