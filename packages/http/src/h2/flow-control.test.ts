import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { ResponseEncoder } from "../codec.ts";
import { ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import type { SeenFrame } from "../testing/h2-peer.ts";
import { ScriptedH2Server } from "../testing/scripted-h2.ts";
import { ReceiveWindow, SendWindow } from "./flow-window.ts";
import { ErrorCode, FrameType, Setting } from "./frame/index.ts";
import { H2ServerConnection } from "./server-connection.ts";

const window = (bytes: number) => [Setting.InitialWindowSize, bytes] as const;

function answering(server: ScriptedH2Server, ...ids: readonly number[]): ResponseEncoder[] {
  const encoders = ids.map((id) => {
    server.get(id);
    server.last.encoder.sendHead(new ResponseHead(200, new HeaderMap()), false);
    return server.last.encoder;
  });
  server.sent();
  return encoders;
}

function data(frames: readonly SeenFrame[]): (readonly [streamId: number, length: number])[] {
  return frames
    .filter(({ type }) => type === FrameType.Data)
    .map(({ streamId, length }) => [streamId, length] as const);
}

describe("windows", () => {
  test("a send window may fall below zero, but not grow above 2^31 - 1", () => {
    const sends = new SendWindow(10);
    assert.equal(sends.grow(-25), true);
    assert.equal(sends.available, -15);
    assert.equal(sends.grow(0x7fff_ffff), true);
    assert.equal(sends.grow(16), false);
  });

  test("a receive window gives back in batches of half of it", () => {
    const receives = new ReceiveWindow(100);
    assert.equal(receives.consume(100), true);
    assert.deepEqual([receives.release(30), receives.release(30), receives.release(30)], [0, 60, 0]);
    assert.equal(receives.consume(61), false);
  });
});

describe("sending", () => {
  test("a small response leaves whole at once, without being copied into a queue", () => {
    const server = new ScriptedH2Server().begin().get(1);
    server.answer(200, "hello");
    assert.deepEqual(
      server.sent().map(({ type, endStream }) => [type, endStream]),
      [
        [FrameType.Headers, false],
        [FrameType.Data, true],
      ],
    );
  });

  test("stops at the stream's window, and goes on when it grows", () => {
    const server = new ScriptedH2Server({ streamBufferBytes: 20 }).begin(window(10));
    const [encoder] = answering(server, 1);
    assert.equal(encoder!.sendData(Buffer.from("0123456789abcdef"), false), true);
    assert.equal(encoder!.sendData(Buffer.from("ghijklmnopqrstuvwxyz"), true), false);
    assert.deepEqual(data(server.sent()), [[1, 10]]);
    server.receive(server.client.windowUpdate(1, 8));
    assert.deepEqual(data(server.sent()), [[1, 8]]);
    assert.equal(server.last.drained, 0);
    server.receive(server.client.windowUpdate(1, 8));
    assert.equal(server.last.drained, 1, "half of the buffer is free");
    server.receive(server.client.windowUpdate(1, 100));
    const last = server.sent().at(-1);
    assert.deepEqual([last?.text, last?.endStream], ["qrstuvwxyz", true]);
  });

  test("an end without data needs no window, and waits behind data", () => {
    const server = new ScriptedH2Server().begin(window(1));
    const [first, second] = answering(server, 1, 3);
    first!.sendData(Buffer.from("a"), false);
    first!.sendData(Buffer.alloc(0), true);
    second!.sendData(Buffer.from("bc"), false);
    second!.sendTrailers(HeaderMap.from({ t: "1" }));
    assert.deepEqual(
      server.sent().map(({ streamId, text, endStream }) => [streamId, text, endStream]),
      [
        [1, "a", false],
        [1, "", true],
        [3, "b", false],
      ],
    );
    server.receive(server.client.windowUpdate(3, 1));
    const [rest, trailers] = server.sent();
    assert.deepEqual([rest?.text, trailers?.fields, trailers?.endStream], ["c", ["t", "1"], true]);
  });

  test("streams take turns of a frame where the connection's window is the limit", () => {
    const server = new ScriptedH2Server().begin(window(1_000_000));
    const encoders = answering(server, 1, 3, 5);
    for (const encoder of encoders) encoder.sendData(Buffer.alloc(100_000), false);
    assert.equal(
      data(server.sent()).reduce((sum, [, bytes]) => sum + bytes, 0),
      65_535,
    );
    server.receive(server.client.windowUpdate(0, 16_384 * 6));
    assert.deepEqual(
      data(server.sent()).map(([id]) => id),
      [1, 3, 5, 1, 3, 5],
    );
  });

  test("a stream that is reset lets others go on", () => {
    const server = new ScriptedH2Server().begin();
    const [first, second] = answering(server, 1, 3);
    first!.sendData(Buffer.alloc(100_000), true);
    second!.sendData(Buffer.from("x"), true);
    server.receive(server.client.reset(1, ErrorCode.Cancel), server.client.windowUpdate(0, 10));
    assert.deepEqual(data(server.sent()).at(-1), [3, 1]);
  });

  test("streams that were reset while the connection's window was used up are forgotten", () => {
    class Watched extends H2ServerConnection {
      longest = 0;
      override receive(bytes: Uint8Array): void {
        super.receive(bytes);
        this.longest = Math.max(this.longest, this.lineLength);
      }
    }
    const server = new ScriptedH2Server();
    const watched = new Watched(server.transport, server);
    Object.assign(server, { connection: watched });
    server.sent();
    server.begin();
    const encoders = answering(server, 1, 3);
    for (const encoder of encoders) encoder.sendData(Buffer.alloc(65_535, "x"), true);
    for (let id = 5; id < 2005; id += 2) {
      const [encoder] = answering(server, id);
      encoder!.sendData(Buffer.from("y"), true);
      server.receive(server.client.reset(id, ErrorCode.Cancel));
    }
    assert.ok(watched.longest < 100, `${watched.longest}`);
    server.receive(server.client.windowUpdate(0, 65_535));
    assert.deepEqual(data(server.sent()).at(-1)?.[0], 3, "those that are left have their turn");
    assert.equal(watched.active, 0);
  });

  test("nothing but heads is written while the transport is full; then all go on", () => {
    const server = new ScriptedH2Server().begin();
    const encoders = answering(server, 1, 3);
    server.transport.belowHighWatermark = false;
    assert.equal(encoders[0]!.sendData(Buffer.from("a"), false), false);
    assert.equal(encoders[0]!.sendData(Buffer.from("b"), false), false);
    assert.equal(encoders[1]!.sendData(Buffer.from("c"), true), false);
    assert.deepEqual(data(server.sent()), [[1, 1]]);
    server.transport.belowHighWatermark = true;
    server.connection.transportDrained();
    assert.deepEqual(data(server.sent()), [
      [1, 1],
      [3, 1],
    ]);
    assert.equal(server.requests[0]!.drained, 1);
  });

  test("a smaller initial window takes effect on open streams, below zero too", () => {
    const server = new ScriptedH2Server().begin(window(100));
    const [encoder] = answering(server, 1);
    encoder!.sendData(Buffer.alloc(80), false);
    server.sent();
    server.receive(server.client.settings(window(50)));
    encoder!.sendData(Buffer.alloc(10), false);
    server.receive(server.client.windowUpdate(1, 30));
    assert.deepEqual(data(server.sent()), []);
    server.receive(server.client.windowUpdate(1, 1));
    assert.deepEqual(data(server.sent()), [[1, 1]]);
    server.receive(server.client.settings(window(100)));
    assert.deepEqual(data(server.sent()), [[1, 9]]);
  });

  test("a window above 2^31 - 1 is an error of the stream, of the connection where that or all streams have it", () => {
    const server = new ScriptedH2Server().begin().get(1);
    server.receive(server.client.windowUpdate(1, 0x7fff_ffff));
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.FlowControlError);
    assert.equal(server.connection.ended, false);
    assert.deepEqual(server.streamResets, [false]);
    server.receive(server.client.windowUpdate(0, 0x7fff_ffff));
    assert.equal(server.connection.ended, true);
    const all = new ScriptedH2Server().begin().get(1);
    all.receive(all.client.windowUpdate(1, 0x7000_0000), all.client.settings(window(0x7000_0000)));
    assert.equal(all.sent().at(-1)?.errorCode, ErrorCode.FlowControlError);
    assert.equal(all.connection.ended, true);
  });

  /** What a client may still be sent, kept apart from the code that is tested. */
  class Model {
    connection = 65_535;
    initial: number;
    readonly streams = new Map<number, number>();
    readonly bodies = new Map<number, string>();

    constructor(initial: number) {
      this.initial = initial;
    }

    take(frames: readonly SeenFrame[]): void {
      for (const { type, streamId, text = "" } of frames) {
        if (type !== FrameType.Data) continue;
        this.connection -= text.length;
        const left = (this.streams.get(streamId) ?? this.initial) - text.length;
        this.streams.set(streamId, left);
        assert.ok(text.length === 0 || (left >= 0 && this.connection >= 0), "a window was not kept");
        assert.ok(text.length <= 16_384);
        this.bodies.set(streamId, (this.bodies.get(streamId) ?? "") + text);
      }
    }
  }

  test("keeps every window and loses nothing, whatever the peer does with them", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("send" as const), stream: fc.nat(3), bytes: fc.nat(40_000) }),
      fc.record({
        kind: fc.constant("stream" as const),
        stream: fc.nat(3),
        bytes: fc.integer({ min: 1, max: 50_000 }),
      }),
      fc.record({ kind: fc.constant("connection" as const), bytes: fc.integer({ min: 1, max: 90_000 }) }),
      fc.record({ kind: fc.constant("initial" as const), bytes: fc.nat(100_000) }),
      fc.record({ kind: fc.constant("full" as const) }),
      fc.record({ kind: fc.constant("drained" as const) }),
    );
    fc.assert(
      fc.property(fc.nat(70_000), fc.array(step, { maxLength: 40 }), (initial, steps) => {
        const server = new ScriptedH2Server({ maxInboundWindowUpdateFramesPerDataFrameSent: 1000 }).begin(
          window(initial),
        );
        const encoders = answering(server, 1, 3, 5, 7);
        const model = new Model(initial);
        for (let id = 1; id < 9; id += 2) model.streams.set(id, initial);
        const expected = ["", "", "", ""];
        for (const one of steps) {
          if (one.kind === "send") {
            const text = String.fromCharCode(97 + (expected[one.stream]!.length % 26)).repeat(one.bytes);
            expected[one.stream] += text;
            encoders[one.stream]!.sendData(Buffer.from(text), false);
          } else if (one.kind === "stream") {
            const id = one.stream * 2 + 1;
            model.streams.set(id, model.streams.get(id)! + one.bytes);
            server.receive(server.client.windowUpdate(id, one.bytes));
          } else if (one.kind === "connection") {
            model.connection += one.bytes;
            server.receive(server.client.windowUpdate(0, one.bytes));
          } else if (one.kind === "initial") {
            for (const [id, left] of model.streams) model.streams.set(id, left + one.bytes - model.initial);
            model.initial = one.bytes;
            server.receive(server.client.settings(window(one.bytes)));
          } else if (one.kind === "full") server.transport.belowHighWatermark = false;
          else {
            server.transport.belowHighWatermark = true;
            server.connection.transportDrained();
          }
          model.take(server.sent());
        }
        server.transport.belowHighWatermark = true;
        server.connection.transportDrained();
        model.connection += 10_000_000;
        server.receive(server.client.windowUpdate(0, 10_000_000));
        for (let id = 1; id < 9; id += 2) {
          model.streams.set(id, model.streams.get(id)! + 10_000_000);
          server.receive(server.client.windowUpdate(id, 10_000_000));
        }
        model.take(server.sent());
        for (const [i, text] of expected.entries()) assert.equal(model.bodies.get(i * 2 + 1) ?? "", text);
      }),
      { numRuns: 60 },
    );
  });
});
