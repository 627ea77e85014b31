import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { ScriptedH2Client, ScriptedH2Server } from "../testing/scripted-h2.ts";
import { ErrorCode, FrameType, Setting } from "./frame/index.ts";
import type { H2Options } from "./h2-options.ts";
import { type H2Stats, noH2Stats } from "./h2-stats.ts";

/** Counts by name. */
function counting(): { readonly stats: H2Stats; readonly counts: Record<string, number> } {
  const counts: Record<string, number> = {};
  const stats: Record<string, { add(n?: number): void }> = {};
  for (const name of Object.keys(noH2Stats)) {
    stats[name] = { add: (n = 1) => (counts[name] = (counts[name] ?? 0) + n) };
  }
  return { stats: stats as unknown as H2Stats, counts };
}

function attacked(
  options: H2Options,
  attack: (server: ScriptedH2Server) => void,
): { readonly server: ScriptedH2Server; readonly counts: Record<string, number> } {
  const { stats, counts } = counting();
  const server = new ScriptedH2Server({ ...options, stats }).begin();
  attack(server);
  return { server, counts };
}

describe("floods", () => {
  test("PINGs that nobody reads the answers of", () => {
    const { server, counts } = attacked({}, (it) => {
      it.transport.belowHighWatermark = false;
      for (let i = 0; i < 1002; i++) it.receive(it.client.ping());
    });
    assert.equal(server.transport.destroyed, true);
    assert.equal(counts["outboundControlFlood"], 1);
    assert.equal(server.protocolErrors.length, 1);
  });

  test("PINGs of one read, since nothing leaves before its end; fewer do no harm, however often", () => {
    const { server } = attacked({}, (it) => {
      const read = Buffer.concat(Array.from({ length: 900 }, () => it.client.ping()));
      for (let i = 0; i < 20; i++) it.receive(read);
    });
    assert.equal(server.connection.ended, false);
    const { counts } = attacked({}, (it) => {
      it.receive(Buffer.concat(Array.from({ length: 1100 }, () => it.client.ping())));
    });
    assert.equal(counts["outboundControlFlood"], 1);
  });

  test("SETTINGS that nobody reads the answers of, and SETTINGS of many entries", () => {
    const { counts } = attacked({}, (it) => {
      it.transport.belowHighWatermark = false;
      for (let i = 0; i < 1002; i++) it.receive(it.client.settings());
    });
    assert.equal(counts["outboundControlFlood"], 1);
    const { server } = attacked({}, (it) => {
      it.receive(it.client.settings(...Array.from({ length: 33 }, () => [Setting.MaxFrameSize, 16_384] as const)));
    });
    assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.EnhanceYourCalm);
    assert.equal(server.connection.ended, true);
  });

  test("requests that make us reset", () => {
    const { counts } = attacked({ streamErrorOnInvalidHttpMessage: true }, (it) => {
      it.transport.belowHighWatermark = false;
      for (let id = 1; id < 2400; id += 2) it.receive(it.client.headers(id, ["x", "y"]));
    });
    assert.equal(counts["outboundControlFlood"], 1);
    assert.equal(counts["txReset"], 1001);
  });

  test("answers that nobody reads", () => {
    const { server, counts } = attacked({}, (it) => {
      it.transport.belowHighWatermark = false;
      for (let id = 1; id < 30_000 && !it.connection.ended; id += 2) {
        it.get(id);
        it.last.encoder.sendHead(new ResponseHead(404, new HeaderMap()), true);
      }
    });
    assert.equal(counts["outboundFlood"], 1);
    assert.equal(server.transport.destroyed, true);
    assert.ok(server.requests.length <= 10_001);
  });

  test("many frames in many turns are none where the client reads", () => {
    const { server } = attacked({}, (it) => {
      for (let id = 1; id < 30_000; id += 2) {
        it.get(id);
        it.answer();
        it.requests.length = 0;
      }
    });
    assert.equal(server.connection.ended, false);
  });

  test("empty frames", () => {
    const attacks: ((it: ScriptedH2Server) => void)[] = [
      (it) => it.post(1).receive(it.client.data(1, ""), it.client.data(1, "")),
      (it) => it.post(1).receive(it.client.frame(FrameType.Data, 8, 1, "\x02\0\0"), it.client.data(1, "")),
      (it) => {
        it.receive(it.client.frame(FrameType.Headers, 0, 1, ""));
        it.receive(it.client.frame(FrameType.Continuation, 0, 1, ""));
      },
    ];
    for (const attack of attacks) {
      const { server, counts } = attacked({}, attack);
      assert.equal(counts["inboundEmptyFramesFlood"], 1);
      assert.equal(server.sent().at(-1)?.errorCode, ErrorCode.EnhanceYourCalm);
    }
    const { server } = attacked({}, (it) => {
      it.post(1);
      for (let i = 0; i < 100; i++) it.receive(it.client.data(1, ""), it.client.data(1, "x"));
      it.receive(it.client.data(1, ""), it.client.data(1, "", true));
    });
    assert.equal(server.last.ended, true, "one at a time is none, nor is an end");
  });

  test("PRIORITY frames: 100 for each stream that was ever opened, and one for the connection", () => {
    const priority = "\0\0\0\0\x10";
    const flood = (count: number) =>
      attacked({}, (it) => {
        it.get(1);
        for (let i = 0; i < count; i++) it.receive(it.client.frame(FrameType.Priority, 0, 2 * i + 3, priority));
      });
    assert.equal(flood(200).server.connection.ended, false);
    assert.deepEqual([flood(201).server.connection.ended, flood(201).counts["inboundPriorityFramesFlood"]], [true, 1]);
  });

  test("WINDOW_UPDATE frames: by how many streams were opened and DATA frames sent", () => {
    const flood = (count: number) =>
      attacked({}, (it) => {
        it.get(1);
        it.answer(200, "x");
        for (let i = 0; i < count; i++) it.receive(it.client.windowUpdate(0, 1));
      });
    assert.equal(flood(27).server.connection.ended, false);
    const { server, counts } = flood(28);
    assert.deepEqual([server.connection.ended, counts["inboundWindowUpdateFramesFlood"]], [true, 1]);
  });

  test("the same limits hold against an upstream", () => {
    const { stats, counts } = counting();
    const client = new ScriptedH2Client({ stats }).begin();
    const { response } = client.get();
    client.transport.belowHighWatermark = false;
    for (let i = 0; i < 1002; i++) client.receive(client.server.ping());
    assert.equal(counts["outboundControlFlood"], 1);
    assert.equal(response.failure?.kind, "upstream-protocol-error");
    assert.equal(client.closed.length, 1);
    assert.equal(client.transport.destroyed, true);
  });
});

describe("counters", () => {
  test("streams, resets, trailers and refusals are counted", () => {
    const { counts } = attacked({ maxConcurrentStreams: 2 }, (it) => {
      it.post(1).get(3).get(5);
      it.receive(it.client.headers(1, ["t", "1"]), it.client.reset(3, 8));
    });
    assert.equal(counts["streamsActive"], 1);
    assert.equal(counts["streamRefusedErrors"], 1);
    assert.equal(counts["rxReset"], 1);
    assert.equal(counts["txReset"], 1);
    assert.equal(counts["trailers"], 1);
  });

  test("bytes that wait come to nothing when all is over", () => {
    const { server, counts } = attacked({}, (it) => {
      it.get(1);
      it.answer(200, "x".repeat(200_000));
      it.get(3);
      it.answer(200, "y".repeat(200_000));
    });
    assert.ok(counts["pendingSendBytes"]! > 300_000);
    server.receive(server.client.reset(1, 8));
    server.connection.receiveEnd();
    assert.deepEqual([counts["pendingSendBytes"], counts["streamsActive"]], [0, 0]);
  });

  test("a message that is broken, a block of nobody's stream, a GOAWAY", () => {
    const { counts } = attacked({}, (it) => {
      it.get(1);
      it.connection.drain();
      it.get(3);
      it.receive(it.client.headers(5, ["x", "y"]), it.client.frame(FrameType.RstStream, 0, 0));
    });
    assert.equal(counts["headersCbNoStream"], 2);
    assert.equal(counts["goawaySent"], 2);
    const broken = attacked({}, (it) => it.receive(it.client.headers(1, ["x", "y"])));
    assert.equal(broken.counts["rxMessagingError"], 1);
  });
});
