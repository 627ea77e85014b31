import assert from "node:assert/strict";
import { after, before, beforeEach, describe, type TestContext, test } from "node:test";
import { ErrorCode, Flag, FrameType, Setting } from "@heddle/http/testing";
import { eventually } from "../harness/eventually.ts";
import {
  block,
  continuation,
  data,
  type Fields,
  frame,
  headers,
  ping,
  priority,
  request,
  rstStream,
  settings,
  string,
  windowUpdate,
} from "../harness/h2-frames.ts";
import type { H2Peer } from "../harness/h2-peer.ts";
import { startUnderAttack, type UnderAttack, untilCounted } from "../harness/h2-under-attack.ts";
import { lastFirst } from "../harness/owner.ts";

/*
 * Floods and bombs of HTTP/2 against a whole sidecar: the tests of Envoy's own suite by what they do, and the published attacks
 * by their CVE. Each ends as docs/http2-abuse.md says, is counted under Envoy's name, and the next client is served.
 * `test/system/h2-abuse-cost.test.ts` measures what they cost.
 */

const MOST = 0x7fff_ffff;
/** What is never read lies in both kernels' buffers first; more than they hold must be asked for. */
const EVERYTHING = settings([Setting.InitialWindowSize, MOST]);
const PROTOCOL_ERROR = "http.in.downstream_cx_protocol_error";
const PREMATURE = "http.in.downstream_rq_too_many_premature_resets";

describe("a sidecar whose clients abuse HTTP/2", () => {
  const suite = lastFirst({ after });
  let attacked: UnderAttack;
  let memoryBefore: number;
  before(async () => {
    attacked = await startUnderAttack(suite);
    await attacked.checkHealth();
    memoryBefore = attacked.sidecar.residentBytes();
  });
  beforeEach(() => attacked.upstream.wipe());

  /** The connection ends with ENHANCE_YOUR_CALM, the counter goes up, and the next client is served. */
  async function endsCalmed(t: TestContext, counter: string, run: (peer: H2Peer) => Promise<unknown>): Promise<void> {
    const counted = await attacked.sidecar.stat(counter);
    const peer = await attacked.attacker(t, { polite: false });
    await run(peer);
    await untilCounted(attacked.sidecar, counter, counted);
    peer.socket.resume();
    await peer.closed();
    assert.ok(peer.goAway === undefined || peer.goAway.code === ErrorCode.EnhanceYourCalm, peer.summary());
    await attacked.checkHealth();
  }

  /** A client that has asked for more than it will ever read: what is now sent to it waits. */
  async function stuff(peer: H2Peer): Promise<void> {
    peer.socket.pause();
    await peer.send(EVERYTHING, windowUpdate(0, MOST - 65_535), headers(1, request("/forever")));
    await attacked.upstream.stuffed(() => attacked.checkHealth());
  }

  test("a flood of PING whose answers nobody reads (CVE-2019-9512)", async (t) => {
    await endsCalmed(t, "http2.outbound_control_flood", async (peer) => {
      await stuff(peer);
      for (let i = 0; i < 20; i++) void peer.send(...Array.from({ length: 1000 }, () => ping(Buffer.alloc(8))));
    });
  });

  test("a flood of SETTINGS whose acknowledgements nobody reads (CVE-2019-9515)", async (t) => {
    await endsCalmed(t, "http2.outbound_control_flood", async (peer) => {
      await stuff(peer);
      for (let i = 0; i < 20; i++) void peer.send(...Array.from({ length: 1000 }, () => settings()));
    });
  });

  test("SETTINGS of more than 32 entries (CVE-2020-11080)", async (t) => {
    const peer = await attacked.attacker(t, { polite: false });
    const many = Array.from({ length: 33 }, (_, i) => [0x1000 + i, 1] as const);
    const counted = await attacked.sidecar.stat(PROTOCOL_ERROR);
    await peer.send(settings(...many));
    await peer.closed();
    assert.equal(peer.goAway?.code, ErrorCode.EnhanceYourCalm, peer.summary());
    await untilCounted(attacked.sidecar, PROTOCOL_ERROR, counted);
    await attacked.checkHealth();
  });

  test("a flood of streams that are refused and whose RST_STREAM nobody reads (CVE-2019-9514)", async (t) => {
    // What refuses is counted as what resets is, and ends the connection before a thousand RST_STREAM wait.
    const refused = await attacked.sidecar.stat("http2.stream_refused_errors");
    await endsCalmed(t, PREMATURE, async (peer) => {
      await stuff(peer);
      const post = (id: number): Buffer => headers(id, request("/hold", [], "POST"), { endStream: false });
      void peer.send(...Array.from({ length: 3000 }, (_, i) => post(3 + i * 2)));
    });
    assert.ok((await attacked.sidecar.stat("http2.stream_refused_errors")) > refused);
    await eventually("the upstream is let go", () => attacked.upstream.open === 0);
  });

  test("10,000 answers that nobody reads (CVE-2019-9517)", async (t) => {
    await endsCalmed(t, "http2.outbound_flood", async (peer) => {
      await stuff(peer);
      for (let i = 0; i < 15_000 && !peer.ended; i += 500) {
        const ids = Array.from({ length: 500 }, (_, j) => 3 + 2 * (i + j));
        void peer.send(...ids.map((id) => headers(id, request("*", [], "OPTIONS"))));
        await new Promise(setImmediate);
      }
    });
  });

  test("PRIORITY without end, on idle, open and closed streams (CVE-2019-9513)", async (t) => {
    for (const stream of ["idle", "open", "closed"]) {
      await endsCalmed(t, "http2.inbound_priority_frames_flood", async (peer) => {
        const post = request("/hold", [], "POST");
        if (stream !== "idle") await peer.send(headers(1, post, { endStream: false }));
        if (stream === "closed") await peer.send(rstStream(1, ErrorCode.Cancel));
        await peer.send(...Array.from({ length: 300 }, (_, i) => priority(1, 3 + 2 * i)));
      });
    }
  });

  test("fields without name: each costs its stream or its connection (CVE-2019-9516)", async (t) => {
    const peer = await attacked.attacker(t);
    const before = await attacked.sidecar.stat("http2.rx_messaging_error");
    const empty: Fields = Array.from({ length: 50 }, () => ["", ""] as const);
    await peer.send(headers(1, request("/", empty)));
    await peer.until("it is refused", () => peer.ended || peer.message(1).resetCode !== undefined, true);
    await untilCounted(attacked.sidecar, "http2.rx_messaging_error", before);
    assert.equal(attacked.upstream.requests, 0);
    await attacked.checkHealth();
  });

  test("empty frames that end nothing (CVE-2019-9518)", async (t) => {
    const open = headers(1, request("/hold", [], "POST"), { endStream: false });
    const begun = headers(1, Buffer.alloc(0), { endHeaders: false, endStream: false });
    const attacks: Readonly<Record<string, readonly Buffer[]>> = {
      DATA: [open, ...Array.from({ length: 4 }, () => data(1, ""))],
      "DATA of padding alone": [
        open,
        ...Array.from({ length: 4 }, () => frame(FrameType.Data, Flag.Padded, 1, Buffer.of(3, 0, 0, 0))),
      ],
      CONTINUATION: [begun, ...Array.from({ length: 4 }, () => continuation(1, "", false))],
    };
    for (const frames of Object.values(attacks))
      await endsCalmed(t, "http2.inbound_empty_frames_flood", (peer) => peer.send(...frames));
  });

  test("WINDOW_UPDATE without end, of the connection and of a stream", async (t) => {
    for (const streamId of [0, 1]) {
      await endsCalmed(t, "http2.inbound_window_update_frames_flood", async (peer) => {
        await peer.send(headers(1, request("/hold", [], "POST"), { endStream: false }));
        await peer.send(...Array.from({ length: 100 }, () => windowUpdate(streamId, 1)));
      });
    }
  });

  test("rapid reset: the connection ends within 1000 streams, and a neighbour does not notice (CVE-2023-44487)", async (t) => {
    const counted = await attacked.sidecar.stat(PREMATURE);
    const neighbour = await attacked.attacker(t);
    const peer = await attacked.attacker(t);
    const sent = 5000;
    for (let i = 0; i < sent && peer.goAway === undefined; i += 50) {
      const streams = Array.from({ length: 50 }, (_, j) => 1 + 2 * (i + j));
      await peer.send(...streams.flatMap((id) => [headers(id, request("/hold")), rstStream(id, ErrorCode.Cancel)]));
      await new Promise(setImmediate); // what came is read
      if (i % 500 === 0) {
        await neighbour.send(headers(1 + i / 250, request("/bytes/3")));
        assert.equal((await neighbour.response(1 + i / 250)).status, 200);
      }
    }
    await peer.closed();
    await untilCounted(attacked.sidecar, PREMATURE, counted);
    assert.ok(attacked.upstream.requests <= 1020, `${attacked.upstream.requests} of ${sent} reached the upstream`);
    assert.ok(attacked.upstream.mostOpen <= 120, `${attacked.upstream.mostOpen} at once`);
    assert.ok((peer.goAway?.lastStreamId ?? MOST) <= 2 * 1000, peer.summary());
    await eventually("the upstream is let go", () => attacked.upstream.open === 0);
    await attacked.checkHealth();
  });

  const post = (id: number, more: Fields = []): Buffer =>
    headers(id, request("/hold", more, "POST"), { endStream: false });
  /** Each makes the server reset a stream that the upstream works on. */
  const provocations: Readonly<Record<string, (id: number) => readonly Buffer[]>> = {
    "WINDOW_UPDATE beyond 2^31-1": (id) => [post(id), windowUpdate(id, MOST)],
    "WINDOW_UPDATE of 0": (id) => [post(id), windowUpdate(id, 0)],
    "DATA behind END_STREAM": (id) => [headers(id, request("/hold")), data(id, "x")],
    "HEADERS behind END_STREAM": (id) => [headers(id, request("/hold")), headers(id, request("/hold"))],
    "PRIORITY of a wrong length": (id) => [post(id), frame(FrameType.Priority, 0, id, "abcd")],
    "PRIORITY that depends on itself": (id) => [post(id), priority(id, id)],
    "DATA beyond content-length": (id) => [post(id, [["content-length", "1"]]), data(id, "xx")],
    "trailers with a pseudo-field": (id) => [post(id), headers(id, [[":path", "/"]])],
    "a second head": (id) => [post(id), headers(id, [["x", "y"]], { endStream: false })],
  };
  for (const [what, provoke] of Object.entries(provocations)) {
    test(`MadeYouReset by ${what}: counted as if the client had reset (CVE-2025-8671)`, async (t) => {
      const peer = await attacked.attacker(t);
      const sent = 3000;
      for (let i = 0; i < sent && !peer.ended; i += 50) {
        await peer.send(...Array.from({ length: 50 }, (_, j) => provoke(1 + 2 * (i + j))).flat());
        await new Promise(setImmediate); // what came is read
      }
      await peer.closed();
      assert.ok(attacked.upstream.requests <= 1020, `${attacked.upstream.requests} reached the upstream`);
      assert.ok(attacked.upstream.mostOpen <= 120, `${attacked.upstream.mostOpen} at once`);
      await eventually("the upstream is let go", () => attacked.upstream.open === 0);
      await attacked.checkHealth();
    });
  }

  test("CONTINUATION without end, in large pieces and in small ones (CVE-2024-27316, CVE-2024-30255)", async (t) => {
    for (const size of [16_000, 1000, 1]) {
      attacked.upstream.wipe();
      const counted = await attacked.sidecar.stat("http2.header_overflow");
      const peer = await attacked.attacker(t);
      const piece = size === 1 ? Buffer.of(0x82) : block([["x", "y".repeat(size)]]);
      await peer.send(headers(1, block(request()), { endHeaders: false }));
      for (let sent = 0; sent < 200 && !peer.ended; sent++)
        await peer.send(...Array.from({ length: size === 1 ? 500 : 10 }, () => continuation(1, piece, false)));
      await peer.closed();
      assert.equal(peer.goAway?.code, ErrorCode.EnhanceYourCalm, peer.summary());
      await untilCounted(attacked.sidecar, "http2.header_overflow", counted);
      assert.equal(attacked.upstream.requests, 0);
      await attacked.checkHealth();
    }
  });

  test("RST of TCP within a header block, again and again (CVE-2024-27983)", async (t) => {
    for (let i = 0; i < 100; i++) {
      const peer = await attacked.attacker(t);
      await peer.send(headers(1, block(request()), { endHeaders: false }), continuation(1, block([["x", "y"]]), false));
      peer.socket.resetAndDestroy();
    }
    await attacked.checkHealth();
    assert.equal(await attacked.sidecar.stat("workers.died"), 0);
  });

  /** A 4 KiB entry, and a byte for each time that it is used. */
  const bomb = Buffer.concat([
    block(request()),
    Buffer.of(0x40),
    string("x"),
    string("y".repeat(4000)),
    Buffer.alloc(10_000, 0xbe),
  ]);
  const large = "z".repeat(61 * 1024);
  const heads: Readonly<Record<string, Buffer>> = {
    "an entry of 4 KiB used 10,000 times (CVE-2016-6581)": bomb,
    "1100 crumbs of a cookie (CVE-2026-47774)": block(
      request(
        "/",
        Array.from({ length: 1100 }, () => ["cookie", "a=b"] as const),
      ),
    ),
    "crumbs of 64 KiB together": block(
      request(
        "/",
        Array.from({ length: 32 }, () => ["cookie", "c".repeat(2048)] as const),
      ),
    ),
    "an :authority of 61 KiB (CVE-2026-73550)": block(request().map(([n, v]) => [n, n === ":authority" ? large : v])),
    "a :path of 61 KiB": block(request(`/${large}`)),
    "a field of 61 KiB": block(request("/", [["x", large]])),
    "101 fields": block(
      request(
        "/",
        Array.from({ length: 101 }, (_, i) => [`x-${i}`, "y"] as const),
      ),
    ),
  };
  for (const [what, content] of Object.entries(heads)) {
    test(`a head of ${what} is refused, and its connection or stream with it`, async (t) => {
      const counted = await attacked.sidecar.stat("http2.header_overflow");
      const peer = await attacked.attacker(t);
      const pieces: Buffer[] = [];
      for (let at = 0; at < content.length; at += 16_000) pieces.push(content.subarray(at, at + 16_000));
      const [first = content, ...rest] = pieces;
      const frames = rest.map((piece, i) => continuation(1, piece, i === rest.length - 1));
      await peer.send(headers(1, first, { endHeaders: rest.length === 0 }), ...frames);
      await peer.until("it is refused", () => peer.ended || peer.message(1).closed, true);
      const { status, resetCode } = peer.message(1);
      assert.ok(status === 431 || resetCode !== undefined || peer.goAway !== undefined, peer.summary());
      assert.equal(attacked.upstream.requests, 0);
      await untilCounted(attacked.sidecar, "http2.header_overflow", counted);
      await attacked.checkHealth();
    });
  }

  test("the connection's window beyond 2^31-1, on 200 connections (CVE-2026-21714)", async (t) => {
    const counted = await attacked.sidecar.stat(PROTOCOL_ERROR);
    for (let i = 0; i < 200; i += 50)
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const peer = await attacked.attacker(t);
          await peer.send(windowUpdate(0, MOST));
          await peer.closed();
          assert.equal(peer.goAway?.code, ErrorCode.FlowControlError);
        }),
      );
    await eventually("they are gone", async () => (await attacked.sidecar.stat("http.in.downstream_cx_active")) === 0);
    await untilCounted(attacked.sidecar, PROTOCOL_ERROR, counted + 199);
    await attacked.checkHealth();
  });

  test("150 streams before our SETTINGS can have come: at most 100 are served at once", async (t) => {
    const peer = await attacked.attacker(t);
    const ids = Array.from({ length: 150 }, (_, i) => 1 + i * 2);
    await peer.send(...ids.map((id) => headers(id, request("/hold"))));
    await peer.until("those above are refused", () => ids.slice(100).every((id) => peer.message(id).closed));
    assert.deepEqual([...new Set(ids.slice(100).map((id) => peer.message(id).resetCode))], [ErrorCode.RefusedStream]);
    await eventually("100 reach the upstream", () => attacked.upstream.open === 100);
    peer.socket.resetAndDestroy();
    await eventually("the upstream is let go", () => attacked.upstream.open === 0);
    await attacked.checkHealth();
  });

  test("RST_STREAM and DATA in one packet: what is behind the reset reaches nobody (CVE-2026-26311)", async (t) => {
    const counted = await attacked.sidecar.stat("http2.rx_reset");
    const peer = await attacked.attacker(t);
    const streams = Array.from({ length: 20 }, (_, i) => 1 + i * 2);
    await peer.send(
      ...streams.flatMap((id) => [post(id), rstStream(id, ErrorCode.Cancel), data(id, "zombie"), data(id, "", true)]),
    );
    await peer.alive();
    await attacked.checkHealth();
    assert.equal(attacked.upstream.bodyBytes, 0);
    assert.equal(await attacked.sidecar.stat("http.in.internal_error"), 0);
    await untilCounted(attacked.sidecar, "http2.rx_reset", counted + 19);
  });

  test("100 streams of a client that grants no window: nothing piles up, and the others are served (CVE-2019-9511)", async (t) => {
    const memory = attacked.sidecar.residentBytes();
    const peer = await attacked.attacker(t, { polite: false });
    const ids = Array.from({ length: 100 }, (_, i) => 1 + i * 2);
    await peer.send(settings([Setting.InitialWindowSize, 0]), ...ids.map((id) => headers(id, request("/forever"))));
    await peer.until("all have their head", () => ids.every((id) => peer.message(id).fields !== undefined));
    await attacked.checkHealth();
    const grown = attacked.sidecar.residentBytes() - memory;
    // 100 streams, each with its own buffer and that of its upstream's connection
    assert.ok(grown < 100 << 20, `${Math.round(grown / (1 << 20))} MiB`);
    peer.socket.resetAndDestroy();
    await eventually("the upstream is let go", () => attacked.upstream.open === 0);
  });

  test("100 streams of a client that does not read its socket (CVE-2019-9517)", async (t) => {
    const memory = attacked.sidecar.residentBytes();
    const peer = await attacked.attacker(t, { polite: false });
    peer.socket.pause();
    const ids = Array.from({ length: 100 }, (_, i) => 1 + i * 2);
    await peer.send(EVERYTHING, windowUpdate(0, MOST - 65_535), ...ids.map((id) => headers(id, request("/forever"))));
    await eventually("all reach the upstream", () => attacked.upstream.open === 100);
    for (let i = 0; i < 5; i++) await attacked.checkHealth();
    const grown = attacked.sidecar.residentBytes() - memory;
    assert.ok(grown < 100 << 20, `${Math.round(grown / (1 << 20))} MiB`);
    peer.socket.resetAndDestroy();
    await eventually("the upstream is let go", () => attacked.upstream.open === 0);
  });

  test("behind all of that no worker has died, nothing is left open, and memory is what it was but for a little", async () => {
    await eventually("no connection is left", async () => {
      return (await attacked.sidecar.stat("http.in.downstream_cx_active")) === 0;
    });
    await eventually("no stream is left", async () => (await attacked.sidecar.stat("http2.streams_active")) === 0);
    assert.equal(await attacked.sidecar.stat("http.in.downstream_rq_active"), 0);
    assert.equal(await attacked.sidecar.stat("workers.died"), 0);
    assert.equal(await attacked.sidecar.stat("http.in.internal_error"), 0);
    const grown = attacked.sidecar.residentBytes() - memoryBefore;
    assert.ok(grown < 150 << 20, `${Math.round(grown / (1 << 20))} MiB more than before`);
  });
});
