import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { waysToCut } from "../testing/index.ts";
import { WebTextReader, WebTextWriter } from "./web-text.ts";

/** The bytes of a text, read piece by piece: "error", or "partial" where a group is not complete. */
function read(pieces: readonly string[]): Buffer | "error" | "partial" {
  const reader = new WebTextReader();
  const parts: Buffer[] = [];
  for (const piece of pieces) {
    const bytes = reader.read(Buffer.from(piece, "latin1"));
    if (bytes === undefined) return "error";
    parts.push(bytes);
  }
  return reader.partial ? "partial" : Buffer.concat(parts);
}

test("base64 is read however it is cut, several texts behind each other too", () => {
  const bytes = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 });
  fc.assert(
    fc.property(bytes, (texts) => {
      const text = texts.map((each) => Buffer.from(each).toString("base64")).join("");
      for (const { way, pieces } of waysToCut(text)) assert.deepEqual(read(pieces), Buffer.concat(texts), way);
    }),
    { numRuns: 100, seed: 4 },
  );
});

test("what is not base64 is refused", () => {
  for (const text of ["A===", "=AAA", "AA=A", "AAA\n", "AAA-", "AA A", "AAAA=", "AAé=", "AB==", "AAB="]) {
    assert.equal(read([text]), "error", text);
    assert.equal(read(text.split("")), "error", text);
  }
  for (const text of ["A", "AA", "AAA", "AA=", "AAAAA"]) assert.equal(read([text]), "partial", text);
});

test("what is written is padded where it is flushed, and nowhere else", () => {
  const writer = new WebTextWriter();
  assert.equal(writer.write(Buffer.from("a"), false).toString(), "");
  assert.equal(writer.write(Buffer.from("bcd"), false).toString(), "YWJj");
  assert.equal(writer.write(Buffer.from("e"), true).toString(), "ZGU=");
  assert.equal(writer.write(Buffer.from("f"), true).toString(), "Zg==");
  assert.equal(writer.write(Buffer.alloc(0), true).toString(), "");
});

test("a writer keeps a copy of what waits", () => {
  const writer = new WebTextWriter();
  const chunk = Buffer.from("ab");
  writer.write(chunk, false);
  chunk.fill(0);
  assert.equal(writer.write(Buffer.from("c"), true).toString(), "YWJj");
});
