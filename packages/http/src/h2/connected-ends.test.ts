import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RequestHead, ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { entries } from "../testing/received-message.ts";
import { ScriptedH2Client, ScriptedH2Server } from "../testing/scripted-h2.ts";

/** Our client and our server, joined. */
class Ends {
  readonly client: ScriptedH2Client;
  readonly server: ScriptedH2Server;

  constructor(options = {}) {
    this.client = new ScriptedH2Client(options);
    this.server = new ScriptedH2Server(options);
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
