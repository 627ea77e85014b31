import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HeaderMap } from "../header-map.ts";
import { serializeRequestHead, serializeResponseHead, serializeTrailers } from "./serialize-head.ts";

const NAMES = ["server", "date", "content-length", "te", "connection", "host", "x-own", "not a token", "", "Server"];
const VALUES = ["", "a", "b", "7", "evil\r\nx: y", "\u010a", "\0", "x".repeat(100), `${"x".repeat(99)}y`];
const NEVER_SENT = ["connection", "host"];

function expectedLines(fields: readonly string[], withLength: boolean): string {
  let text = "";
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i]!, fields[i + 1]!];
    if (!/^[a-zA-Z-]+$/.test(name) || NEVER_SENT.includes(name) || (name === "content-length" && !withLength)) continue;
    text += `${name}: ${value.replace(/[\r\n\0\u010a]/g, " ")}\r\n`;
  }
  return text;
}

test("what is remembered of the heads before does not show in a head", () => {
  const head = fc.record({
    fields: fc
      .array(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...VALUES)), { maxLength: 5 })
      .map((pairs) => pairs.flat()),
    withLength: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(head, { minLength: 2, maxLength: 12 }), (heads) => {
      for (const { fields, withLength } of heads) {
        const lines = expectedLines(fields, withLength);
        const headers = new HeaderMap(fields);
        assert.equal(
          serializeRequestHead("GET", "/", "a", headers, withLength, "t: 1\r\n"),
          `GET / HTTP/1.1\r\nhost: a\r\n${lines}t: 1\r\n\r\n`,
        );
        assert.equal(serializeResponseHead(200, "", headers, withLength, ""), `HTTP/1.1 200 OK\r\n${lines}\r\n`);
      }
    }),
    { seed: 9112, numRuns: 300 },
  );
});

test("more fields than are remembered are all written", () => {
  const fields = Array.from({ length: 100 }, (_, i) => ["date", String(i)]).flat();
  const expected = `HTTP/1.1 200 OK\r\n${expectedLines(fields, false)}\r\n`;
  for (let i = 0; i < 3; i++) assert.equal(serializeResponseHead(200, "", new HeaderMap(fields), false, ""), expected);
});

test("trailers leave out what may not stand among them, also when it was seen before", () => {
  const trailers = new HeaderMap(["host", "a", "x-sum", "1", "content-length", "3"]);
  for (let i = 0; i < 3; i++) assert.equal(serializeTrailers(trailers), "0\r\nx-sum: 1\r\n\r\n");
});
