import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultHttpLimits } from "../limits.ts";
import { type ReceivedRequest, ScriptedServer, summary, waysToCut } from "../testing/index.ts";

const POST = "POST / HTTP/1.1\r\nhost: a\r\n";
const CHUNKED = `${POST}transfer-encoding: chunked\r\n\r\n`;
const limits = {
  ...defaultHttpLimits,
  maxTrailerBytes: 40,
  maxHeaderCount: 3,
  maxChunkLineBytes: 20,
  maxChunkExtensionBytes: 30,
};

function parse(text: string): ReceivedRequest {
  let first: unknown;
  let request: ReceivedRequest | undefined;
  for (const { way, pieces } of waysToCut(text)) {
    const server = new ScriptedServer({ limits }).receive(...pieces);
    request = server.last;
    first ??= summary(server.requests);
    assert.deepEqual(summary(server.requests), first, `${JSON.stringify(text)} ${way}`);
  }
  assert.ok(request !== undefined);
  return request;
}

/** The body is refused: the client gets 400 (or `status`), the decoder a reset, and the connection ends. */
function refuses(rest: string, status = 400): void {
  for (const { way, pieces } of waysToCut(CHUNKED + rest)) {
    const label = `${JSON.stringify(rest)} ${way}`;
    const server = new ScriptedServer({ limits }).receive(...pieces);
    assert.equal(server.last.failure?.side, "downstream", label);
    assert.equal(server.last.ended, false, label);
    assert.match(server.transport.take(), new RegExp(`^HTTP/1.1 ${status} `), label);
    assert.ok(server.transport.ended, label);
    assert.deepEqual(server.protocolErrors, [], label);
  }
}

test("a body of a known length ends with its last byte", () => {
  const request = parse(`${POST}content-length: 5\r\n\r\nhello`);
  assert.deepEqual([request.body, request.ended], ["hello", true]);
  assert.deepEqual([parse(`${POST}content-length: 6\r\n\r\nhello`).ended], [false]);
});

test("without content-length and transfer-encoding, and with length 0, a request has no body", () => {
  for (const head of [POST, `${POST}content-length: 0\r\n`]) {
    const request = parse(`${head}\r\n`);
    assert.deepEqual([request.body, request.ended], ["", true]);
  }
});

test("chunks become data, sizes in either case, extensions dropped", () => {
  const request = parse(`${CHUNKED}5\r\nhello\r\nA;a;b=c\r\n0123456789\r\n00a;q="x;\\"y"\r\n0123456789\r\n0\r\n\r\n`);
  assert.deepEqual([request.body, request.ended, request.trailers], ["hello01234567890123456789", true, undefined]);
});

test("trailers end the message", () => {
  const request = parse(`${CHUNKED}1\r\nx\r\n0;last\r\nX-Sum: 1\r\nb: 2\r\n\r\n`);
  assert.deepEqual([request.body, request.ended, request.trailers], ["x", true, { "x-sum": "1", b: "2" }]);
});

test("trailers that would frame, route or authenticate are left out", () => {
  const request = parse(`${CHUNKED}0\r\nContent-Length: 5\r\nHost: b\r\nx: 1\r\n\r\n`);
  assert.deepEqual([request.ended, request.trailers], [true, { x: "1" }]);
  const nothing = parse(`${CHUNKED}0\r\ntransfer-encoding: gzip\r\ntrailer: x\r\n\r\n`);
  assert.deepEqual([nothing.ended, nothing.trailers], [true, undefined]);
});

test("a chunk size is hexadecimal digits and nothing else", () => {
  for (const size of ["", "g", "-1", "+1", "0x1", " 1", "1 ", "1\t", "1\x0b", "_1", "1_0", ",1", "\xb2"])
    refuses(`${size}\r\nx\r\n0\r\n\r\n`);
  refuses("1\nx\r\n0\r\n\r\n");
  refuses("1\rx\r\n0\r\n\r\n");
  refuses("1\r\rx\r\n");
  refuses("\r\n1\r\nx\r\n");
});

test("a chunk size has an end: 2^53 - 1", () => {
  assert.equal(parse(`${CHUNKED}1fffffffffffff\r\nx`).body, "x");
  refuses("20000000000000\r\nx");
  refuses("ffffffffffffffff\r\nx");
  refuses("fffffffffffffffff1\r\nx");
});

test("chunk data end with CRLF", () => {
  for (const end of ["X", "\n", "\r\r", "0\r\n\r\n", "\rX", " \r\n", "\r\n\r\n"]) refuses(`1\r\nx${end}0\r\n\r\n`);
});

test("chunk extensions keep their grammar", () => {
  for (const extension of [
    ";",
    ";;a",
    "; a",
    ";a ",
    ";a=",
    ";a=b=c",
    ';a="b',
    ';a="b"c',
    ";a\n",
    ";a\0",
    ";\x7f",
    ';a="\x01"',
    ";=b",
    ";a = b",
    ';a="\\\r"',
  ])
    refuses(`1${extension}\r\nx\r\n0\r\n\r\n`);
  refuses("0;\r\n\r\n");
});

test("a chunk-size line has a limit, and so have all extensions of a message together", () => {
  const line = (bytes: number) => `1;${"a".repeat(bytes - 3)}\r`; // the CR counts
  assert.ok(parse(`${CHUNKED}${line(19)}\nx\r\n0\r\n\r\n`).ended);
  assert.ok(parse(`${CHUNKED}${line(20)}\nx\r\n0\r\n\r\n`).ended);
  refuses(`${line(21)}\nx\r\n0\r\n\r\n`);
  refuses(`${"0".repeat(100)}\r\n\r\n`);
  const three = (last: number) => `${line(12)}\nx\r\n${line(12)}\nx\r\n${line(2 + last)}\nx\r\n0\r\n\r\n`; // 10 + 10 + last
  assert.ok(parse(CHUNKED + three(9)).ended);
  assert.ok(parse(CHUNKED + three(10)).ended);
  refuses(three(11));
});

test("trailers have a limit in bytes and in fields", () => {
  const trailers = (bytes: number) => `0\r\nx: ${"y".repeat(bytes - 7)}\r\n\r\n`; // with the empty line
  assert.ok(parse(CHUNKED + trailers(39)).ended);
  assert.ok(parse(CHUNKED + trailers(40)).ended);
  refuses(trailers(41), 431);
  assert.ok(parse(`${CHUNKED}0\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n`).ended);
  refuses("0\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n", 431);
});

test("trailers are parsed as strictly as heads", () => {
  for (const trailers of [
    "a: 1\n\r\n",
    "a : 1\r\n\r\n",
    " a: 1\r\n\r\n",
    "a\r\n\r\n",
    "a: \0\r\n\r\n",
    "\n",
    "\rX",
    "a: 1\r\n\rX",
  ])
    refuses(`0\r\n${trailers}`);
});
