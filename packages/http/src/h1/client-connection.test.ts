import assert from "node:assert/strict";
import { test } from "node:test";
import { type Failure, failure } from "@heddle/base";
import { RequestHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { defaultHttpLimits } from "../limits.ts";
import { entries, type ReceivedResponse, ScriptedClient, summary, waysToCut } from "../testing/index.ts";

const bytes = (text: string) => Buffer.from(text, "latin1");
const gone = failure("reset-by-upstream", "upstream", "gone");

function request(method = "GET", fields: Readonly<Record<string, string>> = {}, upgrade?: string): RequestHead {
  const authority = method === "CONNECT" ? "b:443" : "a";
  return new RequestHead(
    method,
    "http",
    authority,
    method === "CONNECT" ? "" : "/",
    HeaderMap.from(fields),
    "1.1",
    upgrade,
  );
}

/** A client that has sent one request and waits for the response. */
function waiting(method = "GET", upgrade?: string): ScriptedClient {
  const client = new ScriptedClient();
  const tunnel = method === "CONNECT" || upgrade !== undefined;
  client.start().encoder.sendHead(request(method, {}, upgrade), !tunnel);
  client.transport.take();
  return client;
}

/** The response of these bytes, the same however they are cut, and the client that got it. */
function respond(text: string, method = "GET", end = false): { client: ScriptedClient; response: ReceivedResponse } {
  let first: unknown;
  let result: { client: ScriptedClient; response: ReceivedResponse } | undefined;
  for (const { way, pieces } of waysToCut(text)) {
    const client = waiting(method);
    client.receive(...pieces);
    if (end) client.connection.receiveEnd();
    const state = [summary(client.responses), client.closed.length, client.connection.capacity];
    first ??= state;
    assert.deepEqual(state, first, `${JSON.stringify(text)} ${way}`);
    const [response] = client.responses;
    assert.ok(response !== undefined);
    result = { client, response };
  }
  assert.ok(result !== undefined);
  return result;
}

/** The bytes are no response: the exchange fails and the connection is closed, however they are cut. */
function refuses(text: string, method = "GET"): void {
  for (const { way, pieces } of waysToCut(text)) {
    const client = waiting(method);
    client.receive(...pieces);
    const label = `${JSON.stringify(text.slice(0, 100))} ${way}`;
    assert.equal(client.responses[0]?.failure?.kind, "upstream-protocol-error", label);
    assert.equal(client.responses[0]?.failure?.retry, "never", label);
    assert.deepEqual([client.closed.length, client.connection.capacity, client.connection.active], [1, 0, 0], label);
  }
}

test("a request without a body is its head alone", () => {
  const client = new ScriptedClient();
  client
    .start()
    .encoder.sendHead(request("GET", { "X-A": "1", te: "trailers", connection: "x", "transfer-encoding": "y" }), true);
  assert.equal(
    client.transport.take(),
    "GET / HTTP/1.1\r\nhost: a\r\nx-a: 1\r\nte: trailers\r\nconnection: te\r\n\r\n",
  );
});

test("a method that expects content says length 0 without it", () => {
  for (const method of ["POST", "PUT", "PATCH"]) {
    const client = new ScriptedClient();
    client.start().encoder.sendHead(request(method), true);
    assert.equal(client.transport.take(), `${method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n`);
  }
});

test("a request keeps its length or is chunked, and may have trailers", () => {
  const client = new ScriptedClient();
  const { encoder } = client.start();
  encoder.sendHead(request("POST", { "content-length": "3" }), false);
  encoder.sendData(bytes("ab"), false);
  encoder.sendData(bytes("c"), true);
  assert.equal(client.transport.take(), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
  client.receive("HTTP/1.1 204 No Content\r\n\r\n");
  const next = client.start().encoder;
  next.sendHead(request("POST"), false);
  next.sendData(bytes("ab"), false);
  next.sendTrailers(HeaderMap.from({ x: "1" }));
  assert.equal(
    client.transport.take(),
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx: 1\r\n\r\n",
  );
});

test("a method or path that would break the request line is not sent, and harms nobody else", () => {
  for (const [method, path] of [
    ["GET", "/a b"],
    ["GET", "/a\r\nx: y"],
    ["GET", ""],
    ["G T", "/"],
    ["GET", "/\u010a"],
    ["GET", "/#x"],
  ] as const) {
    const client = new ScriptedClient();
    const { encoder, response } = client.start();
    encoder.sendHead(new RequestHead(method, "http", "a", path, new HeaderMap()), true);
    assert.equal(client.transport.take(), "");
    assert.equal(response.failure?.kind, "internal");
    assert.equal(encoder.bytesHandedOver, false);
    assert.deepEqual([client.connection.capacity, client.closed], [1, []]);
  }
});

test("a body that does not keep its content-length closes the connection", () => {
  for (const [chunk, end] of [
    ["abcd", false],
    ["ab", true],
  ] as const) {
    const client = new ScriptedClient();
    const { encoder, response } = client.start();
    encoder.sendHead(request("POST", { "content-length": "3" }), false);
    encoder.sendData(bytes(chunk), end);
    assert.deepEqual([response.failure?.kind, client.closed.length], ["internal", 1]);
  }
});

test("a response becomes status, reason and fields; then the connection can be used again", () => {
  const { client, response } = respond(
    "HTTP/1.1 200 Very OK\r\nContent-Length: 2\r\nX-A: 1\r\nConnection: x-b\r\nx-b: 1\r\n\r\nab",
  );
  assert.deepEqual([response.head?.status, response.head?.reason], [200, "Very OK"]);
  assert.deepEqual(entries(response.head?.headers ?? new HeaderMap()), { "content-length": "2", "x-a": "1" });
  assert.deepEqual([response.body, response.ended], ["ab", true]);
  assert.deepEqual([client.connection.capacity, client.connection.active, client.capacityChanges], [1, 0, 1]);
  client.start().encoder.sendHead(request(), true);
  client.receive("HTTP/1.1 204\r\n\r\n");
  assert.deepEqual(
    [client.responses[1]?.head?.status, client.responses[1]?.head?.reason, client.connection.started],
    [204, "", 2],
  );
});

test("the kinds of body of RFC 9112 section 6.3", () => {
  const ends = (text: string, method?: string) => {
    const { client, response } = respond(text, method);
    return [response.body, response.ended, client.connection.capacity];
  };
  assert.deepEqual(ends("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "HEAD"), ["", true, 1]);
  assert.deepEqual(ends("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HEAD"), ["", true, 1]);
  assert.deepEqual(ends("HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n"), ["", true, 1]);
  assert.deepEqual(ends("HTTP/1.1 304 No\r\ncontent-length: 5\r\n\r\n"), ["", true, 1]);
  assert.deepEqual(ends("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), ["", true, 1]);
  assert.deepEqual(ends("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), [
    "abc",
    true,
    1,
  ]);
  assert.deepEqual(ends("HTTP/1.1 200 OK\r\n\r\nabc"), ["abc", false, 0]);
});

test("a body without a length ends with the connection", () => {
  const { client, response } = respond("HTTP/1.1 200 OK\r\n\r\nabc", "GET", true);
  assert.deepEqual(
    [response.body, response.ended, response.failure, client.closed],
    ["abc", true, undefined, [undefined]],
  );
});

test("trailers of a response", () => {
  const { response } = respond("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\ngrpc-status: 0\r\n\r\n");
  assert.deepEqual([response.trailers, response.ended], [{ "grpc-status": "0" }, true]);
});

test("connection: close and HTTP/1.0 without keep-alive end the connection, told after the response", () => {
  for (const head of [
    "HTTP/1.1 204 No\r\nconnection: close\r\n\r\n",
    "HTTP/1.0 204 No\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: x, Close\r\ncontent-length: 0\r\n\r\n",
  ]) {
    const { client, response } = respond(head);
    assert.deepEqual([response.ended, client.connection.capacity, client.closed], [true, 0, [undefined]]);
  }
  assert.equal(respond("HTTP/1.0 204 No\r\nconnection: Keep-Alive\r\n\r\n").client.connection.capacity, 1);
});

test("interim responses are handed on, and there cannot be ever more of them", () => {
  const { response } = respond(
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nlink: x\r\ncontent-length: 4\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
  );
  assert.deepEqual(
    response.informational.map((head) => [head.status, entries(head.headers)]),
    [
      [100, {}],
      [103, { link: "x" }],
    ],
  );
  assert.equal(response.head?.status, 204);
  refuses("HTTP/1.1 102 Wait\r\n\r\n".repeat(33));
});

test("the upstream's idle timeout is read in milliseconds", () => {
  const timeout = (value: string) =>
    respond(`HTTP/1.1 204 No\r\nKeep-Alive: ${value}\r\n\r\n`).client.connection.keepAliveTimeoutMs;
  assert.equal(timeout("timeout=5"), 5000);
  assert.equal(timeout("max=100, Timeout = 65"), 65_000);
  assert.equal(timeout("max=100"), undefined);
  assert.equal(timeout("timeout=x"), undefined);
  assert.equal(timeout("timeout=99999999999"), undefined);
});

test("a malformed response is refused", () => {
  for (const line of [
    "HTTP/2.0 200 OK",
    "HTTP/0.9 200 OK",
    "HTTP/1.1  200 OK",
    "HTTP/1.1 20 OK",
    "HTTP/1.1 2000 OK",
    "HTTP/1.1 099 X",
    "HTTP/1.1 600 X",
    "HTTP/1.1 abc X",
    "HTTP/1.1\t200 OK",
    "http/1.1 200 OK",
    "ICY 200 OK",
    "200 OK",
    "",
    " HTTP/1.1 200 OK",
    "HTTP/1.1 200\tOK",
    "HTTP/1.1 200 \x01",
  ])
    refuses(`${line}\r\n\r\n`);
  for (const field of [
    "x : 1",
    " x: 1",
    "x",
    ": 1",
    "x: \0",
    "x: a\rb",
    "x: a\nb",
    "content-length: -1",
    "content-length: 1\r\ncontent-length: 1",
    "transfer-encoding: gzip",
    "transfer-encoding: chunked, chunked",
    "transfer-encoding: gzip, chunked",
    "transfer-encoding: identity",
    "transfer-encoding: chunked\r\ncontent-length: 1",
  ])
    refuses(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n`);
  refuses("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  refuses("\r\nHTTP/1.1 200 OK\r\n\r\n");
  refuses("HTTP/1.1 200 OK\n\n");
});

test("a chunked response is read as strictly as a request", () => {
  for (const body of ["x\r\n", "1 \r\nx\r\n", "1\nx\r\n", "1\r\nxx", "0\r\nx\r\n\r\n"]) {
    const client = waiting().receive(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body}`);
    assert.equal(client.responses[0]?.failure?.kind, "upstream-protocol-error", body);
  }
});

test("a response head has limits in bytes and fields", () => {
  const limits = { ...defaultHttpLimits, maxHeadBytes: 100, maxHeaderCount: 3 };
  const fails = (text: string) => {
    const client = new ScriptedClient({ limits });
    client.start().encoder.sendHead(request(), true);
    client.receive(text);
    return client.closed.length === 1;
  };
  const head = (size: number) => `HTTP/1.1 204 No\r\nx: ${"y".repeat(size - 24)}\r\n\r\n`;
  assert.deepEqual([fails(head(99)), fails(head(100)), fails(head(101))], [false, false, true]);
  const fields = (count: number) => `HTTP/1.1 204 No\r\n${"x: 1\r\n".repeat(count)}\r\n`;
  assert.deepEqual([fails(fields(2)), fails(fields(3)), fails(fields(4))], [false, false, true]);
});

test("bytes on an idle connection poison it", () => {
  const fresh = new ScriptedClient().receive("H");
  assert.deepEqual([fresh.connection.capacity, fresh.closed[0]?.kind], [0, "upstream-protocol-error"]);
  const used = waiting().receive("HTTP/1.1 204 No\r\n\r\n", "HTTP/1.1 408 Request Timeout\r\n\r\n");
  assert.deepEqual([used.connection.capacity, used.closed.length], [0, 1]);
});

test("bytes behind a response poison the connection before anybody can use it again", () => {
  const client = waiting().receive("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabHTTP/1.1 200 OK\r\n\r\n");
  assert.deepEqual(
    [client.responses[0]?.body, client.responses[0]?.ended, client.responses[0]?.failure],
    ["ab", true, undefined],
  );
  assert.deepEqual(
    [client.capacityChanges, client.connection.capacity, client.closed[0]?.kind],
    [0, 0, "upstream-protocol-error"],
  );
});

test("a response before the request was sent fails the exchange, which may be sent elsewhere", () => {
  const client = new ScriptedClient();
  const { response } = client.start();
  client.receive("HTTP/1.1 200 OK\r\n\r\n");
  assert.deepEqual(
    [response.failure?.kind, response.failure?.retry, client.closed.length],
    ["upstream-protocol-error", "safe", 1],
  );
});

test("a response before the whole request was sent is good, the connection is not", () => {
  const client = new ScriptedClient();
  const { encoder, response } = client.start();
  encoder.sendHead(request("POST"), false);
  encoder.sendData(bytes("a"), false);
  client.transport.take();
  client.receive("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n");
  assert.deepEqual([response.ended, response.failure, client.closed], [true, undefined, [undefined]]);
  assert.equal(encoder.sendData(bytes("b"), true), true);
  assert.equal(client.transport.take(), "");
});

test("an expectation that is answered at once takes the connection, since the body may not have been read", () => {
  for (const [interim, closed] of [
    ["", 1],
    ["HTTP/1.1 103 Early Hints\r\n\r\n", 1],
    ["HTTP/1.1 100 Continue\r\n\r\n", 0],
  ] as const) {
    const client = new ScriptedClient();
    const { encoder, response } = client.start();
    encoder.sendHead(request("POST", { expect: "100-continue", "content-length": "1" }), false);
    encoder.sendData(bytes("a"), true);
    client.receive(`${interim}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n`);
    assert.deepEqual([response.ended, client.closed.length], [true, closed]);
  }
});

test("what a closed connection advises about sending again", () => {
  const cut = (act: (client: ScriptedClient) => void): Failure | undefined => {
    const client = new ScriptedClient();
    const { encoder, response } = client.start();
    if (act !== unsent) encoder.sendHead(request(), true);
    act(client);
    client.connection.receiveEnd();
    assert.equal(client.closed.length, 1);
    return response.failure;
  };
  const unsent = () => undefined;
  assert.deepEqual([cut(unsent)?.kind, cut(unsent)?.retry], ["connection-closed", "safe"]);
  assert.equal(cut(() => undefined)?.retry, "if-connection-was-reused");
  assert.equal(cut((client) => client.receive("H"))?.retry, "never");
  assert.equal(cut((client) => client.receive("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"))?.retry, "never");
  assert.equal(
    cut((client) => client.receive("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"))?.retry,
    "never",
  );
});

test("a lost transport fails the exchange with the cause and the same advice", () => {
  const client = waiting();
  client.connection.transportClosed(gone);
  const [response] = client.responses;
  assert.deepEqual(
    [response?.failure?.kind, response?.failure?.retry, client.closed],
    ["reset-by-upstream", "if-connection-was-reused", [gone]],
  );
  client.connection.transportClosed(gone);
  client.connection.receiveEnd();
  assert.equal(client.closed.length, 1);
});

test("FIN on an idle connection closes it", () => {
  const client = new ScriptedClient();
  client.connection.receiveEnd();
  assert.deepEqual([client.connection.capacity, client.closed], [0, [undefined]]);
});

test("a reset closes the connection once anything was sent; before that it can be used again", () => {
  const sent = waiting();
  const [response] = sent.responses;
  const encoder = new ScriptedClient().start().encoder;
  assert.equal(encoder.bytesHandedOver, false);
  const fresh = new ScriptedClient();
  const started = fresh.start();
  started.encoder.reset(gone);
  assert.deepEqual([fresh.connection.capacity, fresh.closed, started.response.failure], [1, [], undefined]);
  const busy = new ScriptedClient();
  const exchange = busy.start();
  exchange.encoder.sendHead(request(), true);
  exchange.encoder.reset(gone);
  assert.deepEqual(
    [busy.closed, exchange.response.failure, exchange.encoder.bytesHandedOver],
    [[gone], undefined, true],
  );
  assert.equal(response?.failure, undefined);
});

test("the encoder of an ended exchange cannot touch the next one", () => {
  const client = new ScriptedClient();
  const { encoder } = client.start();
  encoder.sendHead(request(), true);
  client.receive("HTTP/1.1 204 No\r\n\r\n");
  const next = client.start();
  next.encoder.sendHead(request(), true);
  encoder.reset(gone);
  encoder.pauseResponse();
  assert.deepEqual([client.closed, client.transport.paused, encoder.bytesHandedOver], [[], false, true]);
});

test("drain closes an idle connection at once and a busy one after its response", () => {
  const idle = new ScriptedClient();
  idle.connection.drain();
  assert.deepEqual(idle.closed, [undefined]);
  const busy = waiting();
  busy.connection.drain();
  assert.deepEqual([busy.closed, busy.capacityChanges], [[], 1]);
  busy.receive("HTTP/1.1 204 No\r\n\r\n");
  assert.deepEqual([busy.closed, busy.connection.capacity], [[undefined], 0]);
});

test("a paused response is held, and a connection that comes free is not left paused", () => {
  const client = new ScriptedClient();
  const { encoder, response } = client.start();
  encoder.sendHead(request(), true);
  client.receive("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\na");
  encoder.pauseResponse();
  client.receive("bcd");
  assert.deepEqual([response.body, client.transport.paused], ["a", true]);
  encoder.resumeResponse();
  assert.deepEqual(
    [response.body, response.ended, client.transport.paused, client.connection.capacity],
    ["abcd", true, false, 1],
  );

  const second = client.start();
  second.encoder.sendHead(request("POST"), false);
  second.encoder.pauseResponse();
  second.encoder.sendData(bytes("x"), true);
  client.receive("HTTP/1.1 204 No\r\n\r\n");
  client.connection.receiveEnd();
  assert.deepEqual([second.response.head, client.closed], [undefined, []]);
  second.encoder.resumeResponse();
  assert.deepEqual([second.response.ended, client.closed], [true, [undefined]]);
});

test("an upgrade becomes a tunnel; what was sent before the answer waits for it", () => {
  const client = new ScriptedClient();
  const { encoder, response } = client.start();
  encoder.sendHead(request("GET", { "sec-websocket-key": "k" }, "websocket"), false);
  assert.equal(
    client.transport.take(),
    "GET / HTTP/1.1\r\nhost: a\r\nsec-websocket-key: k\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
  );
  assert.equal(encoder.sendData(bytes("early"), false), false);
  assert.equal(client.transport.take(), "");
  client.receive("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nhi");
  assert.deepEqual(
    [client.transport.take(), response.drained, response.head?.status, response.body],
    ["early", 1, 101, "hi"],
  );
  assert.equal(response.head?.headers.get("upgrade"), "websocket");
  assert.equal(encoder.sendData(bytes("raw"), false), true);
  client.receive("HTTP/1.1 200 OK\r\n\r\n");
  assert.equal(response.body, "hiHTTP/1.1 200 OK\r\n\r\n");
  encoder.sendData(bytes("!"), true);
  assert.deepEqual([client.transport.take(), client.transport.ended, client.closed], ["raw!", true, []]);
  client.connection.receiveEnd();
  assert.deepEqual([response.ended, client.closed, client.connection.capacity], [true, [undefined], 0]);
});

test("an upgrade that is refused is an ordinary response", () => {
  const client = waiting("GET", "websocket").receive("HTTP/1.1 403 No\r\ncontent-length: 1\r\n\r\nx");
  const [response] = client.responses;
  assert.deepEqual(
    [response?.head?.status, response?.body, response?.ended, client.connection.capacity],
    [403, "x", true, 1],
  );
});

test("101 without an upgrade, or to another one, breaks the protocol", () => {
  refuses("HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n");
  for (const upgrade of ["upgrade: other\r\n", "", "upgrade: h2c\r\n"]) {
    const client = waiting("GET", "websocket").receive(
      `HTTP/1.1 101 Switching\r\nconnection: upgrade\r\n${upgrade}\r\n`,
    );
    assert.equal(client.responses[0]?.failure?.kind, "upstream-protocol-error");
  }
});

test("2xx to CONNECT is a tunnel whatever its length says; another status is a response", () => {
  const client = waiting("CONNECT").receive(
    "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
  );
  assert.equal(
    client.responses[0]?.failure?.kind,
    "upstream-protocol-error",
    "both framings are a contradiction even here",
  );
  const open = waiting("CONNECT").receive("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabc");
  assert.deepEqual(
    [open.responses[0]?.body, open.responses[0]?.head?.headers.size, open.responses[0]?.ended],
    ["abc", 0, false],
  );
  const refused = waiting("CONNECT").receive("HTTP/1.1 407 No\r\ncontent-length: 1\r\n\r\na");
  assert.deepEqual([refused.responses[0]?.ended, refused.connection.capacity], [true, 1]);
});

test("drain of the transport reaches the exchange", () => {
  const client = waiting();
  client.connection.transportDrained();
  assert.equal(client.responses[0]?.drained, 1);
});
