import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "@heddle/base";
import { ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { AnsweringServer, ScriptedServer } from "../testing/index.ts";

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const HEAD = "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n";
const CLOSE = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
const OLD = "GET / HTTP/1.0\r\n\r\n";
const OLD_KEEP_ALIVE = "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
const UPGRADE = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const CONNECT = "CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n";
const post = (length: number, body = "", fields = "") =>
  `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n${fields}\r\n${body}`;
const NONE = new HeaderMap();
const bytes = (text: string) => Buffer.from(text, "latin1");
const gone = failure("downstream-reset", "downstream", "gone");

test("a response with a length keeps it, and the connection goes on", () => {
  const server = new ScriptedServer().receive(GET);
  assert.equal(server.connection.idle, false);
  server.answer(200, "hello", { "content-length": "5", "X-Y": "z" });
  assert.equal(server.transport.take(), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-y: z\r\n\r\nhello");
  assert.deepEqual([server.connection.idle, server.idles, server.transport.ended], [true, 1, false]);
  server.receive(GET).answer(204);
  assert.equal(server.transport.take(), "HTTP/1.1 204 No Content\r\n\r\n");
  assert.equal(server.idles, 2);
});

test("a response without a length is chunked, and may have trailers", () => {
  const server = new ScriptedServer().receive(GET);
  const { encoder } = server.last;
  encoder.sendHead(new ResponseHead(200, NONE, "Fine"), false);
  encoder.sendData(bytes("0123456789"), false);
  encoder.sendData(bytes(""), false);
  encoder.sendData(bytes("x"), false);
  encoder.sendTrailers(HeaderMap.from({ "x-sum": "1", "content-length": "3" }));
  assert.equal(
    server.transport.take(),
    "HTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n",
  );
  server.receive(GET).answer(200, "ab");
  assert.equal(server.transport.take(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
});

test("an empty response says length 0", () => {
  const server = new ScriptedServer().receive(GET);
  server.answer(404);
  assert.equal(server.transport.take(), "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
});

test("HEAD, 204 and 304 have no body whatever is sent; HEAD and 304 keep the length that GET would have", () => {
  const server = new ScriptedServer().receive(HEAD);
  server.answer(200, "dropped", { "content-length": "7" });
  assert.equal(server.transport.take(), "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
  server.receive(HEAD).answer(200, "", { "content-length": "7" });
  assert.equal(server.transport.take(), "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
  server.receive(HEAD).answer(200, "dropped");
  assert.equal(server.transport.take(), "HTTP/1.1 200 OK\r\n\r\n");
  server.receive(GET).answer(304, "dropped", { "content-length": "9" });
  assert.equal(server.transport.take(), "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n");
  server.receive(GET).answer(204, "dropped", { "content-length": "9" });
  assert.equal(server.transport.take(), "HTTP/1.1 204 No Content\r\n\r\n");
  assert.equal(server.idles, 5);
});

test("a client that asks to close gets connection: close, then FIN", () => {
  const server = new ScriptedServer().receive(CLOSE);
  server.answer();
  assert.equal(server.transport.take(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  assert.deepEqual([server.transport.ended, server.connection.ended, server.idles], [true, true, 0]);
  server.receive(GET);
  assert.equal(server.requests.length, 1, "what comes after the end is ignored");
});

test("an HTTP/1.0 client is kept only if it asks and the length is known", () => {
  const closing = new ScriptedServer().receive(OLD);
  closing.answer();
  assert.equal(closing.transport.take(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  assert.ok(closing.transport.ended);

  const keeping = new ScriptedServer().receive(OLD_KEEP_ALIVE);
  keeping.answer(200, "ab", { "content-length": "2" });
  assert.equal(keeping.transport.take(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nab");
  keeping.receive(OLD_KEEP_ALIVE).answer(200, "ab");
  assert.equal(keeping.transport.take(), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab");
  assert.ok(keeping.transport.ended, "the end of the connection is the end of the body");
});

test("a body that would end with its connection is cut by RST, any other by FIN", () => {
  for (const [text, wasReset] of [
    [OLD, true],
    [GET, false],
  ] as const) {
    const server = new ScriptedServer().receive(text);
    server.last.encoder.sendHead(new ResponseHead(200, NONE), false);
    server.last.encoder.sendData(bytes("half"), false);
    server.last.encoder.reset(failure("connection-closed", "upstream", "gone"));
    assert.deepEqual([server.transport.destroyed, server.transport.wasReset], [true, wasReset]);
  }
});

test("interim responses go before the final one, but not to HTTP/1.0", () => {
  const server = new ScriptedServer().receive(GET);
  server.last.encoder.sendInformational(new ResponseHead(100, NONE));
  server.last.encoder.sendInformational(new ResponseHead(103, HeaderMap.from({ link: "x" })));
  server.answer();
  assert.equal(
    server.transport.take(),
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
  );
  const old = new ScriptedServer().receive(OLD_KEEP_ALIVE);
  old.last.encoder.sendInformational(new ResponseHead(103, NONE));
  assert.equal(old.transport.take(), "");
});

test("pipelined requests are read one after the other; meanwhile the transport is paused", () => {
  const server = new ScriptedServer().receive(GET + post(3, "abc") + GET);
  assert.deepEqual([server.requests.length, server.transport.paused], [1, true]);
  server.answer();
  assert.deepEqual([server.requests.length, server.last.body, server.transport.paused], [2, "abc", true]);
  server.answer();
  assert.deepEqual([server.requests.length, server.transport.paused], [3, false]);
  assert.equal(server.idles, 0);
  server.answer();
  assert.deepEqual([server.idles, server.connection.idle], [1, true]);
});

test("a thousand pipelined requests that are answered within the callback need no recursion", () => {
  const server = new AnsweringServer().receive(GET.repeat(1000));
  assert.deepEqual([server.requests.length, server.idles, server.transport.paused], [1000, 1, false]);
});

test("a request behind one that asked to close is not read", () => {
  const server = new AnsweringServer().receive(CLOSE + GET);
  assert.deepEqual([server.requests.length, server.transport.ended], [1, true]);
});

test("after an early response the rest of the request is dropped, and the connection goes on", () => {
  const server = new ScriptedServer().receive(post(10, "01234"));
  server.answer(413);
  assert.equal(server.transport.take(), "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n");
  assert.deepEqual([server.connection.idle, server.idles], [false, 0]);
  server.receive("56789");
  assert.deepEqual([server.connection.idle, server.idles, server.requests[0]?.body], [true, 1, "01234"]);
  server.receive(GET).answer();
  assert.equal(server.requests.length, 2);
});

test("an early response to a request with much left says close and ends", () => {
  const server = new ScriptedServer().receive(post(70_000, "x"));
  server.answer(413);
  assert.match(server.transport.take(), /connection: close/);
  assert.ok(server.transport.ended);
});

test("of a request without a length at most 64 KiB are dropped", () => {
  const server = new ScriptedServer().receive(
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n",
  );
  server.answer(413);
  server.receive("x".repeat(65_536));
  assert.equal(server.transport.ended, false);
  server.receive("x");
  assert.equal(server.transport.ended, true);
});

test("a bad chunk in the dropped rest ends the connection", () => {
  const server = new ScriptedServer().receive("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
  server.answer(413);
  server.transport.take();
  server.receive("x\r\n");
  assert.deepEqual([server.transport.take(), server.transport.ended, server.last.failure], ["", true, undefined]);
});

test("a final answer to a client that waits for 100 closes, since its body may come or not", () => {
  const server = new ScriptedServer().receive(post(3, "", "expect: 100-continue\r\n"));
  assert.equal(server.last.head?.headers.get("expect"), "100-continue");
  server.answer(401);
  assert.match(server.transport.take(), /^HTTP\/1.1 401 .*connection: close/s);
  assert.ok(server.transport.ended);

  const continued = new ScriptedServer().receive(post(3, "", "expect: 100-continue\r\n"));
  continued.last.encoder.sendInformational(new ResponseHead(100, NONE));
  continued.receive("abc").answer();
  assert.equal(continued.transport.ended, false);
});

test("an upgrade turns both directions into a tunnel, and bytes that came early wait for it", () => {
  const server = new ScriptedServer().receive(`${UPGRADE}early`);
  assert.deepEqual([server.last.ended, server.last.body, server.transport.paused], [false, "", true]);
  server.last.encoder.sendHead(new ResponseHead(101, NONE), false);
  assert.equal(
    server.transport.take(),
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
  );
  assert.deepEqual([server.last.body, server.transport.paused], ["early", false]);
  server.receive("GET / HTTP/1.1\r\n\r\n");
  assert.equal(server.last.body, "earlyGET / HTTP/1.1\r\n\r\n");
  assert.equal(server.last.encoder.sendData(bytes("raw"), false), true);
  assert.equal(server.transport.take(), "raw");
  server.connection.receiveEnd();
  assert.deepEqual([server.last.ended, server.transport.ended], [true, false]);
  server.last.encoder.sendData(bytes("bye"), true);
  assert.deepEqual([server.transport.take(), server.transport.ended, server.connection.ended], ["bye", true, true]);
});

test("a tunnel may end first in the direction of the client", () => {
  const server = new ScriptedServer().receive(UPGRADE);
  server.last.encoder.sendHead(new ResponseHead(101, HeaderMap.from({ upgrade: "websocket" })), false);
  server.last.encoder.sendData(bytes("bye"), true);
  assert.deepEqual([server.transport.ended, server.connection.ended], [true, false]);
  server.receive("more");
  server.connection.receiveEnd();
  assert.deepEqual([server.last.body, server.last.ended, server.connection.ended], ["more", true, true]);
});

test("an upgrade that is refused leaves the connection as it was; early bytes are the next request", () => {
  const server = new ScriptedServer().receive(UPGRADE + GET);
  server.answer(403);
  assert.deepEqual([server.requests.length, server.last.head?.path], [2, "/"]);
  assert.match(server.transport.take(), /^HTTP\/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n$/);
});

test("2xx to CONNECT makes a tunnel, without a length; after another status nothing is read", () => {
  const server = new ScriptedServer().receive(CONNECT);
  server.last.encoder.sendHead(new ResponseHead(200, HeaderMap.from({ "content-length": "5" })), false);
  server.receive("x");
  assert.deepEqual([server.transport.take(), server.last.body], ["HTTP/1.1 200 OK\r\n\r\n", "x"]);
  const refused = new ScriptedServer().receive(CONNECT + GET);
  refused.answer(502);
  assert.equal(refused.transport.take(), "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  assert.deepEqual([refused.requests.length, refused.transport.ended], [1, true]);
});

test("101 to a request that asked for nothing is never sent", () => {
  const server = new ScriptedServer().receive(GET);
  server.last.encoder.sendHead(new ResponseHead(101, NONE), false);
  assert.deepEqual(
    [server.transport.take(), server.transport.destroyed, server.last.failure?.kind],
    ["", true, "internal"],
  );
});

test("a body that does not keep its content-length cuts the connection", () => {
  for (const [chunk, end] of [
    ["abcd", false],
    ["abcd", true],
    ["ab", true],
  ] as const) {
    const server = new ScriptedServer().receive(GET);
    server.last.encoder.sendHead(new ResponseHead(200, HeaderMap.from({ "content-length": "3" })), false);
    server.transport.take();
    server.last.encoder.sendData(bytes(chunk), end);
    assert.deepEqual(
      [server.transport.take(), server.transport.destroyed, server.last.failure?.kind],
      ["", true, "internal"],
    );
  }
});

test("a length that is no number, or two, gives way to chunks", () => {
  for (const fields of [
    ["content-length", "x"],
    ["content-length", "1", "content-length", "2"],
  ]) {
    const server = new ScriptedServer().receive(GET);
    server.last.encoder.sendHead(new ResponseHead(200, new HeaderMap(fields)), false);
    assert.equal(server.transport.take(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  }
});

test("fields of the connection in a response are not sent, and line breaks in values become spaces", () => {
  const server = new ScriptedServer().receive(GET);
  server.last.encoder.sendHead(
    new ResponseHead(
      200,
      new HeaderMap([
        "connection", "close", "keep-alive", "timeout=5", "transfer-encoding", "gzip", "upgrade", "x", "proxy-connection", "y",
        "x-a", "1\r\nx-evil: 2", "x-b", "\u010a\u0000", "bad name", "3", "x:y", "4", "", "5", "x-c", "caf\xe9",
      ]), // biome-ignore format: pairs
      "O\r\nK",
    ),
    true,
  );
  assert.equal(
    server.transport.take(),
    "HTTP/1.1 200 O  K\r\nx-a: 1  x-evil: 2\r\nx-b:   \r\nx-c: caf\xe9\r\ncontent-length: 0\r\n\r\n",
  );
});

test("pausing the request holds what was read and pauses the transport; resuming gives it on in order", () => {
  const server = new ScriptedServer().receive(post(10, "ab"));
  server.last.encoder.pauseRequest();
  assert.equal(server.transport.paused, true);
  server.receive("cd", "ef"); // what a transport may still give
  assert.equal(server.last.body, "ab");
  server.last.encoder.resumeRequest();
  assert.deepEqual([server.last.body, server.transport.paused], ["abcdef", false]);
  server.receive("ghij");
  assert.deepEqual([server.last.body, server.last.ended], ["abcdefghij", true]);
});

test("a FIN behind held bytes is told after them", () => {
  const server = new ScriptedServer().receive(post(4, "a"));
  server.last.encoder.pauseRequest();
  server.receive("b");
  server.connection.receiveEnd();
  assert.deepEqual([server.last.failure], [undefined]);
  server.last.encoder.resumeRequest();
  assert.deepEqual([server.last.body, server.last.failure?.kind], ["ab", "downstream-reset"]);
});

test("the verdict of the transport is handed on, and its drain", () => {
  const server = new ScriptedServer().receive(GET);
  server.last.encoder.sendHead(new ResponseHead(200, NONE), false);
  server.transport.belowHighWatermark = false;
  assert.equal(server.last.encoder.sendData(bytes("x"), false), false);
  server.connection.transportDrained();
  assert.equal(server.last.drained, 1);
});

test("a client that half-closes behind its request gets the answer, then FIN", () => {
  const server = new ScriptedServer().receive(GET);
  server.connection.receiveEnd();
  assert.equal(server.last.failure, undefined);
  server.answer();
  assert.equal(server.transport.take(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
  assert.ok(server.transport.ended);
});

test("a client that half-closes behind pipelined requests gets all answers", () => {
  const server = new ScriptedServer().receive(GET + GET);
  server.connection.receiveEnd();
  server.answer();
  assert.equal(server.requests.length, 2);
  server.answer();
  assert.ok(server.transport.ended);
});

test("FIN within a head or a body is answered with 400", () => {
  const inHead = new ScriptedServer().receive("GET / HT");
  inHead.connection.receiveEnd();
  assert.deepEqual([inHead.last.failure?.kind, inHead.protocolErrors[0]?.answeredStatus], ["bad-request", 400]);
  assert.match(inHead.transport.take(), /^HTTP\/1.1 400 /);
  const inBody = new ScriptedServer().receive(post(5, "abc"));
  inBody.connection.receiveEnd();
  assert.equal(inBody.last.failure?.kind, "downstream-reset");
  assert.match(inBody.transport.take(), /^HTTP\/1.1 400 /);
  assert.ok(inBody.transport.ended);
});

test("a client that reads no answers has no further request read until it does", () => {
  const server = new ScriptedServer().receive(GET + GET);
  server.transport.belowHighWatermark = false;
  server.answer();
  assert.deepEqual([server.requests.length, server.idles, server.transport.paused], [1, 1, true]);
  server.transport.belowHighWatermark = true;
  server.connection.transportDrained();
  assert.equal(server.requests.length, 2);
  server.answer();
  assert.deepEqual([server.transport.paused, server.connection.idle, server.idles], [false, true, 2]);
});

test("of many requests that come at once the first are answered, and the others when others had their turn", () => {
  let bursts = 0;
  const server = new AnsweringServer();
  Object.assign(server, { onBurst: () => bursts++ });
  server.receive(GET.repeat(150));
  assert.deepEqual([server.requests.length, bursts, server.transport.paused], [64, 1, true]);
  server.connection.receiveEnd();
  server.connection.continueReading();
  assert.deepEqual([server.requests.length, bursts, server.transport.ended], [128, 2, false]);
  server.connection.continueReading();
  assert.deepEqual([server.requests.length, bursts, server.transport.ended], [150, 2, true]);
  server.connection.continueReading();
  assert.equal(server.requests.length, 150);
});

test("a client that reads no answers ends with a drain like an idle one", () => {
  const server = new ScriptedServer().receive(GET + GET);
  server.transport.belowHighWatermark = false;
  server.answer();
  server.connection.drain();
  assert.ok(server.transport.ended);
  server.connection.transportDrained();
  assert.equal(server.requests.length, 1);
});

test("FIN within a body cuts a response that has begun", () => {
  const server = new ScriptedServer().receive(post(5, "abc"));
  server.last.encoder.sendHead(new ResponseHead(200, NONE), false);
  server.connection.receiveEnd();
  assert.deepEqual([server.transport.destroyed, server.last.failure?.kind], [true, "downstream-reset"]);
});

test("FIN on an idle connection is answered with FIN", () => {
  const server = new ScriptedServer();
  server.connection.receiveEnd();
  assert.deepEqual([server.transport.ended, server.connection.ended, server.connection.idle], [true, true, false]);
});

test("a lost transport resets the open exchange, and nothing else is written", () => {
  const server = new ScriptedServer().receive(GET);
  server.connection.transportClosed(gone);
  assert.equal(server.last.failure, gone);
  server.answer();
  assert.deepEqual([server.transport.take(), server.connection.ended], ["", true]);
});

test("a reset cuts the connection and the decoder hears nothing more", () => {
  const server = new ScriptedServer().receive(post(5, "abc"));
  server.last.encoder.reset(gone);
  server.receive("de");
  assert.deepEqual([server.transport.destroyed, server.last.body, server.last.failure], [true, "abc", undefined]);
});

test("the encoder of an ended exchange is dead: it cannot touch the next one", () => {
  const server = new ScriptedServer().receive(GET);
  const { encoder } = server.last;
  server.answer();
  server.receive(GET);
  server.transport.take();
  encoder.reset(gone);
  encoder.sendHead(new ResponseHead(500, NONE), true);
  assert.equal(encoder.sendData(bytes("x"), true), true);
  encoder.pauseRequest();
  assert.deepEqual([server.transport.take(), server.transport.destroyed, server.transport.paused], ["", false, false]);
});

test("drain ends an idle connection at once, a busy one after its response, which says close", () => {
  const idle = new ScriptedServer();
  idle.connection.drain();
  assert.ok(idle.transport.ended);
  const busy = new ScriptedServer().receive(GET);
  busy.connection.drain();
  assert.equal(busy.transport.ended, false);
  busy.answer();
  assert.match(busy.transport.take(), /connection: close/);
  assert.ok(busy.transport.ended);
  const late = new ScriptedServer().receive(GET);
  late.last.encoder.sendHead(new ResponseHead(200, NONE), false);
  late.connection.drain();
  late.last.encoder.sendData(bytes("x"), true);
  assert.deepEqual([late.transport.ended, late.idles], [true, 0]);
});

test("a request can be answered before its head is complete; that ends the connection", () => {
  const server = new ScriptedServer().receive("GET / HT");
  server.answer(408);
  assert.match(
    server.transport.take(),
    /^HTTP\/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n$/,
  );
  assert.ok(server.transport.ended);
});

test("an exchange begins with the first byte of its head", () => {
  const server = new ScriptedServer();
  server.receive("\r\n");
  assert.deepEqual([server.requests.length, server.connection.idle], [0, true]);
  server.receive("G");
  assert.deepEqual([server.requests.length, server.connection.idle, server.last.head], [1, false, undefined]);
});
