import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HeaderMap } from "../header-map.ts";
import { RecordingTransport } from "../testing/index.ts";
import { requestLines, serializeTrailers, writeRequestHead, writeResponseHead } from "./write-head.ts";

const transport = new RecordingTransport();

test("no lines are known before the first ones", () => {
  assert.equal(requestLines("", "", ""), undefined);
});

function writtenRequest(target: string, headers: HeaderMap, withLength: boolean, tail: string): string {
  writeRequestHead(transport, requestLines("GET", target, "a")!, headers, withLength, tail, undefined);
  return transport.take();
}

function writtenResponse(reason: string, headers: HeaderMap, withLength: boolean, tail: string): string {
  writeResponseHead(transport, 200, reason, headers, withLength, tail, undefined);
  return transport.take();
}

const NAMES = ["server", "date", "content-length", "te", "connection", "host", "x-own", "not a token", "", "Server"];
const LONG = [
  "\r\nx: y",
  "\u010a",
  "\u0100".repeat(16),
  "\x7f",
  "\t",
  "\xe4",
  "\xff\r",
  "~",
  "\ud83e\uddf5",
  "\0",
].flatMap((odd) => [0, 1, 5, 14, 17, 30].map((at) => `${"x".repeat(at)}${odd}${"y".repeat(30 - at)}`));
const VALUES = ["", "a", "b", "7", "evil\r\nx: y", "\u010a", "\0", "x".repeat(100), `${"x".repeat(99)}y`, ...LONG];
const NEVER_SENT = ["connection", "host"];

function expectedLines(fields: readonly string[], withLength: boolean): string {
  let text = "";
  for (let i = 0; i < fields.length; i += 2) {
    const [name, value] = [fields[i]!, fields[i + 1]!];
    if (!/^[a-zA-Z0-9-]+$/.test(name) || NEVER_SENT.includes(name) || (name === "content-length" && !withLength))
      continue;
    text += `${name}: ${value.replace(/[^\t\x20-\x7e\x80-\xff]/g, " ")}\r\n`;
  }
  return text;
}

test("what is remembered of the heads before does not show in a head", () => {
  const head = fc.record({
    fields: fc
      .array(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...VALUES)), { maxLength: 5 })
      .map((pairs) => pairs.flat()),
    withLength: fc.boolean(),
    tail: fc.constantFrom("", "t: 1\r\n", "connection: close\r\n"),
    path: fc.constantFrom("/", "/b"),
    reason: fc.constantFrom("", "Fine", "e\r\nvil"),
  });
  fc.assert(
    fc.property(fc.array(head, { minLength: 2, maxLength: 12 }), (heads) => {
      for (const { fields, withLength, tail, path, reason } of heads) {
        const section = `${expectedLines(fields, withLength)}${tail}\r\n`;
        const headers = new HeaderMap(fields);
        assert.equal(writtenRequest(path, headers, withLength, tail), `GET ${path} HTTP/1.1\r\nhost: a\r\n${section}`);
        const phrase = reason === "" ? "OK" : reason.replace("\r\n", "  ");
        assert.equal(writtenResponse(reason, headers, withLength, tail), `HTTP/1.1 200 ${phrase}\r\n${section}`);
      }
    }),
    { seed: 9112, numRuns: 1000 },
  );
});

test("more fields than are remembered are all written", () => {
  const fields = Array.from({ length: 100 }, (_, i) => ["date", String(i)]).flat();
  const expected = `HTTP/1.1 200 OK\r\n${expectedLines(fields, false)}\r\n`;
  for (let i = 0; i < 3; i++) assert.equal(writtenResponse("", new HeaderMap(fields), false, ""), expected);
});

test("values of any length take the place of each other, up to more than is kept", () => {
  for (const length of [1, 5, 0, 200, 40, 3000, 1, 5000, 2, 4090, 70_000, 3]) {
    const fields = [
      "x-first",
      "v".repeat(length),
      "x-second",
      "s",
      "host",
      "left out",
      "x-third",
      "t".repeat(length % 7),
    ];
    assert.equal(
      writtenResponse("", new HeaderMap(fields), false, "connection: close\r\n"),
      `HTTP/1.1 200 OK\r\n${expectedLines(fields, false)}connection: close\r\n\r\n`,
    );
  }
});

test("a value that changed each time is written right when it changes no more, at any head", () => {
  const kept = ["first, of a length", "other, longer than it", "s"];
  for (let i = 0; i < 6000; i++) {
    const phase = Math.floor(i / 11) % 4;
    const value = phase === 3 || i % 1024 < 3 ? kept[i % 2]! : phase === 1 ? kept[2]! : `${"v".repeat(i % 30)}${i}`;
    const fields = ["x-id", value, "x-same", "s", "x-other", kept[phase % 3]!];
    if (i % 97 === 0) fields[3] = "t".repeat(300 + (i % 5)); // no room for it
    assert.equal(
      writtenResponse("", new HeaderMap(fields), false, i % 200 < 5 ? "connection: close\r\n" : ""),
      `HTTP/1.1 200 OK\r\n${expectedLines(fields, false)}${i % 200 < 5 ? "connection: close\r\n" : ""}\r\n`,
    );
  }
});

test("names that come in the places of others are written, however many heads were like those before", () => {
  for (let i = 0; i < 200; i++) {
    const fields = [`x-${i % 3 === 0 ? "a" : `b${i}`}`, String(i), "date", "today"];
    assert.equal(
      writtenRequest("/", new HeaderMap(fields), false, ""),
      `GET / HTTP/1.1\r\nhost: a\r\n${expectedLines(fields, false)}\r\n`,
    );
  }
});

test("a method or a target that cannot stand in a request line gets none, also behind one that can", () => {
  for (let i = 0; i < 3; i++) {
    assert.equal(requestLines("GET", "/", "a"), "GET / HTTP/1.1\r\nhost: a\r\n");
    assert.equal(requestLines("G T", "/", "a"), undefined);
    assert.equal(requestLines("GET", "/ b", "a"), undefined);
    assert.equal(requestLines("GET", "/", "a\r\nx: y"), "GET / HTTP/1.1\r\nhost: a  x: y\r\n");
  }
});

test("a reason of characters that no reason has is not taken for the one that their low bytes spell", () => {
  for (const [reason, phrase] of [
    ["\u0141bc", " bc"],
    ["Abc", "Abc"],
    ["\u0141bc", " bc"],
  ] as const)
    assert.equal(writtenResponse(reason, new HeaderMap(), false, ""), `HTTP/1.1 200 ${phrase}\r\n\r\n`);
});

test("trailers leave out what may not stand among them, also when it was seen before", () => {
  const trailers = new HeaderMap(["host", "a", "x-sum", "1", "content-length", "3"]);
  for (let i = 0; i < 3; i++) assert.equal(serializeTrailers(trailers), "0\r\nx-sum: 1\r\n\r\n");
});
