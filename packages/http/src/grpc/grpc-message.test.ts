import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeGrpcMessage, encodeGrpcMessage } from "./grpc-message.ts";

test("a grpc-message is its UTF-8, percent-encoded but for space to tilde", () => {
  for (const [text, value] of [
    ["", ""],
    ["no healthy upstream", "no healthy upstream"],
    ["100%", "100%25"],
    ["a\r\nb\tc\u007f", "a%0D%0Ab%09c%7F"],
    // Of gRPC's interoperability tests, "special_status_message".
    [
      "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n",
      "%09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP %F0%9F%98%88%09%0A",
    ],
    ["\ud800", "%EF%BF%BD"],
  ] as const) {
    // biome-ignore format: a table
    assert.equal(encodeGrpcMessage(text), value);
  }
});

test("a percent sign that begins no escape stands for itself", () => {
  assert.equal(decodeGrpcMessage("%4"), "%4");
  assert.equal(decodeGrpcMessage("100% %zz %e2%98%ba%"), "100% %zz ☺%");
});

/** Any of UTF-16, lone surrogates with them; ASCII as often as all others. fast-check's own "binary" takes seconds to make. */
const codeUnit = fc
  .oneof(fc.integer({ min: 0, max: 0x7f }), fc.integer({ min: 0, max: 0xffff }))
  .map((unit) => String.fromCharCode(unit));

test("what is written can be put into a field, and is read again", () => {
  fc.assert(
    fc.property(fc.string({ unit: codeUnit }), (text) => {
      const value = encodeGrpcMessage(text);
      assert.match(value, /^[ -~]*$/);
      assert.equal(decodeGrpcMessage(value), Buffer.from(text).toString());
    }),
    { numRuns: 200, seed: 4 },
  );
});
