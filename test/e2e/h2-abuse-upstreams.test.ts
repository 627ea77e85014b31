import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ErrorCode, Flag, FrameType, Setting } from "@heddle/http/testing";
import { http2Cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { eventually, untilStill } from "../harness/eventually.ts";
import {
  block,
  continuation,
  data,
  type Fields,
  frame,
  goAway,
  headers,
  ping,
  priority,
  request,
  rstStream,
  settings,
  string,
  uint32,
  windowUpdate,
} from "../harness/h2-frames.ts";
import { type H2Message, H2Peer, H2Upstream } from "../harness/h2-peer.ts";
import { untilCounted } from "../harness/h2-under-attack.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawPeer } from "../harness/raw-peer.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

/*
 * Upstreams that abuse HTTP/2, or break it: the other half of Envoy's floods, and what h2spec asks of a client. The client, which
 * speaks HTTP/1, gets one clear answer; the counter is named; and the next request is served on a new connection.
 */

const MOST = 0x7fff_ffff;
const OK: Fields = [[":status", "200"]];

interface Hostility {
  readonly what: string;
  /** What the upstream does once a request's head has come. */
  readonly act: (peer: H2Peer, streamId: number) => Promise<unknown>;
  /** What the client gets; "cut": a head, and then the end of its connection before the end of the body. */
  readonly gets: readonly (number | "cut")[];
  /** That the upstream's connection must end with. undefined: it may go on. */
  readonly goAway?: readonly number[];
  /** Below `cluster.up.`; it grows. */
  readonly counter?: string;
}

const { CompressionError, EnhanceYourCalm, FlowControlError, FrameSizeError, ProtocolError, StreamClosed } = ErrorCode;
const begun = (id: number): Buffer => headers(id, OK, { endStream: false });
const many = (count: number, bytes: (i: number) => Buffer): Buffer[] =>
  Array.from({ length: count }, (_, i) => bytes(i));
const sends =
  (...parts: readonly ((id: number) => Buffer | readonly Buffer[])[]): Hostility["act"] =>
  (peer, id) =>
    peer.send(...parts.flatMap((part) => part(id)));
const head = (fields: Fields): Hostility["act"] => sends((id) => headers(id, fields));

const floods: readonly Hostility[] = [
  {
    what: "empty DATA without end",
    act: sends(begun, (id) => many(5, () => data(id, ""))),
    gets: ["cut"],
    goAway: [EnhanceYourCalm],
    counter: "http2.inbound_empty_frames_flood",
  },
  {
    what: "empty CONTINUATION without end",
    act: sends(
      (id) => headers(id, Buffer.alloc(0), { endHeaders: false }),
      (id) => many(5, () => continuation(id, "", false)),
    ),
    gets: [502, 503],
    goAway: [EnhanceYourCalm],
    counter: "http2.inbound_empty_frames_flood",
  },
  {
    what: "PRIORITY without end",
    act: sends((id) => many(500, (i) => priority(id, 1001 + 2 * i))),
    gets: [502, 503],
    goAway: [EnhanceYourCalm],
    counter: "http2.inbound_priority_frames_flood",
  },
  {
    what: "WINDOW_UPDATE without end",
    act: sends(() => many(500, () => windowUpdate(0, 1))),
    gets: [502, 503],
    goAway: [EnhanceYourCalm],
    counter: "http2.inbound_window_update_frames_flood",
  },
  {
    what: "CONTINUATION without end",
    act: async (peer, id) => {
      await peer.send(headers(id, block(OK), { endHeaders: false }));
      for (let i = 0; i < 200 && !peer.ended; i++) {
        const piece = block([["x", "y".repeat(15_000)]]);
        await peer.send(...many(4, () => continuation(id, piece, false)));
      }
    },
    gets: [502, 503],
    goAway: [EnhanceYourCalm],
    counter: "http2.header_overflow",
  },
  {
    what: "SETTINGS of more than 32 entries",
    act: sends(() => settings(...Array.from({ length: 33 }, (_, i) => [0x1000 + i, 1] as const))),
    gets: [502, 503],
    goAway: [EnhanceYourCalm],
  },
  {
    what: "an entry of 4 KiB used 3,000 times",
    act: sends((id) =>
      headers(
        id,
        Buffer.concat([block(OK), Buffer.of(0x40), string("x"), string("y".repeat(4000)), Buffer.alloc(3000, 0xbe)]),
      ),
    ),
    gets: [502, 503],
    counter: "http2.header_overflow",
  },
  {
    what: "a head of 101 fields",
    act: head([...OK, ...Array.from({ length: 101 }, (_, i) => [`x-${i}`, "y"] as const)]),
    gets: [502, 503],
    counter: "http2.header_overflow",
  },
  {
    what: "interim answers without end",
    act: sends((id) => many(200, () => headers(id, [[":status", "103"]], { endStream: false }))),
    gets: [502, 503],
  },
];

const protocol: readonly Hostility[] = [
  { what: "DATA before the head", act: sends((id) => data(id, "x", true)), gets: [502, 503] },
  {
    what: "a stream of its own",
    act: sends(() => headers(2, OK)),
    gets: [502, 503],
    goAway: [ProtocolError],
  },
  {
    what: "PUSH_PROMISE, which we have forbidden",
    act: sends((id) => frame(FrameType.PushPromise, Flag.EndHeaders, id, Buffer.concat([uint32(2), block(OK)]))),
    gets: [502, 503],
    goAway: [ProtocolError],
  },
  {
    what: "an answer on a stream that is idle",
    act: sends((id) => headers(id + 100, OK)),
    gets: [502, 503],
    goAway: [ProtocolError],
  },
  {
    what: "a block that cannot be decoded",
    act: sends((id) => headers(id, Buffer.of(0x40))),
    gets: [502, 503],
    goAway: [CompressionError],
  },
  {
    what: "a frame that is too large",
    act: sends((id) => data(id, Buffer.alloc(16_385))),
    gets: [502, 503],
    goAway: [FrameSizeError],
  },
  {
    what: "the connection's window beyond 2^31-1",
    act: sends(() => windowUpdate(0, MOST)),
    gets: [502, 503],
    goAway: [FlowControlError],
  },
  {
    what: "a window of 2^31",
    act: sends(() => settings([Setting.InitialWindowSize, 2 ** 31])),
    gets: [502, 503],
    goAway: [FlowControlError],
  },
  { what: "PING of 6 octets", act: sends(() => ping("abcdef")), gets: [502, 503], goAway: [FrameSizeError] },
  {
    what: "GOAWAY of 7 octets",
    act: sends(() => frame(FrameType.GoAway, 0, 0, Buffer.alloc(7))),
    gets: [502, 503],
    goAway: [FrameSizeError],
  },
  {
    what: "SETTINGS_ENABLE_PUSH of 1 from a server",
    act: sends(() => settings([Setting.EnablePush, 1])),
    gets: [502, 503],
    goAway: [ProtocolError],
  },
  {
    what: "DATA behind its end",
    act: sends(
      (id) => headers(id, OK),
      (id) => data(id, "x", true),
    ),
    gets: [200],
    goAway: [StreamClosed],
  },
  {
    what: "HTTP/1",
    act: sends(() => Buffer.from("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")),
    gets: [502, 503],
  },
  { what: "a TLS alert", act: sends(() => Buffer.from([0x15, 3, 3, 0, 2, 2, 0x46, 0, 0, 0, 0, 0])), gets: [502, 503] },
  { what: "RST of TCP", act: async (peer) => void peer.socket.resetAndDestroy(), gets: [503] },
  {
    what: "FIN of TCP within a head",
    act: async (peer, id) => {
      await peer.send(headers(id, block(OK), { endHeaders: false }));
      peer.socket.end();
    },
    gets: [503],
  },
  { what: "RST_STREAM", act: sends((id) => rstStream(id, ErrorCode.InternalError)), gets: [503] },
  {
    what: "RST_STREAM within the body",
    act: sends(
      begun,
      (id) => data(id, "x"),
      (id) => rstStream(id, ErrorCode.InternalError),
    ),
    gets: ["cut"],
  },
  {
    what: "FIN of TCP within the body",
    act: async (peer, id) => {
      await peer.send(begun(id), data(id, "x"));
      peer.socket.end();
    },
    gets: ["cut"],
  },
  {
    what: "RST_STREAM, then a head in one packet",
    act: sends(
      (id) => rstStream(id, ErrorCode.Cancel),
      (id) => headers(id, OK),
    ),
    gets: [503],
  },
  {
    what: "GOAWAY with an error",
    act: async (peer) => {
      await peer.send(goAway(MOST, ErrorCode.InternalError));
      peer.socket.end();
    },
    gets: [502, 503],
  },
];

const malformed = (what: string, fields: Fields): Hostility => ({
  what,
  act: head(fields),
  gets: [502, 503],
  counter: "http2.rx_messaging_error",
});
const messages: readonly Hostility[] = [
  malformed("no status", [["x", "y"]]),
  malformed("two statuses", [...OK, ...OK]),
  ...["", "20", "2000", "abc", "20x", "-20", "099", "600", "+200", "200 "].map((status) =>
    malformed(`the status ${JSON.stringify(status)}`, [[":status", status]]),
  ),
  malformed("a status behind a field", [["x", "y"], ...OK]),
  malformed("a pseudo-field of requests", [...OK, [":path", "/"]]),
  malformed("an unknown pseudo-field", [...OK, [":x", "y"]]),
  malformed("a name with a capital", [...OK, ["X", "y"]]),
  ...["\0", "\n", "\r", "\r\nx: y", "\x7f", "\x01"].map((text) =>
    malformed(`${JSON.stringify(text)} in a value`, [...OK, ["x", `a${text}b`]]),
  ),
  ...["\0", "\n", " ", ":", "\x80", "/"].map((text) =>
    malformed(`${JSON.stringify(text)} in a name`, [...OK, [`x${text}y`, "z"]]),
  ),
  malformed("an empty name", [...OK, ["", "y"]]),
  malformed("connection", [...OK, ["connection", "close"]]),
  malformed("keep-alive", [...OK, ["keep-alive", "timeout=5"]]),
  malformed("transfer-encoding", [...OK, ["transfer-encoding", "chunked"]]),
  malformed("upgrade", [...OK, ["upgrade", "h2c"]]),
  malformed("two lengths", [...OK, ["content-length", "1"], ["content-length", "2"]]),
  malformed("a length that is no number", [...OK, ["content-length", "0x5"]]),
  malformed("a length and no body", [...OK, ["content-length", "5"]]),
  malformed("101 that nobody asked for", [[":status", "101"]]),
  {
    what: "a body longer than its length",
    act: sends(
      (id) => headers(id, [...OK, ["content-length", "1"]], { endStream: false }),
      (id) => data(id, "xx", true),
    ),
    gets: ["cut"],
    counter: "http2.rx_messaging_error",
  },
  {
    what: "a body shorter than its length",
    act: sends(
      (id) => headers(id, [...OK, ["content-length", "5"]], { endStream: false }),
      (id) => data(id, "xx", true),
    ),
    gets: ["cut"],
    counter: "http2.rx_messaging_error",
  },
  {
    what: "a pseudo-field in trailers",
    act: sends(begun, (id) => headers(id, [[":status", "200"]])),
    gets: ["cut"],
    counter: "http2.rx_messaging_error",
  },
  {
    what: "a line break in trailers",
    act: sends(begun, (id) => headers(id, [["x", "a\r\nb: c"]])),
    gets: ["cut"],
    counter: "http2.rx_messaging_error",
  },
];

describe("a sidecar whose upstream abuses or breaks HTTP/2", () => {
  const suite = lastFirst({ after });
  let upstream: H2Upstream;
  let sidecar: SidecarProcess;
  let port: number;
  before(async () => {
    upstream = await H2Upstream.listen(suite);
    sidecar = await startSidecar(
      staticBootstrap(
        [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "up")]) })],
        [http2Cluster("up", [upstream.port])],
      ),
      suite,
    );
    port = await sidecar.port("in");
  });

  for (const [kind, rows] of Object.entries({ floods, protocol, messages })) {
    test(`${rows.length} ways of ${kind}: the client gets one clear answer, and the next request is served`, async () => {
      const problems: string[] = [];
      for (const row of rows) {
        await suffer(row).catch((error: unknown) => {
          problems.push(`${row.what}: ${error instanceof Error ? error.message : String(error)}`);
        });
      }
      assert.deepEqual(problems, []);
    });
  }

  /** An upstream's RST of each stream must not become a flood of ours, nor cost the client more than its request. */
  test("1,000 requests of which each is reset: each gets its 503, on a connection that goes on", async (t) => {
    upstream.serve(async (peer) => {
      for (;;) await peer.send(rstStream((await peer.nextRequest()).streamId, ErrorCode.InternalError));
    });
    await anew();
    const client = await RawPeer.connect(port, t);
    for (let i = 0; i < 1000; i++) {
      await client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      assert.equal((await client.message()).status, 503);
    }
  });

  for (const [what, bytes] of [
    ["PING", ping(Buffer.alloc(8))],
    ["SETTINGS", settings()],
  ] as const) {
    test(`a flood of ${what} from an upstream that does not read ends its connection, and the request with it`, async (t) => {
      const counter = "cluster.up.http2.outbound_control_flood";
      const counted = await sidecar.stat(counter);
      const flood = Buffer.concat(many(1000, () => bytes));
      upstream.serve(async (peer) => {
        await peer.nextRequest();
        peer.socket.pause();
        await peer.send(settings([Setting.InitialWindowSize, MOST]), windowUpdate(0, MOST - 65_535));
      });
      await anew();
      const client = await RawPeer.connect(port, t);
      await client.send(`POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${1 << 30}\r\n\r\n`);
      // A client that is read no more has filled all buffers on the way.
      const piece = Buffer.alloc(1 << 20);
      let [taken, sending] = [0, true];
      const fill = async (): Promise<void> => {
        while (sending && !client.ended) {
          await client.send(piece);
          taken++;
        }
      };
      void fill();
      await untilStill(
        () => taken,
        () => refused(port),
      );
      sending = false;
      const [attacker] = upstream.peers;
      assert.ok(attacker !== undefined);
      for (let i = 0; i < 20; i++) void attacker.send(flood);
      await untilCounted(sidecar, counter, counted);
      attacker.socket.destroy();
      assert.match(await client.readUntil("\r\n"), /^HTTP\/1\.1 50[23] /);
    });
  }

  test("a client that goes with 100 streams open has each of them reset, on a connection that goes on", async (t) => {
    upstream.serve(async (peer) => {
      for (;;) {
        const { streamId, fields } = await peer.nextRequest();
        if (fields?.some(([, value]) => value === "/after")) await peer.answer(streamId, OK, "healthy");
      }
    });
    await anew();
    const client = await H2Peer.connect(port, t);
    const ids = Array.from({ length: 100 }, (_, i) => 1 + i * 2);
    await client.send(...ids.map((id) => headers(id, request("/hold"))));
    await eventually("all reach the upstream", () => upstream.peers[0]?.requestCount === 100);
    client.socket.resetAndDestroy();
    const [peer] = upstream.peers;
    assert.ok(peer !== undefined);
    await peer.until("all are reset", () => ids.every((id) => peer.message(id).resetCode === ErrorCode.Cancel));
    const next = await H2Peer.connect(port, t);
    await next.send(headers(1, request("/after")));
    assert.equal((await next.response(1)).status, 200);
    assert.equal(upstream.peers.length, 1);
  });

  test("behind all of that no worker has died and no stream is left", async () => {
    await eventually("no stream is left", async () => (await sidecar.stat("cluster.up.http2.streams_active")) === 0);
    assert.equal(await sidecar.stat("workers.died"), 0);
    assert.equal(await sidecar.stat("http.in.internal_error"), 0);
    assert.equal(await sidecar.stat("cluster.up.upstream_rq_active"), 0);
  });

  /** Nothing is left of connections to the upstream. */
  async function anew(): Promise<void> {
    for (const peer of upstream.peers.splice(0)) peer.socket.destroy();
    await eventually(
      "old connections are gone",
      async () => (await sidecar.stat("cluster.up.upstream_cx_active")) === 0,
    );
  }

  async function suffer({ act, gets, goAway: codes, counter }: Hostility): Promise<void> {
    const counted = counter === undefined ? 0 : await sidecar.stat(`cluster.up.${counter}`);
    let attacker: H2Peer | undefined;
    // One connection is bad, those that follow are good.
    upstream.serve(async (peer) => {
      const bad = attacker === undefined;
      attacker ??= peer;
      for (;;) {
        const wanted: H2Message = await peer.nextRequest();
        if (bad) await act(peer, wanted.streamId);
        else await peer.answer(wanted.streamId, OK, "healthy");
      }
    });
    await anew();

    const got = await ask(port, "POST");
    assert.ok(gets.includes(got), `the client got ${got}; ${attacker?.summary()}`);
    if (codes !== undefined) {
      await attacker?.until("the connection ends", () => attacker?.ended === true, true);
      // Where more had come than was read, TCP's RST overtakes the GOAWAY.
      const overtaken = attacker?.goAway === undefined && attacker?.error !== undefined;
      assert.ok(overtaken || codes.includes(attacker?.goAway?.code ?? -1), attacker?.summary());
    }
    if (counter !== undefined) await untilCounted(sidecar, `cluster.up.${counter}`, counted);
    attacker?.socket.destroy();
    await eventually("the next request is served", async () => (await ask(port, "GET")) === 200);
  }
});

/** One request that the sidecar answers by itself. */
async function refused(port: number): Promise<void> {
  const ends: (() => unknown)[] = [];
  const client = await RawPeer.connect(port, { after: (end) => void ends.push(end) });
  await client.send("GET / HTTP/1.1\r\n\r\n");
  assert.equal((await client.message()).status, 400);
  for (const end of ends) end();
}

/** The status, or "cut" where the body ended before its end. */
async function ask(port: number, method: string): Promise<number | "cut"> {
  const ends: (() => unknown)[] = [];
  const client = await RawPeer.connect(port, { after: (end) => void ends.push(end) });
  try {
    // A POST is not sent again by itself, so the hostile connection gets one request.
    await client.send(`${method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n`);
    let head = await client.readUntil("\r\n\r\n");
    while (head.startsWith("HTTP/1.1 1")) head = await client.readUntil("\r\n\r\n");
    const status = Number(head.split(" ")[1]);
    if (status !== 200) return status;
    const length = /content-length: (\d+)/.exec(head)?.[1];
    const complete = length === undefined ? client.readUntil("0\r\n\r\n") : client.read(Number(length));
    return await complete.then(
      () => status,
      () => "cut" as const,
    );
  } finally {
    for (const end of ends) end();
  }
}
