import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type H2RequestAttack, h2RequestAttacks } from "../conformance/h2-request-attacks.ts";
import { type ResponseAttack, responseAttacks } from "../conformance/response-attacks.ts";
import { type AttackLane, type AttackLanes, echo, inLanes, startAttackLanes } from "../harness/attack-lane.ts";
import { headers, request } from "../harness/h2-frames.ts";
import { H2Peer } from "../harness/h2-peer.ts";
import { lastFirst } from "../harness/owner.ts";

/*
 * From HTTP/2 to HTTP/1 and back. What an upstream receives is recorded and read strictly: no request of one client is read as
 * two, nor as another one's.
 */

describe("a sidecar between clients of HTTP/2 and upstreams of HTTP/1", () => {
  for (const [where, http] of [
    [
      "where a bad message ends its stream",
      { http2_protocol_options: { override_stream_error_on_invalid_http_message: true } },
    ],
    ["where a bad message ends its connection", {}],
  ] as const) {
    describe(where, () => {
      const suite = lastFirst({ after });
      let attacked: AttackLanes;
      before(async () => {
        attacked = await startAttackLanes(suite, 8, { codec_type: "AUTO", ...http });
      });

      test("no request of the table of attacks is forwarded in two meanings, and each is refused as it says", async (t) => {
        const problems = await inLanes(attacked.lanes, h2RequestAttacks, ({ what }) => what, attack);
        assert.deepEqual(problems, []);
        t.diagnostic(`${h2RequestAttacks.length} attacks`);
      });
    });
  }

  describe("whose upstream is hostile", () => {
    const suite = lastFirst({ after });
    let attacked: AttackLanes;
    before(async () => {
      attacked = await startAttackLanes(suite, 8, { codec_type: "AUTO" });
    });

    test("no answer of the table of attacks is taken for what it is not: what is incomplete is reset", async (t) => {
      const problems = await inLanes(attacked.lanes, responseAttacks, ({ what }) => what, answerBadly);
      assert.deepEqual(problems, []);
      t.diagnostic(`${responseAttacks.length} attacks`);
    });
  });
});

async function attack(lane: AttackLane, { frames, verdict }: H2RequestAttack, index: number): Promise<void> {
  lane.wipe();
  const ends: (() => unknown)[] = [];
  const peer = await H2Peer.connect(lane.port, { after: (end) => void ends.push(end) });
  try {
    await peer.send(...frames);
    if (verdict.type === "forwarded") {
      assert.equal((await peer.response(1)).status, 200);
      assert.equal(lane.received, verdict.as);
      return;
    }
    const resetByClient = frames.some((bytes) => bytes[3] === 3);
    if (resetByClient) await peer.alive();
    else await peer.until("it is refused", () => peer.ended || peer.message(1).closed, true);
    const { status } = peer.message(1);
    assert.ok(Number.isNaN(status) || status >= 400, `answered with ${status}`);
    peer.socket.destroy();
    await lane.checkHealth(`healthy-${index}`);
    if (verdict.type === "refused") assert.equal(lane.received, `GET /healthy-${index} HTTP/1.1\r\nhost: a\r\n\r\n`);
    assert.deepEqual(await lane.requests(), [`GET /healthy-${index} HTTP/1.1`]);
  } finally {
    for (const end of ends) end();
  }
}

async function answerBadly(lane: AttackLane, item: ResponseAttack, index: number): Promise<void> {
  const { bytes, verdict, end, method = "GET" } = item;
  lane.wipe();
  lane.answer = async (peer, startLine) => {
    if (!startLine.includes("/attack-")) return echo(peer, startLine);
    await peer.send(bytes);
    if (end === "fin") peer.end();
    else if (end === "rst") peer.reset();
  };
  const ends: (() => unknown)[] = [];
  const peer = await H2Peer.connect(lane.port, { after: (close) => void ends.push(close) });
  try {
    // Both on one connection: what comes of the first must leave the second alone.
    await peer.send(headers(1, request(`/attack-${index}`, [], method)));
    const { status, ended, resetCode } = await peer.response(1);
    switch (verdict.type) {
      case "refused":
        assert.equal(status, 502);
        break;
      case "missing":
        assert.equal(status, 503);
        break;
      case "cut":
        assert.ok(status >= 500 || (!ended && resetCode !== undefined), peer.summary());
        break;
      case "forwarded": {
        const expected = Number(/^HTTP\/1\.1 (\d{3})/.exec(verdict.as)?.[1]);
        assert.ok(status === expected && ended, `${status}, not ${expected}; ${peer.summary()}`);
        break;
      }
    }
    await peer.send(headers(3, request("/after")));
    const after = await peer.response(3);
    assert.deepEqual([after.status, after.body], [200, "GET /after HTTP/1.1"]);
  } finally {
    for (const close of ends) close();
  }
}
