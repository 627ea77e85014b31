import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "@heddle/base";
import { ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { defaultHttpLimits } from "../limits.ts";
import { waysToCut } from "../testing/cuts.ts";
import { entries, summary } from "../testing/received-message.ts";
import { GET, POST, ScriptedH2Server } from "../testing/scripted-h2.ts";
import { ErrorCode, FrameType, Setting } from "./frame/index.ts";
import { PREFACE } from "./preface.ts";

const begun = (options = {}): ScriptedH2Server => new ScriptedH2Server(options).begin();
const lenient = { streamErrorOnInvalidHttpMessage: true };

describe("the preface", () => {
  test("the server sends its SETTINGS first, and the window of the connection", () => {
    const server = new ScriptedH2Server();
    const [settings, update] = server.sent();
    assert.deepEqual(settings?.settings, [
      [Setting.InitialWindowSize, 65_536],
      [Setting.MaxHeaderListSize, 61_440],
      [Setting.MaxConcurrentStreams, 100],
    ]);
    assert.equal(update?.increment, 1024 * 1024 - 65_535);
  });

  test("the client's is taken however it is cut", () => {
    const peer = new ScriptedH2Server().client;
    const bytes = Buffer.concat([PREFACE, peer.settings(), peer.headers(1, GET)]).toString("latin1");
    for (const { way, pieces } of waysToCut(bytes)) {
      const server = new ScriptedH2Server().receive(...pieces);
      assert.equal(server.requests.length, 1, way);
      assert.equal(server.last.head?.path, "/", way);
    }
  });

  test("other bytes end the connection", () => {
    const server = new ScriptedH2Server();
    server.sent();
    server.receive("GET / HTTP/1.1\r\n\r\n");
    assert.deepEqual(server.sent().at(-1)?.errorCode, ErrorCode.ProtocolError);
    assert.equal(server.transport.ended, true);
    assert.equal(server.connection.ended, true);
    assert.equal(server.protocolErrors.length, 1);
  });

  test("another frame than SETTINGS ends the connection", () => {
    const server = new ScriptedH2Server();
    server.receive(PREFACE, server.client.ping());
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.ProtocolError);
  });
});

describe("requests", () => {
  test("pseudo-fields become the head, crumbs of a cookie one field", () => {
    const server = begun();
    server.receive(
      server.client.headers(1, [...GET.slice(0, 6), ":path", "/x?y", "cookie", "a=1", "x-y", "z", "cookie", "b=2"]),
    );
    const head = server.last.head!;
    assert.deepEqual([head.method, head.scheme, head.authority, head.path], ["GET", "http", "a.test", "/x?y"]);
    assert.equal(head.httpVersion, "2");
    assert.deepEqual(entries(head.headers), { cookie: "a=1; b=2", "x-y": "z" });
    assert.equal(server.last.ended, true);
  });

  test("host stands in for the authority, and is none of the fields", () => {
    const server = begun();
    server.receive(server.client.headers(1, [":method", "GET", ":scheme", "https", ":path", "/", "host", "b.test"]));
    assert.equal(server.last.head?.authority, "b.test");
    assert.equal(server.last.head?.headers.has("host"), false);
    assert.equal(server.last.head?.scheme, "https");
  });

  test("a body and trailers arrive the same however they are cut", () => {
    const build = (): string => {
      const peer = new ScriptedH2Server().client;
      return Buffer.concat([
        PREFACE,
        peer.settings(),
        peer.headers(1, [...POST, "content-length", "10"], false),
        peer.headers(3, [...GET, "x-a", "1"]),
        peer.data(1, "hello"),
        peer.frame(FrameType.Data, 0x08, 1, "\x03world\0\0\0"),
        peer.headers(1, ["x-t", "1", "content-length", "3"], true),
      ]).toString("latin1");
    };
    const whole = new ScriptedH2Server().receive(build());
    assert.equal(whole.requests[0]?.body, "helloworld");
    assert.deepEqual(whole.requests[0]?.trailers, { "x-t": "1" }, "without what may not stand in trailers");
    for (const { way, pieces } of waysToCut(build())) {
      const server = new ScriptedH2Server().receive(...pieces);
      assert.deepEqual(summary(server.requests), summary(whole.requests), way);
    }
  });

  test("a block in many frames is one", () => {
    const server = begun();
    const block = server.client.block([...GET, "x-long", "v".repeat(100)]);
    server.receive(server.client.frame(FrameType.Headers, 0x01, 1, block.subarray(0, 5)));
    server.receive(server.client.frame(FrameType.Continuation, 0, 1, block.subarray(5, 50)));
    server.receive(server.client.frame(FrameType.Continuation, 0x04, 1, block.subarray(50)));
    assert.equal(server.last.head?.headers.get("x-long"), "v".repeat(100));
    assert.equal(server.last.ended, true);
  });

  test("one whose head comes slowly has begun with its first frame", () => {
    const server = begun(lenient);
    const block = server.client.block(GET);
    server.receive(server.client.frame(FrameType.Headers, 0x01, 1, block.subarray(0, 5)));
    assert.deepEqual([server.requests.length, server.connection.active, server.last.head], [1, 1, undefined]);
    server.last.encoder.sendHead(new ResponseHead(408, new HeaderMap()), true);
    assert.deepEqual(
      server.sent().map(({ type }) => type),
      [FrameType.Headers, FrameType.RstStream],
    );
    server.receive(
      server.client.frame(FrameType.Continuation, 0x04, 1, block.subarray(5)),
      server.client.headers(3, GET),
    );
    assert.deepEqual([server.requests[0]?.head, server.requests[1]?.head?.path], [undefined, "/"]);
    const broken = server.client.block([...GET, "connection", "x"]);
    server.receive(server.client.frame(FrameType.Headers, 0x01, 5, broken.subarray(0, 5)));
    server.receive(server.client.frame(FrameType.Continuation, 0x04, 5, broken.subarray(5)));
    assert.equal(server.last.failure?.kind, "bad-request");
    assert.equal(server.last.head, undefined);
  });

  const malformed: Record<string, readonly string[]> = {
    "an upper-case name": [...GET, "X-A", "1"],
    "a connection field": [...GET, "connection", "close"],
    "transfer-encoding": [...GET, "transfer-encoding", "chunked"],
    "te of more than trailers": [...GET, "te", "trailers, deflate"],
    "a pseudo-field behind a field": [":method", "GET", ":scheme", "http", ":authority", "a", "x", "y", ":path", "/"],
    "an unknown pseudo-field": [...GET, ":x", "y"],
    "a repeated pseudo-field": [":method", "GET", ...GET],
    "no method": GET.slice(2),
    "no path": GET.slice(0, 6),
    "an empty path": [...GET.slice(0, 7), ""],
    "a path without a slash": [...GET.slice(0, 7), "x"],
    "a space in the path": [...GET.slice(0, 7), "/a b"],
    "user information": [":method", "GET", ":scheme", "http", ":authority", "u@a.test", ":path", "/"],
    "two authorities": [...GET, "host", "b.test"],
    "a line feed in a value": [...GET, "x", "a\nb"],
    "a blank at the end of a value": [...GET, "x", "a "],
    "an empty name": [...GET, "", "x"],
    "two lengths": [...POST, "content-length", "1", "content-length", "1"],
    "a body that the length forbids": [...GET, "content-length", "1"],
    "CONNECT with a path": [":method", "CONNECT", ":authority", "a:1", ":scheme", "http", ":path", "/"],
    "a protocol that was not offered": [":method", "CONNECT", ":protocol", "websocket", ...GET.slice(2)],
  };
  for (const [what, list] of Object.entries(malformed)) {
    test(`${what} is malformed`, () => {
      const server = begun(lenient);
      server.receive(server.client.headers(1, list), server.client.headers(3, GET));
      assert.deepEqual(server.sent(), [
        { type: FrameType.RstStream, flags: 0, streamId: 1, length: 4, errorCode: ErrorCode.ProtocolError },
      ]);
      assert.equal(server.requests.length, 1, "the stream behind it is served");
      assert.deepEqual(server.streamResets, [false]);
      const strict = begun();
      strict.receive(strict.client.headers(1, list));
      assert.equal(strict.sent().at(-1)?.errorCode, ErrorCode.ProtocolError, "and ends the connection by default");
      assert.equal(strict.connection.ended, true);
      assert.equal(strict.protocolErrors.length, 1);
    });
  }

  const answered: Record<string, readonly [status: string, list: readonly string[], code: string]> = {
    "a method that nobody knows": ["501", [":method", "BREW", ...GET.slice(2)], "http2.violation.of.messaging.rule"],
    "a scheme of others": [
      "400",
      [":method", "GET", ":scheme", "ftp", ":authority", "a", ":path", "/"],
      "http2.invalid.header.field",
    ],
    "no authority": ["400", [":method", "GET", ":scheme", "http", ":path", "/"], "missing_host_header"],
    "a list that is too large": ["431", [...GET, "x", "y".repeat(61_400)], "http2.headers_too_large"],
    "too many fields": [
      "431",
      [...GET, ...Array.from({ length: 101 }, () => ["x", "y"]).flat()],
      "http2.too_many_headers",
    ],
    "too many crumbs": [
      "431",
      [...GET, ...Array.from({ length: 101 }, () => ["cookie", "a"]).flat()],
      "http2.too_many_headers",
    ],
  };
  for (const [what, [status, list, code]] of Object.entries(answered)) {
    test(`${what} is answered with ${status}`, () => {
      const server = begun();
      const block = server.client.block(list);
      for (let at = 0; at < block.length; at += 16_384) {
        const piece = block.subarray(at, at + 16_384);
        const flags = (at === 0 ? 1 : 0) | (at + 16_384 >= block.length ? 4 : 0);
        server.receive(server.client.frame(at === 0 ? FrameType.Headers : FrameType.Continuation, flags, 1, piece));
      }
      const [head] = server.sent();
      assert.deepEqual(head?.fields?.slice(0, 2), [":status", status]);
      assert.equal(head?.endStream, true);
      assert.equal(server.last.head, undefined);
      assert.equal(server.last.failure?.code, code);
      assert.equal(server.get(3).requests.length, 2, "the next is served");
    });
  }

  test("what is answered may be the owner's, with a body; the exchange hears of it last", () => {
    const server = new ScriptedH2Server();
    const heard: string[] = [];
    server.onRequest = () => ({
      onHead: () => heard.push("head"),
      onData: () => heard.push("data"),
      onTrailers: () => heard.push("trailers"),
      onDrain: () => heard.push("drain"),
      onRefusal: ({ kind }) => {
        heard.push(`asked ${kind}`);
        return { head: new ResponseHead(431, HeaderMap.from({ "x-own": "1", "content-length": "5" })), body: "large" };
      },
      onReset: ({ kind }) => heard.push(`reset ${kind}`),
    });
    server.begin();
    server.receive(server.client.headers(1, [...GET, ...Array.from({ length: 101 }, () => ["x", "y"]).flat()], false));
    const [head, body, reset] = server.sent();
    assert.deepEqual(head?.fields, [":status", "431", "x-own", "1", "content-length", "5"]);
    assert.deepEqual([body?.text, body?.endStream, reset?.errorCode], ["large", true, ErrorCode.NoError]);
    assert.deepEqual(heard, ["asked head-too-large", "reset head-too-large"]);
    server.receive(server.client.data(1, "the rest", true));
    assert.deepEqual([server.sent(), heard.length, server.connection.active], [[], 2, 0]);
  });

  test("100 fields beside the pseudo-fields are taken", () => {
    const server = begun().get(1, Array.from({ length: 100 }, () => ["x", "y"]).flat());
    assert.equal(server.last.head?.headers.size, 100);
  });

  test("a request that repeats is read the same, and each has fields of its own", () => {
    const server = begun();
    for (let id = 1; id < 20; id += 2) {
      server.get(id, ["x-a", "1"]);
      assert.deepEqual(entries(server.last.head!.headers), { "x-a": "1" });
      server.last.head!.headers.set("x-a", "2");
      server.last.head!.headers.append("x-b", "3");
      server.answer(200, "", { "x-c": String(id % 4) });
    }
  });

  test("names that may not be indexed are known as such", () => {
    const server = begun();
    server.client.encoder.begin();
    for (let i = 0; i < GET.length; i += 2) server.client.encoder.add(GET[i]!, GET[i + 1]!);
    server.client.encoder.add("x-secret", "1", true);
    server.receive(server.client.frame(FrameType.Headers, 0x05, 1, server.client.encoder.end()));
    assert.deepEqual(server.last.head?.headers.neverIndexed, ["x-secret"]);
  });
});

describe("bodies", () => {
  test("more or less than content-length says is malformed", () => {
    for (const bodies of [["abcd"], ["ab"], ["a", "b"]]) {
      const server = begun(lenient).post(1, ["content-length", "3"]);
      for (const [i, body] of bodies.entries()) server.receive(server.client.data(1, body, i === bodies.length - 1));
      assert.equal(server.last.ended, false);
      assert.equal(server.last.failure?.kind, "bad-request");
      assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.ProtocolError);
    }
  });

  test("a second head is malformed, DATA behind the end an error of the stream", () => {
    const server = begun(lenient).post(1);
    server.receive(server.client.headers(1, ["x", "y"], false));
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.ProtocolError);
    server.get(3).receive(server.client.data(3, "x"));
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.StreamClosed);
    assert.equal(server.requests[1]?.failure?.kind, "bad-request");
  });

  test("a paused stream keeps what comes, at most its window, and stops nobody else", () => {
    const server = begun({ initialConnectionWindowSize: 65_535 });
    server.post(1).post(3);
    const [slow, fast] = server.requests;
    slow!.encoder.pauseRequest();
    for (let i = 0; i < 4; i++) server.receive(server.client.data(1, "s".repeat(16_384)));
    assert.equal(slow!.body, "");
    const updates = server.sent();
    assert.equal(updates.filter(({ streamId }) => streamId === 1).length, 0, "its own window stays used");
    const given = updates.reduce((sum, { increment = 0 }) => sum + increment, 0);
    assert.ok(given >= 32_768, "the connection's is given back");
    for (let i = 0; i < 3; i++) server.receive(server.client.data(3, "f".repeat(10_000), i === 2));
    assert.equal(fast!.body.length, 30_000);
    slow!.encoder.resumeRequest();
    assert.equal(slow!.body.length, 65_536);
    assert.equal(server.sent().filter(({ streamId }) => streamId === 1).length, 2, "in batches of half of it");
    server.receive(server.client.data(1, "end", true));
    assert.equal(slow!.ended, true);
  });

  test("what is kept comes in its order, trailers last, and stops again where it is paused again", () => {
    const server = begun().post(1);
    const request = server.last;
    request.encoder.pauseRequest();
    const [first, second] = ["a".repeat(2000), "b".repeat(3000)];
    server.receive(server.client.data(1, first), server.client.data(1, second), server.client.headers(1, ["t", "1"]));
    let seen = "";
    request.onData = (chunk) => {
      seen += Buffer.from(chunk).toString();
      request.encoder.pauseRequest();
    };
    request.encoder.resumeRequest();
    assert.equal(seen, first);
    request.encoder.resumeRequest();
    assert.equal(seen, first + second);
    assert.equal(request.trailers, undefined);
    request.encoder.resumeRequest();
    assert.deepEqual(request.trailers, { t: "1" });
  });

  test("more than the window of the stream resets it alone", () => {
    const server = begun({ initialStreamWindowSize: 65_535, initialConnectionWindowSize: 200_000 }).post(1);
    server.last.encoder.pauseRequest();
    for (let i = 0; i < 4; i++) server.receive(server.client.data(1, "s".repeat(16_384)));
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.FlowControlError);
    assert.equal(server.last.failure?.kind, "bad-request");
    assert.equal(server.connection.ended, false);
    server.get(3);
    assert.equal(server.requests.length, 2);
  });
});

describe("responses", () => {
  test("what HTTP/2 does not have is left out", () => {
    const server = begun().get(1);
    server.answer(200, "hi", {
      connection: "close",
      "keep-alive": "timeout=5",
      "transfer-encoding": "chunked",
      upgrade: "h2c",
      "proxy-connection": "x",
      "content-length": "2",
      "x-bad": "a\r\nb",
      "x bad": "c",
    });
    const [head, data] = server.sent();
    assert.deepEqual(head?.fields, [":status", "200", "content-length", "2", "x-bad", "a  b"]);
    assert.deepEqual([data?.text, data?.endStream], ["hi", true]);
  });

  test("HEAD, 204 and 304 have no body whatever is sent", () => {
    for (const [method, status] of [
      ["HEAD", 200],
      ["GET", 204],
      ["GET", 304],
    ] as const) {
      const server = begun();
      server.receive(server.client.headers(1, [":method", method, ...GET.slice(2)]));
      server.answer(status, "body", { "content-length": "4" });
      const frames = server.sent();
      assert.equal(frames.length, 1);
      assert.equal(frames[0]?.endStream, true);
      assert.equal(frames[0]?.fields?.includes("content-length"), status !== 204);
    }
  });

  test("an early answer resets the rest of the request, which is dropped", () => {
    const server = begun().post(1);
    server.answer(200, "early");
    const frames = server.sent();
    assert.deepEqual(
      frames.map(({ type, errorCode }) => [type, errorCode]),
      [
        [FrameType.Headers, undefined],
        [FrameType.Data, undefined],
        [FrameType.RstStream, ErrorCode.NoError],
      ],
    );
    assert.equal(server.connection.active, 0);
    for (let i = 0; i < 100; i++) server.receive(server.client.data(1, "x".repeat(16_000)));
    server.receive(server.client.headers(1, ["t", "1"]));
    assert.equal(server.connection.ended, false);
    assert.equal(server.last.body, "");
    const given = server.sent().reduce((sum, { increment = 0 }) => sum + increment, 0);
    assert.ok(given > 1_000_000, "the connection's window is given back");
    assert.deepEqual(server.streamResets, []);
  });

  test("a body that breaks its content-length resets the stream", () => {
    const server = begun().get(1);
    server.last.encoder.sendHead(new ResponseHead(200, HeaderMap.from({ "content-length": "3" })), false);
    server.last.encoder.sendData(Buffer.from("abcd"), true);
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.InternalError);
    assert.equal(server.last.failure?.kind, "internal");
  });

  test("a reset says whose fault it was", () => {
    const codes = (["upstream", "local", "downstream"] as const).map((side) => {
      const server = begun().get(1);
      server.last.encoder.reset(failure("internal", side, "x"));
      return server.sent().at(-1)?.errorCode;
    });
    assert.deepEqual(codes, [ErrorCode.InternalError, ErrorCode.InternalError, ErrorCode.Cancel]);
    const server = begun().get(1);
    server.last.encoder.reset(failure("draining", "local", "x", "safe"));
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.RefusedStream);
    assert.equal(server.last.failure, undefined, "who resets hears nothing more");
    assert.deepEqual(server.streamResets, []);
  });

  test("interim answers come before the final one, 101 never", () => {
    const server = begun().get(1);
    for (const status of [100, 101, 103])
      server.last.encoder.sendInformational(new ResponseHead(status, new HeaderMap()));
    server.answer();
    assert.deepEqual(
      server.sent().map(({ fields }) => fields?.[1]),
      ["100", "103", "200"],
    );
  });

  test("trailers stand behind the data, those that may not are left out", () => {
    const server = begun().get(1);
    const { encoder } = server.last;
    encoder.sendHead(new ResponseHead(200, new HeaderMap()), false);
    encoder.sendData(Buffer.from("x"), false);
    encoder.sendTrailers(HeaderMap.from({ "grpc-status": "0", "content-length": "1" }));
    assert.deepEqual(server.sent().at(-1)?.fields, ["grpc-status", "0"]);
    server.get(3);
    server.last.encoder.sendHead(new ResponseHead(200, new HeaderMap()), false);
    server.last.encoder.sendTrailers(HeaderMap.from({ "content-length": "1" }));
    const last = server.sent().at(-1);
    assert.deepEqual([last?.type, last?.length, last?.endStream], [FrameType.Data, 0, true]);
  });

  test("a head larger than a frame goes on in CONTINUATION", () => {
    const server = begun().get(1);
    const long = "{}".repeat(20_000);
    server.answer(200, "", { "x-long": long });
    const [head] = server.sent();
    assert.equal(head?.fields?.at(-1), long);
    assert.equal(head?.endStream, true);
  });
});

describe("resets of the client", () => {
  test("end the exchange, and are counted", () => {
    const server = begun().get(1);
    server.receive(server.client.reset(1, ErrorCode.Cancel));
    assert.equal(server.last.failure?.kind, "downstream-reset");
    assert.equal(server.last.failure?.code, "http2.remote_reset");
    assert.deepEqual(server.streamResets, [true]);
    server.answer(200, "late");
    assert.deepEqual(server.sent(), []);
    assert.equal(server.connection.active, 0);
  });

  test("DATA behind one in the same read reach nobody", () => {
    const server = begun().post(1);
    server.receive(Buffer.concat([server.client.reset(1, 8), server.client.data(1, "zombie")]));
    assert.equal(server.last.body, "");
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.StreamClosed);
  });
});

describe("draining", () => {
  test("is announced with a GOAWAY that leaves nothing out, then named, then done", () => {
    const server = begun().get(1);
    server.connection.announceDrain();
    const [notice, ping] = server.sent();
    assert.equal(notice?.lastStreamId, 0x7fff_ffff);
    server.get(3);
    server.receive(server.client.ping(ping?.text, true), server.client.ping(ping?.text, true));
    assert.equal(server.drainsRead, 1);
    assert.equal(server.pongs, 0);
    assert.equal(server.requests.length, 2);
    server.connection.drain();
    assert.deepEqual(server.sent().at(-1)?.lastStreamId, 3);
    server.get(5);
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.RefusedStream);
    assert.equal(server.requests.length, 2);
    server.answer();
    assert.equal(server.transport.ended, false);
    server.requests[0]!.encoder.sendHead(new ResponseHead(200, new HeaderMap()), true);
    assert.equal(server.transport.ended, true);
    assert.equal(server.connection.ended, true);
  });

  test("of an idle connection ends it at once", () => {
    const server = begun();
    server.connection.drain();
    assert.equal(server.transport.ended, true);
    assert.equal(server.sent().at(-1)?.type, FrameType.GoAway);
  });

  test("a stream that is refused keeps the header tables right", () => {
    const server = begun().get(1);
    server.connection.drain();
    server.get(3, ["x-new", "inserted"]);
    server.get(5, ["x-new", "inserted"]);
    assert.deepEqual(
      server
        .sent()
        .map(({ errorCode }) => errorCode)
        .slice(-2),
      [7, 7],
    );
    assert.equal(server.connection.ended, false);
  });
});

describe("the end of the transport", () => {
  test("a client that sends FIN is gone with all its exchanges", () => {
    const server = begun().get(1).post(3);
    server.connection.receiveEnd();
    assert.deepEqual(
      server.requests.map(({ failure: cause }) => cause?.kind),
      ["downstream-reset", "downstream-reset"],
    );
    assert.equal(server.transport.ended, true);
    assert.equal(server.connection.active, 0);
  });

  test("every open exchange hears that the transport is gone", () => {
    const server = begun().get(1).post(3);
    server.connection.transportClosed(failure("downstream-reset", "downstream", "gone"));
    assert.equal(
      server.requests.every(({ failure: cause }) => cause?.detail === "gone"),
      true,
    );
    server.answer(200, "late");
  });
});

describe("tunnels", () => {
  test("CONNECT carries bytes both ways once it was agreed to", () => {
    const server = begun();
    server.receive(server.client.headers(1, [":method", "CONNECT", ":authority", "a.test:443"], false));
    assert.deepEqual([server.last.head?.method, server.last.head?.path], ["CONNECT", ""]);
    server.receive(server.client.data(1, "early"));
    assert.equal(server.last.body, "");
    server.last.encoder.sendHead(new ResponseHead(200, HeaderMap.from({ "content-length": "0" })), false);
    assert.equal(server.last.body, "early");
    server.last.encoder.sendData(Buffer.from("down"), true);
    server.receive(server.client.data(1, "up", true));
    assert.equal(server.last.body, "earlyup");
    assert.equal(server.connection.active, 0);
    const frames = server.sent();
    assert.deepEqual(frames[0]?.fields, [":status", "200"]);
    assert.equal(frames[1]?.text, "down");
    assert.equal(frames.length, 2);
  });

  test("HEADERS within one are malformed", () => {
    const server = begun(lenient);
    server.receive(server.client.headers(1, [":method", "CONNECT", ":authority", "a.test:443"], false));
    server.last.encoder.sendHead(new ResponseHead(200, new HeaderMap()), false);
    server.receive(server.client.headers(1, ["t", "1"]));
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.ProtocolError);
    assert.equal(server.last.trailers, undefined);
  });

  const WEBSOCKET = [":method", "CONNECT", ":protocol", "websocket", ...GET.slice(2)];

  test("extended CONNECT is an upgrade inside, with a key, and 101 is 200 outside", () => {
    const server = new ScriptedH2Server({ allowConnect: true });
    assert.equal(
      server.sent()[0]?.settings?.some(([id, value]) => id === 8 && value === 1),
      true,
    );
    server.begin();
    server.receive(server.client.headers(1, [...WEBSOCKET, "sec-websocket-protocol", "chat"], false));
    const head = server.last.head!;
    assert.deepEqual([head.method, head.upgrade, head.path], ["GET", "websocket", "/"]);
    assert.equal(Buffer.from(head.headers.get("sec-websocket-key")!, "base64").length, 16);
    assert.equal(head.headers.get("sec-websocket-version"), "13");
    const accept = {
      upgrade: "websocket",
      connection: "upgrade",
      "sec-websocket-accept": "x",
      "sec-websocket-protocol": "chat",
    };
    server.last.encoder.sendHead(new ResponseHead(101, HeaderMap.from(accept)), false);
    server.last.encoder.sendData(Buffer.from("frame"), false);
    server.receive(server.client.data(1, "answer"));
    const frames = server.sent();
    assert.deepEqual(frames[0]?.fields, [":status", "200", "sec-websocket-protocol", "chat"]);
    assert.equal(frames[1]?.text, "frame");
    assert.equal(server.last.body, "answer");
  });

  test("an upgrade that was refused is a common answer; success without 101 is none", () => {
    const server = new ScriptedH2Server({ allowConnect: true }).begin();
    server.receive(server.client.headers(1, WEBSOCKET, false));
    server.answer(403, "no");
    assert.deepEqual(
      server.sent().map(({ type }) => type),
      [FrameType.Headers, FrameType.Data, FrameType.RstStream],
    );
    server.receive(server.client.headers(3, WEBSOCKET, false));
    server.answer(200, "not a websocket");
    assert.equal(server.sent()[0]?.fields?.[1], "502");
    assert.equal(server.last.failure?.kind, "upgrade-refused");
  });
});

describe("limits", () => {
  test("a stream above the number that was announced is refused", () => {
    const server = begun({ maxConcurrentStreams: 2 }).get(1).get(3).get(5);
    assert.equal(server.requests.length, 2);
    assert.deepEqual(server.sent().at(-1)?.errorCode, ErrorCode.RefusedStream);
    server.answer();
    server.get(7);
    assert.equal(server.requests.length, 3);
  });

  test("after many requests of one read others have their turn", () => {
    class Bursting extends ScriptedH2Server {
      bursts = 0;
      onBurst(): void {
        this.bursts++;
      }
    }
    const server = new Bursting({ maxConcurrentStreams: 1000 });
    server.begin();
    const requests = Array.from({ length: 150 }, (_, i) => server.client.headers(2 * i + 1, GET));
    server.receive(Buffer.concat(requests));
    assert.deepEqual([server.requests.length, server.bursts, server.transport.paused], [64, 1, true]);
    server.connection.continueReading();
    assert.deepEqual([server.requests.length, server.bursts], [128, 2]);
    server.connection.continueReading();
    assert.deepEqual([server.requests.length, server.bursts, server.transport.paused], [150, 2, false]);
  });

  test("a head that is a little too large is not a reason to lose the connection, one without end is", () => {
    const limits = { ...defaultHttpLimits, maxHeadBytes: 2000 };
    const server = begun({ limits });
    server.receive(server.client.frame(FrameType.Headers, 0, 1, server.client.block(GET)));
    for (let i = 0; i < 20 && !server.connection.ended; i++) {
      server.receive(server.client.frame(FrameType.Continuation, 0, 1, "x".repeat(2000)));
    }
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.EnhanceYourCalm);
    const many = begun();
    many.receive(many.client.frame(FrameType.Headers, 0, 1, many.client.block(GET)));
    let frames = 0;
    for (; frames < 1000 && !many.connection.ended; frames++) {
      many.receive(many.client.frame(FrameType.Continuation, 0, 1, "x"));
    }
    assert.ok(frames < 30);
  });
});
