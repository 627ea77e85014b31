import assert from "node:assert/strict";
import { test } from "node:test";
import type { RequestHead } from "../head.ts";
import { AnsweringServer, entries, ScriptedServer, summary, waysToCut } from "../testing/index.ts";
import type { H1ServerOptions } from "./server-connection.ts";

const BASE = "GET / HTTP/1.1\r\nhost: a\r\n";

/** The one request of these bytes, the same however they are cut. */
function parse(text: string, options: H1ServerOptions = {}): RequestHead {
  let first: unknown;
  let head: RequestHead | undefined;
  for (const { way, pieces } of waysToCut(text)) {
    const server = new ScriptedServer(options).receive(...pieces);
    assert.equal(server.protocolErrors[0]?.failure.detail, undefined, way);
    assert.equal(server.requests.length, 1, way);
    head = server.last.head;
    first ??= summary(server.requests);
    assert.deepEqual(summary(server.requests), first, way);
  }
  assert.ok(head !== undefined);
  return head;
}

/** The bytes are answered with `status` and the connection is closed, however they are cut. */
function refuses(status: number, text: string, options: H1ServerOptions = {}): void {
  for (const { way, pieces } of waysToCut(text)) {
    const server = new ScriptedServer(options).receive(...pieces);
    const label = `${JSON.stringify(text.slice(0, 200))} ${way}`;
    assert.equal(server.last.failure?.side, "downstream", label);
    assert.match(server.transport.take(), new RegExp(`^HTTP/1\\.1 ${status} .*connection: close\r\n\r\n$`, "s"), label);
    assert.ok(server.transport.ended, label);
    assert.ok(server.connection.ended, label);
    assert.equal(server.protocolErrors.length, server.last.head === undefined ? 1 : 0, label);
  }
}

test("a head becomes method, target, authority and fields in lower case, in their order", () => {
  const head = parse(
    "GET /a?b=c HTTP/1.1\r\nHost: Shop.example:80\r\nX-One:  1 \r\nx-two:\t2\r\nX-ONE:3\r\nEmpty:\r\n\r\n",
  );
  assert.equal(head.method, "GET");
  assert.equal(head.path, "/a?b=c");
  assert.equal(head.authority, "Shop.example:80");
  assert.equal(head.scheme, "http");
  assert.equal(head.httpVersion, "1.1");
  assert.deepEqual(head.headers.fields, ["x-one", "1", "x-two", "2", "x-one", "3", "empty", ""]);
});

test("bytes above 0x7f in a value pass unchanged", () => {
  assert.equal(parse(`${BASE}x: caf\xe9\xff\r\n\r\n`).headers.get("x"), "caf\xe9\xff");
});

test("the scheme is that of an absolute target, else that of the connection", () => {
  assert.equal(parse(`${BASE}\r\n`, { scheme: "https" }).scheme, "https");
  assert.equal(parse("GET https://a/ HTTP/1.1\r\nhost: a\r\n\r\n").scheme, "https");
  assert.equal(parse("GET HTTP://a/ HTTP/1.1\r\nhost: a\r\n\r\n", { scheme: "https" }).scheme, "http");
});

test("where absolute targets are not allowed, one is handed on as a path, and counts for nothing else", () => {
  const options = { allowAbsoluteUrl: false };
  const head = parse("GET https://b/x HTTP/1.1\r\nhost: a\r\n\r\n", options);
  assert.deepEqual([head.scheme, head.authority, head.path], ["http", "a", "https://b/x"]);
  assert.equal(parse("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", options).path, "*");
  assert.equal(parse("CONNECT b:1 HTTP/1.1\r\nhost: a\r\n\r\n", options).authority, "b:1");
});

test("empty lines before a request are passed over, four of them", () => {
  assert.equal(parse(`\r\n\r\n\r\n\r\n${BASE}\r\n`).path, "/");
  refuses(400, `\r\n\r\n\r\n\r\n\r\n${BASE}\r\n`);
  refuses(400, `\n${BASE}\r\n`);
  refuses(400, `\r${BASE}\r\n`);
});

test("an absolute target gives path and authority, and its authority replaces Host", () => {
  for (const [target, authority, path] of [
    ["http://b/x?y", "b", "/x?y"],
    ["HTTP://b:81/", "b:81", "/"],
    ["http://b", "b", "/"],
    ["http://b?q", "b", "/?q"],
    ["http://[::1]:8/x", "[::1]:8", "/x"],
  ] as const) {
    const head = parse(`GET ${target} HTTP/1.1\r\nhost: a\r\n\r\n`);
    assert.deepEqual([head.authority, head.path], [authority, path]);
  }
  assert.equal(parse("OPTIONS http://b HTTP/1.1\r\nhost: a\r\n\r\n").path, "*");
  for (const target of ["http://", "http:///x", "http://u@b/", "http://b:x/", "ftp://b/", "b/", "http:/b"])
    refuses(400, `GET ${target} HTTP/1.1\r\nhost: a\r\n\r\n`);
});

test("CONNECT takes host and port, OPTIONS an asterisk, and no other method either", () => {
  const connect = parse("CONNECT b:443 HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.deepEqual([connect.authority, connect.path], ["b:443", ""]);
  assert.equal(parse("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").path, "*");
  for (const line of [
    "CONNECT b",
    "CONNECT b:",
    "CONNECT /",
    "CONNECT http://b:1/",
    "CONNECT u@b:1",
    "GET *",
    "GET b:443",
  ])
    refuses(400, `${line} HTTP/1.1\r\nhost: a\r\n\r\n`);
});

test("a request line that is not three words with a version is refused", () => {
  for (const line of [
    "GET /",
    "GET / ",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.1 ",
    "GET /  HTTP/1.1",
    " GET / HTTP/1.1",
    "GET /a b HTTP/1.1",
    "GET\t/\tHTTP/1.1",
    "GET / http/1.1",
    "GET / HTTP/1",
    "GET / HTTP/1.10",
    "G@T / HTTP/1.1",
    "GET /#x HTTP/1.1",
    "GET /\x80 HTTP/1.1",
    "GET /\x7f HTTP/1.1",
    "GET HTTP/1.1",
    "/ HTTP/1.1",
    "",
  ])
    refuses(400, `${line}\r\nhost: a\r\n\r\n`);
  for (const version of ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.1"])
    refuses(505, `GET / ${version}\r\nhost: a\r\n\r\n`);
  refuses(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
});

test("an unknown method is refused unless custom methods are allowed", () => {
  refuses(501, "BREW / HTTP/1.1\r\nhost: a\r\n\r\n");
  refuses(501, "get / HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.equal(parse("BREW / HTTP/1.1\r\nhost: a\r\n\r\n", { allowCustomMethods: true }).method, "BREW");
  refuses(501, "PRI * HTTP/1.1\r\nhost: a\r\n\r\n", { allowCustomMethods: true });
});

test("HTTP/1.1 needs one Host, and any Host must be well-formed", () => {
  refuses(400, "GET / HTTP/1.1\r\n\r\n");
  refuses(400, `${BASE}host: a\r\n\r\n`);
  refuses(400, "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n");
  for (const host of [
    "",
    "a b",
    "a/b",
    "u@a",
    "a:b",
    "a:1:2",
    "a:65536",
    "a:123456",
    "[::1",
    "::1",
    "[]",
    "a,b",
    "a%zz",
    "\xe9",
    "a#",
    "[::1]x",
    "[:]",
    "[1]",
    `[${":".repeat(20_000)}`,
    `[${":".repeat(46)}]`,
    ":80",
  ])
    refuses(400, `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  for (const host of ["a", "a.b-c_d", "10.0.0.1:65535", "[::1]", "[fe80::1]:8080", "a%20b", "a:", "xn--a~b"])
    assert.equal(parse(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`).authority, host);
  assert.equal(parse("GET / HTTP/1.0\r\n\r\n").authority, "");
});

test("control characters, bare CR and bare LF are refused wherever they stand in a head", () => {
  for (const bad of ["\0", "\x01", "\x08", "\x0b", "\x0c", "\x1b", "\x1f", "\x7f", "\r", "\n"]) {
    refuses(400, `GET /${bad} HTTP/1.1\r\nhost: a\r\n\r\n`);
    refuses(400, `GET / HTTP/1.1\r\nhost: a\r\nx${bad}: 1\r\n\r\n`);
    refuses(400, `GET / HTTP/1.1\r\nhost: a\r\nx: 1${bad}2\r\n\r\n`);
    refuses(400, `GET / HTTP/1.1\r\nhost: a\r\nx:${bad}y: 1\r\n\r\n`);
  }
  refuses(400, "GET / HTTP/1.1\nhost: a\n\n");
  refuses(400, `${BASE}\rX`);
  refuses(400, `${BASE}\r\r\n`);
});

test("a wrong byte is refused at once, not when the head is complete", () => {
  refuses(400, "\x16\x03\x01");
  refuses(400, "GET / HTTP/1.1\n");
});

test("folded lines, spaces before the colon, lines without a colon and bad names are refused", () => {
  for (const line of [
    " folded: 1",
    "\tfolded: 1",
    " folded",
    "x : 1",
    "x\t: 1",
    ": 1",
    "no colon",
    "a(b): 1",
    "a\x80: 1",
    "a b: 1",
  ])
    refuses(400, `${BASE}${line}\r\n\r\n`);
  refuses(400, "GET / HTTP/1.1\r\n host: a\r\n\r\n");
});

test("content-length is decimal digits, once", () => {
  for (const value of [
    "",
    "+1",
    "-1",
    "1 1",
    "1,1",
    "1, 1",
    "0x1",
    "1e1",
    "1.0",
    "a",
    "1_0",
    "9007199254740992",
    "99999999999999999999",
    "\xb2",
  ])
    refuses(400, `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${value}\r\n\r\n`);
  refuses(400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx");
  refuses(400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\nContent-Length: 2\r\n\r\nx");
  assert.deepEqual(entries(parse("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 002\r\n\r\nab").headers), {
    "content-length": "2",
  });
});

test("the only transfer coding is chunked, alone, once, in HTTP/1.1, without a length", () => {
  const post = "POST / HTTP/1.1\r\nhost: a\r\n";
  for (const coding of [
    "identity",
    "gzip",
    "chunked, gzip",
    "chunked, chunked",
    "chunkedchunked",
    "chunked;q=1",
    ", chunked",
    "\x0bchunked",
    '"chunked"',
    "",
    "chunked,",
  ])
    refuses(400, `${post}transfer-encoding: ${coding}\r\n\r\n0\r\n\r\n`);
  refuses(501, `${post}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`);
  refuses(501, `${post}transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`);
  refuses(400, `${post}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`);
  refuses(400, `${post}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n`);
  refuses(400, `${post}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`);
  refuses(400, `${post}content-length: 5\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`);
  refuses(400, "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
  assert.equal(parse(`${post}Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n`).headers.size, 0);
});

test("fields of the connection and those that it names end here", () => {
  const head = parse(
    `${BASE}Connection: close, X-Gone, keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n` +
      "x-gone: 1\r\nX-Stays: 2\r\nUpgrade: websocket\r\n\r\n",
  );
  assert.deepEqual(entries(head.headers), { "x-stays": "2" });
  assert.equal(head.upgrade, undefined, "Upgrade without the connection option says nothing");
});

test("Connection cannot remove what is meant for every recipient", () => {
  const fields = {
    authorization: "x",
    cookie: "a=b",
    traceparent: "00",
    "x-forwarded-client-cert": "c",
    "x-request-id": "r",
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = parse(`${BASE}connection: ${Object.keys(fields).join(", ")}\r\n${lines.join("")}\r\n`);
  assert.deepEqual(entries(head.headers), fields);
});

test("Connection that names what frames or routes the message, or ten options, is refused", () => {
  for (const name of ["Host", "content-length", "Transfer-Encoding", "X-Forwarded-For", "x-forwarded-host", ":path"]) {
    refuses(400, `${BASE}connection: close, ${name}\r\n\r\n`);
  }
  const names = Array.from({ length: 10 }, (_, i) => `x-${i}`);
  assert.equal(parse(`${BASE}connection: ${names.slice(1).join(",")}\r\nx-9: 1\r\n\r\n`).headers.size, 0);
  refuses(400, `${BASE}connection: ${names.join(",")}\r\n\r\n`);
  refuses(400, `${BASE}${names.map((name) => `connection: ${name}\r\n`).join("")}\r\n`);
});

test("white space is space and tab only", () => {
  assert.equal(parse(`${BASE}connection: upgrade\xa0\r\nupgrade: websocket\r\n\r\n`).upgrade, undefined);
  refuses(400, `${BASE}connection: upgrade\r\nupgrade: websocket\xa0\r\n\r\n`);
  assert.equal(parse(`${BASE}x: \xa0a\xa0\r\n\r\n`).headers.get("x"), "\xa0a\xa0");
});

test("of TE only trailers goes on", () => {
  assert.deepEqual(entries(parse(`${BASE}te: trailers\r\nconnection: te\r\n\r\n`).headers), { te: "trailers" });
  assert.deepEqual(entries(parse(`${BASE}te: deflate;q=0.5, trailers\r\n\r\n`).headers), { te: "trailers" });
  assert.deepEqual(entries(parse(`${BASE}te: deflate\r\n\r\n`).headers), {});
});

test("an upgrade is told in lower case, and h2c is not one", () => {
  const ask = (fields: string) => parse(`${BASE}${fields}\r\n`).upgrade;
  assert.equal(ask("Connection: Upgrade\r\nUpgrade: WebSocket\r\n"), "websocket");
  assert.equal(ask("Connection: keep-alive, upgrade\r\nUpgrade: a/1, b\r\n"), "a/1, b");
  assert.equal(ask("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"), undefined);
  assert.equal(parse("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade, undefined);
  refuses(400, `${BASE}connection: upgrade\r\nupgrade: "x"\r\n\r\n`);
});

test("a request for a tunnel has no body", () => {
  const upgrade = "POST / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n";
  refuses(400, `${upgrade}content-length: 3\r\n\r\nabc`);
  refuses(400, `${upgrade}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`);
  refuses(400, "CONNECT a:1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
  assert.equal(parse(`${upgrade}content-length: 0\r\n\r\n`).upgrade, "websocket");
});

test("what a connection remembers of names changes no later head", () => {
  const server = new AnsweringServer();
  const heads = [
    "Host: a\r\nX-One: 1\r\nX-Two: 2\r\n",
    "Host: a\r\nX-Two: 2\r\nX-One: 1\r\n",
    "host: a\r\nx-one: 3\r\nX-TWO: 4\r\nX-Three: 5\r\n",
    "X-One: 1\r\nHost: a\r\n",
    "Host: a\r\nContent-Length: 0\r\nX-Two: :\r\n",
    "Host: a\r\nX-One2: 1\r\nX-Tw: 2\r\n",
  ];
  for (const head of heads) server.receive(`GET / HTTP/1.1\r\n${head}\r\n`);
  assert.deepEqual(
    server.requests.map((request) => request.head?.headers.fields.join(" ")),
    [
      "x-one 1 x-two 2",
      "x-two 2 x-one 1",
      "x-one 3 x-two 4 x-three 5",
      "x-one 1",
      "content-length 0 x-two :",
      "x-one2 1 x-tw 2",
    ],
  );
  server.receive("GET / HTTP/1.1\r\nHost: a\r\nX-One2 : 1\r\n\r\n");
  assert.equal(server.last.failure?.kind, "bad-request");
});

test("the head has a limit in bytes", () => {
  const limits = {
    maxHeadBytes: 200,
    maxHeaderCount: 100,
    maxTrailerBytes: 100,
    maxChunkLineBytes: 100,
    maxChunkExtensionBytes: 100,
  };
  const head = (bytes: number) => `${BASE}x: ${"y".repeat(bytes - BASE.length - 7)}\r\n\r\n`;
  assert.equal(head(200).length, 200);
  parse(head(199), { limits });
  parse(head(200), { limits });
  refuses(431, head(201), { limits });
  refuses(431, "G".repeat(5000), { limits });
  refuses(400, `${head(150).slice(0, 100)}\0${"y".repeat(200)}`, { limits });
});

test("the head has a limit in fields", () => {
  const limits = {
    maxHeadBytes: 2000,
    maxHeaderCount: 5,
    maxTrailerBytes: 100,
    maxChunkLineBytes: 100,
    maxChunkExtensionBytes: 100,
  };
  const head = (count: number) => `GET / HTTP/1.1\r\nhost: a\r\n${"x: 1\r\n".repeat(count - 1)}\r\n`;
  parse(head(4), { limits });
  parse(head(5), { limits });
  refuses(431, head(6), { limits });
});
