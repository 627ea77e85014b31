import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type RequestAttack, requestAttacks } from "../conformance/request-attacks.ts";
import { type AttackLane, type AttackLanes, inLanes, startAttackLanes } from "../harness/attack-lane.ts";
import { lastFirst } from "../harness/owner.ts";

/** Sent right behind an attack: if it is ever answered, two requests were read where one was sent. */
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const AFTER = "GET /after HTTP/1.1\r\nHost: a\r\n\r\n";
const SENT_AFTER = "GET /after HTTP/1.1\r\nhost: a\r\n\r\n";

describe("a sidecar under attack by its clients", () => {
  const suite = lastFirst({ after });
  let attacked: AttackLanes;
  before(async () => {
    attacked = await startAttackLanes(suite, 8);
  });

  test("no request of the table of attacks is forwarded in two meanings, and each is refused as it says", async (t) => {
    const problems = await inLanes(attacked.lanes, requestAttacks, ({ what }) => what, attack);
    assert.deepEqual(problems, []);
    t.diagnostic(`${requestAttacks.length} attacks`);
  });
});

async function attack(lane: AttackLane, { bytes, verdict }: RequestAttack, index: number): Promise<void> {
  lane.wipe();
  if (verdict.type === "forwarded" && verdict.then === undefined) {
    const peer = await lane.connect();
    await peer.send(bytes + AFTER);
    const first = await peer.message({ bodyless: bytes.startsWith("HEAD ") });
    assert.equal(first.status, 200);
    const second = await peer.message();
    assert.equal(second.status, 200);
    assert.equal(String(second.body), "GET /after HTTP/1.1");
    assert.equal(peer.waiting, 0);
    peer.socket.destroy();
    assert.equal(lane.received, verdict.as + SENT_AFTER);
  } else {
    const text = await lane.tell(bytes + SMUGGLED);
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
    if (verdict.type === "forwarded") {
      assert.deepEqual(statuses, [200, verdict.then]);
      assert.equal(lane.received, verdict.as);
    } else {
      assert.deepEqual(statuses, [verdict.status]);
      assert.equal(lane.complete, 0, "no request is complete at the upstream");
      if (verdict.type === "refused") assert.equal(lane.received, "");
      else await lane.untilClosed();
    }
  }
  await lane.checkHealth(`healthy-${index}`);
}
