import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "@heddle/base";
import type { RequestEncoder } from "../codec.ts";
import { RequestHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { waysToCut } from "../testing/cuts.ts";
import type { H2Peer } from "../testing/h2-peer.ts";
import { entries, type ReceivedResponse, summary } from "../testing/received-message.ts";
import { GET, ScriptedH2Client } from "../testing/scripted-h2.ts";
import { webSocketAccept } from "../websocket/handshake.ts";
import { ErrorCode, FrameType, Setting } from "./frame/index.ts";

const begun = (options = {}): ScriptedH2Client => new ScriptedH2Client(options).begin();
const OK = [":status", "200"];

function head(method = "GET", fields: Readonly<Record<string, string>> = {}, upgrade?: string): RequestHead {
  return new RequestHead(method, "http", "a.test", "/", HeaderMap.from(fields), "1.1", upgrade);
}

function post(client: ScriptedH2Client): { readonly encoder: RequestEncoder; readonly response: ReceivedResponse } {
  const exchange = client.start();
  exchange.encoder.sendHead(head("POST"), false);
  return exchange;
}

describe("the preface", () => {
  test("is followed by SETTINGS without push and the window of the connection", () => {
    const client = new ScriptedH2Client();
    const text = client.transport.take();
    assert.equal(text.startsWith("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), true);
    const [settings, update] = client.server.read(text);
    assert.deepEqual(settings?.settings?.at(-1), [Setting.EnablePush, 0]);
    assert.equal(update?.increment, 1024 * 1024 - 65_535);
  });

  test("another frame than SETTINGS from the server ends the connection", () => {
    const client = new ScriptedH2Client();
    client.receive(client.server.ping());
    assert.equal(client.closed.length, 1);
    assert.equal(client.transport.ended, true);
    assert.equal(client.sent().at(-1)?.errorCode, ErrorCode.ProtocolError);
  });
});

describe("requests", () => {
  test("the head becomes pseudo-fields; what HTTP/2 does not have is left out", () => {
    const client = begun();
    const { encoder } = client.start();
    encoder.sendHead(
      head("GET", {
        connection: "x",
        te: "trailers",
        "transfer-encoding": "chunked",
        "http2-settings": "x",
        "x-a": "1",
      }),
      true,
    );
    const [frame] = client.sent();
    assert.deepEqual(frame?.fields, [...GET, "te", "trailers", "x-a", "1"]);
    assert.deepEqual([frame?.streamId, frame?.endStream], [1, true]);
    assert.equal(encoder.bytesHandedOver, true);
  });

  test("credentials and what came never indexed are never indexed", () => {
    const client = begun();
    const request = head("GET", { authorization: "secret", "x-token": "abc" });
    request.headers.neverIndexed = ["x-token"];
    client.start().encoder.sendHead(request, true);
    const block = client.transport.take();
    assert.ok(block.includes("\x1f\x08"), "authorization: 0001, index 23");
    const seen = client.server.read(block)[0]?.fields;
    assert.deepEqual(seen?.slice(-4), ["authorization", "secret", "x-token", "abc"]);
  });

  test("streams are numbered in the order in which their heads are sent", () => {
    const client = begun();
    const first = client.start();
    const second = client.get("/second");
    first.encoder.sendHead(head(), true);
    assert.deepEqual(
      client.sent().map(({ streamId, fields }) => [streamId, fields?.[7]]),
      [
        [1, "/second"],
        [3, "/"],
      ],
    );
    assert.equal(second.encoder.bytesHandedOver, true);
  });

  test("a body and trailers follow", () => {
    const client = begun();
    const { encoder } = post(client);
    encoder.sendData(Buffer.from("abc"), false);
    encoder.sendTrailers(HeaderMap.from({ "x-t": "1" }));
    const [, data, trailers] = client.sent();
    assert.equal(data?.text, "abc");
    assert.deepEqual([trailers?.fields, trailers?.endStream], [["x-t", "1"], true]);
  });

  test("one that cannot be sent fails alone, and takes no number", () => {
    const client = begun();
    const { encoder, response } = client.start();
    encoder.sendHead(new RequestHead("GET", "http", "a.test", "/a b", new HeaderMap()), true);
    assert.equal(response.failure?.kind, "internal");
    assert.equal(encoder.bytesHandedOver, false);
    assert.equal(client.connection.active, 0);
    client.get();
    assert.equal(client.sent()[0]?.streamId, 1);
  });

  test("a body that breaks its content-length resets the stream", () => {
    const client = begun();
    const { encoder, response } = client.start();
    encoder.sendHead(head("POST", { "content-length": "2" }), false);
    encoder.sendData(Buffer.from("abc"), true);
    assert.equal(response.failure?.kind, "internal");
    assert.equal(client.sent().at(-1)?.errorCode, ErrorCode.Cancel);
  });
});

describe("responses", () => {
  test("heads, interim ones before, bodies and trailers arrive the same however they are cut", () => {
    const build = (server: H2Peer): string =>
      Buffer.concat([
        server.settings(),
        server.headers(3, [...OK, "x-b", "2"], true),
        server.headers(1, [":status", "103", "link", "</a>"], false),
        server.headers(1, [...OK, "content-length", "6"], false),
        server.data(1, "abc"),
        server.data(1, "def"),
        server.headers(1, ["x-t", "1"], true),
      ]).toString("latin1");
    const run = (pieces: readonly string[]): unknown => {
      const client = new ScriptedH2Client();
      client.get();
      client.get();
      client.receive(...pieces);
      assert.equal(client.connection.active, 0);
      return summary(client.responses);
    };
    const probe = new ScriptedH2Client();
    const whole = run([build(probe.server)]);
    assert.match(JSON.stringify(whole), /"body":"abcdef","trailers":\{"x-t":"1"\},"ended":true/);
    for (const { way, pieces } of waysToCut(build(new ScriptedH2Client().server)))
      assert.deepEqual(run(pieces), whole, way);
  });

  const malformed: Record<string, (server: H2Peer) => readonly Buffer[]> = {
    "DATA before the head": (server) => [server.data(1, "x")],
    "no status": (server) => [server.headers(1, ["x", "y"])],
    "a status of two digits": (server) => [server.headers(1, [":status", "20"])],
    "a second status": (server) => [server.headers(1, [...OK, ":status", "200"])],
    "101": (server) => [server.headers(1, [":status", "101"], false)],
    "an interim answer that ends the stream": (server) => [server.headers(1, [":status", "103"])],
    "an upper-case name": (server) => [server.headers(1, [...OK, "X-A", "1"])],
    "a shorter body than content-length says": (server) => [
      server.headers(1, [...OK, "content-length", "5"], false),
      server.data(1, "abc", true),
    ],
    "trailers that do not end": (server) => [server.headers(1, OK, false), server.headers(1, ["x", "y"], false)],
    "interim answers without end": (server) =>
      Array.from({ length: 33 }, () => server.headers(1, [":status", "103"], false)),
  };
  for (const [what, frames] of Object.entries(malformed)) {
    test(`${what}: the stream fails`, () => {
      const client = begun({ streamErrorOnInvalidHttpMessage: true });
      const { response } = client.get();
      client.get();
      client.sent();
      client.receive(...frames(client.server));
      assert.equal(response.failure?.kind, "upstream-protocol-error");
      assert.equal(response.failure?.retry, "never");
      assert.equal(client.sent().at(-1)?.errorCode, ErrorCode.ProtocolError);
      assert.equal(client.closed.length, 0);
      client.receive(client.server.headers(3, OK));
      assert.equal(client.responses[1]?.ended, true);
    });
  }

  test("a response without body to HEAD keeps its content-length", () => {
    const client = begun();
    const { encoder, response } = client.start();
    encoder.sendHead(head("HEAD"), true);
    client.receive(client.server.headers(1, [...OK, "content-length", "5"]));
    assert.equal(response.ended, true);
    assert.equal(response.head?.headers.get("content-length"), "5");
  });

  test("one that ends before its request cancels what is left of it", () => {
    const client = begun();
    const { encoder, response } = post(client);
    client.sent();
    client.receive(client.server.headers(1, OK));
    assert.equal(response.ended, true);
    assert.equal(response.failure, undefined);
    assert.equal(client.sent().at(-1)?.errorCode, ErrorCode.Cancel);
    assert.equal(client.connection.active, 0);
    client.receive(client.server.reset(1, ErrorCode.NoError));
    assert.equal(encoder.sendData(Buffer.from("late"), true), true);
    assert.deepEqual(client.sent(), []);
    assert.equal(client.closed.length, 0);
  });

  test("a paused one keeps what comes, and outlives the connection once it has all of it", () => {
    const client = begun();
    const { encoder, response } = client.get();
    encoder.pauseResponse();
    client.receive(
      client.server.headers(1, OK, false),
      client.server.data(1, "abc"),
      client.server.data(1, "def", true),
    );
    assert.equal(response.body, "");
    client.connection.transportClosed(failure("connection-closed", "upstream", "gone"));
    assert.equal(response.failure, undefined);
    encoder.resumeResponse();
    assert.deepEqual([response.body, response.ended], ["abcdef", true]);
  });
});

describe("capacity", () => {
  test("is what the peer allows, and no more than ours", () => {
    const client = new ScriptedH2Client({ maxConcurrentStreams: 50 });
    assert.deepEqual([client.connection.capacity, client.connection.settled], [50, false]);
    client.receive(client.server.settings([Setting.MaxConcurrentStreams, 2]));
    assert.deepEqual([client.connection.capacity, client.connection.settled], [2, true]);
    client.get();
    client.start();
    assert.deepEqual([client.connection.capacity, client.connection.active], [0, 2]);
    assert.throws(() => client.start());
    const before = client.capacityChanges;
    client.receive(client.server.headers(1, OK));
    assert.deepEqual([client.connection.capacity, client.capacityChanges - before], [1, 1]);
  });

  test("is a hundred before SETTINGS, and ours where they set no limit", () => {
    const client = new ScriptedH2Client({ maxConcurrentStreams: 500 });
    assert.equal(client.connection.capacity, 100);
    client.receive(client.server.settings());
    assert.equal(client.connection.capacity, 500);
  });

  test("an exchange that is given up before its head leaves nothing on the wire", () => {
    const client = begun();
    const { encoder } = client.start();
    encoder.reset(failure("internal", "local", "x"));
    assert.deepEqual(client.sent(), []);
    assert.equal(client.connection.active, 0);
  });
});

describe("GOAWAY", () => {
  test("streams above it fail and may be sent again, the others finish, then the connection closes", () => {
    const client = begun();
    const [first, second] = [client.get(), client.get()];
    const third = client.start();
    client.receive(client.server.goAway(1));
    assert.equal(client.goAways, 1);
    assert.equal(client.connection.capacity, 0);
    assert.deepEqual(
      [second, third].map(({ response: { failure: cause } }) => [cause?.kind, cause?.retry]),
      Array(2).fill(["reset-by-upstream", "safe"]),
    );
    assert.equal(first.response.failure, undefined);
    client.receive(client.server.headers(1, OK, false), client.server.data(1, "all", true));
    assert.equal(first.response.body, "all");
    assert.deepEqual(client.closed, [undefined]);
    assert.equal(client.transport.ended, true);
  });

  test("one that leaves out nothing lets all finish", () => {
    const client = begun();
    const { response } = client.get();
    client.receive(client.server.goAway(0x7fff_ffff), client.server.goAway(1), client.server.headers(1, OK));
    assert.equal(response.ended, true);
    assert.equal(client.goAways, 1);
    assert.deepEqual(client.closed, [undefined]);
  });

  test("on an idle connection closes it", () => {
    const client = begun();
    client.receive(client.server.goAway(0));
    assert.deepEqual(client.closed, [undefined]);
  });
});

describe("resets of the server", () => {
  test("a refused stream may be sent again, others may not", () => {
    const client = begun();
    const [refused, broken] = [client.get(), client.get()];
    client.receive(client.server.reset(1, ErrorCode.RefusedStream), client.server.reset(3, ErrorCode.InternalError));
    assert.deepEqual(
      [refused, broken].map(({ response: { failure: cause } }) => [cause?.kind, cause?.retry, cause?.code]),
      [
        ["reset-by-upstream", "safe", "http2.remote_refuse"],
        ["reset-by-upstream", "never", "http2.remote_reset"],
      ],
    );
    assert.equal(client.connection.active, 0);
  });

  test("NO_ERROR behind a complete response is no error", () => {
    const client = begun();
    const { response } = post(client);
    client.receive(Buffer.concat([client.server.headers(1, OK), client.server.reset(1, ErrorCode.NoError)]));
    assert.deepEqual([response.ended, response.failure], [true, undefined]);
  });
});

describe("the end of the connection", () => {
  test("FIN fails what is open, by how far it was", () => {
    const client = begun();
    const [begunResponse, silent, unsent] = [client.get(), client.get(), client.start()];
    client.receive(client.server.headers(1, OK, false));
    client.connection.receiveEnd();
    assert.deepEqual(
      [begunResponse, silent, unsent].map(({ response: { failure: cause } }) => [cause?.kind, cause?.retry]),
      [
        ["connection-closed", "never"],
        ["connection-closed", "if-connection-was-reused"],
        ["connection-closed", "safe"],
      ],
    );
    assert.equal(client.closed.length, 1);
    client.connection.transportClosed(failure("connection-closed", "upstream", "gone"));
    assert.equal(client.closed.length, 1, "once");
  });

  test("a drained connection ends behind its last exchange with a GOAWAY", () => {
    const client = begun();
    const { response } = client.get();
    client.connection.drain();
    assert.equal(client.connection.capacity, 0);
    assert.equal(client.closed.length, 0);
    client.receive(client.server.headers(1, OK));
    assert.equal(response.ended, true);
    assert.deepEqual(client.closed, [undefined]);
    assert.deepEqual(client.sent().at(-1)?.type, FrameType.GoAway);
  });

  test("a server that breaks the protocol is told and left", () => {
    const client = begun();
    const { response } = client.get();
    client.receive(client.server.frame(FrameType.PushPromise, 4, 1, "\0\0\0\x02"));
    assert.equal(response.failure?.kind, "upstream-protocol-error");
    assert.equal(client.closed[0]?.kind, "upstream-protocol-error");
    assert.equal(client.sent().at(-1)?.errorCode, ErrorCode.ProtocolError);
  });

  test("PING is answered, and ours heard of", () => {
    const client = begun();
    client.receive(client.server.ping("abcdefgh"));
    assert.deepEqual(
      client.sent().map(({ text, flags }) => [text, flags]),
      [["abcdefgh", 1]],
    );
    client.connection.ping();
    const [ping] = client.sent();
    client.receive(client.server.ping("87654321", true), client.server.ping(ping?.text, true));
    assert.equal(client.pongs, 1);
  });
});

describe("tunnels", () => {
  const connect = [Setting.EnableConnectProtocol, 1] as const;

  test("an upgrade is an extended CONNECT, and its 200 a 101 with the accept of the key", () => {
    const client = new ScriptedH2Client({ allowConnect: true }).begin(connect);
    const { encoder, response } = client.start();
    const key = "dGhlIHNhbXBsZSBub25jZQ==";
    encoder.sendHead(head("GET", { "sec-websocket-key": key, "sec-websocket-version": "13" }, "websocket"), false);
    assert.equal(encoder.sendData(Buffer.from("early"), false), false);
    const [sent, ...nothing] = client.sent();
    assert.deepEqual(sent?.fields, [
      ":method",
      "CONNECT",
      ":protocol",
      "websocket",
      ...GET.slice(2),
      "sec-websocket-version",
      "13",
    ]);
    assert.deepEqual([sent?.endStream, nothing], [false, []]);
    client.receive(client.server.headers(1, OK, false));
    assert.equal(response.head?.status, 101);
    assert.deepEqual(entries(response.head.headers), {
      upgrade: "websocket",
      "sec-websocket-accept": webSocketAccept(key),
    });
    assert.equal(response.drained, 1);
    assert.equal(client.sent()[0]?.text, "early");
    client.receive(client.server.data(1, "down", true));
    assert.equal(response.ended, true);
    assert.equal(client.connection.active, 1, "our side is open");
    encoder.sendData(Buffer.from("up"), true);
    assert.equal(client.sent()[0]?.endStream, true);
    assert.equal(client.connection.active, 0);
  });

  test("an upgrade waits for SETTINGS, and fails where they do not offer it", () => {
    for (const offered of [true, false]) {
      const client = new ScriptedH2Client({ allowConnect: true });
      const { encoder, response } = client.start();
      encoder.sendHead(head("GET", {}, "websocket"), false);
      client.sent();
      client.receive(client.server.settings(...(offered ? [connect] : [])));
      const frames = client.sent().filter(({ type }) => type === FrameType.Headers);
      assert.equal(frames.length, offered ? 1 : 0);
      assert.equal(response.failure?.kind, offered ? undefined : "upgrade-refused");
      assert.equal(client.connection.active, offered ? 1 : 0);
    }
  });

  test("an upgrade that is refused drops what came early and ends the request", () => {
    const client = new ScriptedH2Client({ allowConnect: true }).begin(connect);
    const { encoder, response } = client.start();
    encoder.sendHead(head("GET", {}, "websocket"), false);
    encoder.sendData(Buffer.from("early"), false);
    client.sent();
    client.receive(client.server.headers(1, [":status", "403"], false), client.server.data(1, "no", true));
    assert.deepEqual([response.head?.status, response.body, response.ended], [403, "no", true]);
    assert.deepEqual(
      client.sent().map(({ type, length, endStream }) => [type, length, endStream]),
      [[0, 0, true]],
    );
    assert.equal(client.connection.active, 0);
  });

  test("CONNECT has an authority alone", () => {
    const client = begun();
    const { encoder, response } = client.start();
    encoder.sendHead(new RequestHead("CONNECT", "http", "a.test:443", "", new HeaderMap()), false);
    assert.deepEqual(client.sent()[0]?.fields, [":method", "CONNECT", ":authority", "a.test:443"]);
    client.receive(client.server.headers(1, OK, false), client.server.data(1, "x"));
    assert.deepEqual([response.head?.status, response.body], [200, "x"]);
    encoder.reset(failure("downstream-reset", "downstream", "gone"));
    assert.equal(client.sent().at(-1)?.errorCode, ErrorCode.Cancel);
  });
});
