import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure } from "@heddle/base";
import fc from "fast-check";
import type { RequestEncoder } from "../codec.ts";
import { RequestHead, ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { entries, type ReceivedRequest, type ReceivedResponse } from "../testing/received-message.ts";
import { ScriptedH2Client, ScriptedH2Server } from "../testing/scripted-h2.ts";
import { noH2Stats } from "./h2-stats.ts";

/** Our client and our server, joined. */
class Ends {
  readonly client: ScriptedH2Client;
  readonly server: ScriptedH2Server;

  constructor(options = {}) {
    this.client = new ScriptedH2Client(options);
    this.server = new ScriptedH2Server(options);
  }

  unblock(): this {
    for (const end of [this.client, this.server]) {
      end.transport.belowHighWatermark = true;
      end.connection.transportDrained();
    }
    return this;
  }

  /** Carries bytes until neither side has any. */
  carry(): this {
    for (;;) {
      const up = this.client.transport.take();
      if (up !== "") this.server.receive(up);
      const down = this.server.transport.take();
      if (down !== "") this.client.receive(down);
      if (up === "" && down === "") return this;
    }
  }
}

describe("our client and our server", () => {
  test("exchange heads, bodies and trailers", () => {
    const ends = new Ends().carry();
    const { encoder, response } = ends.client.start();
    encoder.sendHead(new RequestHead("POST", "http", "a.test", "/x", HeaderMap.from({ "x-a": "1" })), false);
    encoder.sendData(Buffer.from("hello "), false);
    encoder.sendData(Buffer.from("world"), false);
    encoder.sendTrailers(HeaderMap.from({ "x-t": "end" }));
    ends.carry();
    const request = ends.server.last;
    assert.equal(request.head?.method, "POST");
    assert.equal(request.head?.path, "/x");
    assert.equal(request.head?.authority, "a.test");
    assert.deepEqual(entries(request.head.headers), { "x-a": "1" });
    assert.equal(request.body, "hello world");
    assert.deepEqual(request.trailers, { "x-t": "end" });
    request.encoder.sendInformational(new ResponseHead(103, HeaderMap.from({ link: "</a>" })));
    request.encoder.sendHead(new ResponseHead(200, HeaderMap.from({ "x-b": "2" })), false);
    request.encoder.sendData(Buffer.from("answer"), false);
    request.encoder.sendTrailers(HeaderMap.from({ "grpc-status": "0" }));
    ends.carry();
    assert.equal(response.informational[0]?.status, 103);
    assert.equal(response.head?.status, 200);
    assert.equal(response.body, "answer");
    assert.deepEqual(response.trailers, { "grpc-status": "0" });
    assert.equal(ends.client.connection.active, 0);
    assert.equal(ends.server.connection.active, 0);
    assert.equal(ends.server.idles, 1);
  });

  test("carry a body larger than every window, both ways", () => {
    const ends = new Ends().carry();
    const { encoder, response } = ends.client.start();
    const body = Buffer.alloc(3_000_000, "0123456789");
    encoder.sendHead(new RequestHead("POST", "http", "a.test", "/", new HeaderMap()), false);
    let below = true;
    for (let at = 0; at < body.length; at += 30_000) below = encoder.sendData(body.subarray(at, at + 30_000), false);
    encoder.sendData(Buffer.alloc(0), true);
    assert.equal(below, false);
    ends.carry();
    assert.equal(ends.server.last.body.length, body.length);
    assert.equal(ends.server.last.body, body.toString("latin1"));
    assert.ok(response.drained > 0);
    ends.server.answer(200, body.toString("latin1"));
    ends.carry();
    assert.equal(response.body, body.toString("latin1"));
    assert.equal(response.ended, true);
  });
});

/** Counts what goes up and down. */
class Gauge {
  value = 0;
  add(n = 1): void {
    this.value += n;
  }
}

describe("whatever both ends do", () => {
  const step = fc.record({
    act: fc.constantFrom(
      "start",
      "start",
      "request data",
      "request data",
      "request end",
      "request trailers",
      "request reset",
      "answer head",
      "answer data",
      "answer data",
      "answer end",
      "answer trailers",
      "answer reset",
      "pause request",
      "resume request",
      "pause answer",
      "resume answer",
      "carry up",
      "carry up",
      "carry down",
      "carry down",
      "block up",
      "block down",
      "unblock",
      "ping",
    ),
    of: fc.nat(7),
    bytes: fc.nat(50_000),
  });
  const head = (): RequestHead => new RequestHead("POST", "http", "a.test", "/", HeaderMap.from({ "x-a": "1" }));
  const cause = failure("internal", "local", "the test gives up");

  test("nothing is out of place, nobody is forgotten, and nothing is left of it", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 120, size: "max" }), (steps) => {
        const [active, pending] = [new Gauge(), new Gauge()];
        const ends = new Ends({ stats: { ...noH2Stats, streamsActive: active, pendingSendBytes: pending } }).carry();
        const { client, server } = ends;
        const calls: { encoder: RequestEncoder; response: ReceivedResponse; paused: boolean }[] = [];
        const pausedRequests = new Set<ReceivedRequest>();
        for (const { act, of, bytes } of steps) {
          const call = calls.at(of - calls.length);
          const request = server.requests.at(of - server.requests.length);
          switch (act) {
            case "start": {
              const started = { ...client.start(), paused: false };
              started.encoder.sendHead(head(), bytes % 7 === 0);
              calls.push(started);
              break;
            }
            case "request data":
              call?.encoder.sendData(Buffer.alloc(bytes, "q"), false);
              break;
            case "request end":
              call?.encoder.sendData(Buffer.alloc(0), true);
              break;
            case "request trailers":
              call?.encoder.sendTrailers(HeaderMap.from({ t: "1" }));
              break;
            case "request reset":
              if (bytes % 4 === 0) call?.encoder.reset(cause);
              break;
            case "answer head":
              request?.encoder.sendHead(new ResponseHead(200, HeaderMap.from({ "x-b": "2" })), bytes % 7 === 0);
              break;
            case "answer data":
              request?.encoder.sendData(Buffer.alloc(bytes, "a"), false);
              break;
            case "answer end":
              request?.encoder.sendData(Buffer.alloc(0), true);
              break;
            case "answer trailers":
              request?.encoder.sendTrailers(HeaderMap.from({ t: "2" }));
              break;
            case "answer reset":
              if (bytes % 4 === 0) request?.encoder.reset(cause);
              break;
            case "pause request":
              if (request !== undefined && !pausedRequests.has(request)) {
                pausedRequests.add(request);
                request.encoder.pauseRequest();
              }
              break;
            case "resume request":
              if (request !== undefined && pausedRequests.delete(request)) request.encoder.resumeRequest();
              break;
            case "pause answer":
            case "resume answer":
              if (call !== undefined && call.paused !== (act === "pause answer")) {
                call.paused = !call.paused;
                if (call.paused) call.encoder.pauseResponse();
                else call.encoder.resumeResponse();
              }
              break;
            case "carry up":
              server.receive(client.transport.take());
              break;
            case "carry down":
              client.receive(server.transport.take());
              break;
            case "block up":
              client.transport.belowHighWatermark = false;
              break;
            case "block down":
              server.transport.belowHighWatermark = false;
              break;
            case "unblock":
              ends.unblock();
              break;
            case "ping":
              client.connection.ping();
              break;
          }
        }
        ends.unblock().carry();
        for (const request of pausedRequests) request.encoder.resumeRequest();
        for (const call of calls) if (call.paused) call.encoder.resumeResponse();
        ends.carry();
        for (const call of calls) call.encoder.sendData(Buffer.alloc(0), true);
        ends.carry();
        for (const request of server.requests) {
          request.encoder.sendHead(new ResponseHead(200, new HeaderMap()), false);
          request.encoder.sendData(Buffer.alloc(0), true);
        }
        ends.carry();
        assert.deepEqual([client.closed, server.protocolErrors], [[], []]);
        assert.deepEqual([client.connection.active, server.connection.active], [0, 0]);
        assert.deepEqual([active.value, pending.value], [0, 0]);
      }),
      { numRuns: 150 },
    );
  });
});
