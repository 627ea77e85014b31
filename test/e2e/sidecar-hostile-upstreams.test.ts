import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ResponseAttack, responseAttacks } from "../conformance/response-attacks.ts";
import { type AttackLane, type AttackLanes, echo, inLanes, startAttackLanes } from "../harness/attack-lane.ts";
import { afterCanonicalResponse } from "../harness/canonical-messages.ts";
import { jsonAccessLog } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { mutant, PIECES } from "../harness/mutants.ts";
import { lastFirst } from "../harness/owner.ts";
import type { RawPeer } from "../harness/raw-peer.ts";
import { scratchFolder } from "../harness/sidecar.ts";
import { readLog } from "../harness/sidecar-slots.ts";

/** On the same connection behind the request that is attacked: it gets its own answer, and no other. */
const AFTER = "GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const AFTER_ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\nGET /after HTTP/1.1";

/** Lines that the sidecar adds to an answer. */
const ADDED = /(?:x-envoy-upstream-service-time|server|date|connection): [^\r]*\r\n/g;

const MUTANTS = 1000;
const SEED = 0x6d65_7368;

/** What the access log says of an answer: flags, as Envoy sets them. */
const FLAGS = { refused: "UPE", missing: "UC", forwarded: "-" } as const;

describe("a sidecar between honest clients and hostile upstreams", () => {
  const suite = lastFirst({ after });
  let attacked: AttackLanes;
  let log: string;
  before(async () => {
    log = join(scratchFolder(suite), "access.json");
    attacked = await startAttackLanes(suite, 8, { access_log: [jsonAccessLog(log)] });
  });

  test("no answer of the table of attacks is taken for what it is not, and nobody gets another's", async (t) => {
    const problems = await inLanes(attacked.lanes, responseAttacks, ({ what }) => what, attack);
    assert.deepEqual(problems, []);
    t.diagnostic(`${responseAttacks.length} attacks`);
  });

  test(`of ${MUTANTS} answers with random faults each is whole, cut or refused, and nobody gets another's`, async () => {
    const mutants = Array.from({ length: MUTANTS }, (_, index) => mutant(SEEDS, OF_ANSWERS, SEED + index));
    const problems = await inLanes(attacked.lanes, mutants, JSON.stringify, offer);
    assert.deepEqual(problems, []);
  });

  test("the access log says of each what became of it", async () => {
    const flags = new Map<string, string>();
    await eventually("each attack has a line in the access log", () => {
      flags.clear();
      for (const line of readLog(log)) if (line.path.startsWith("/attack-")) flags.set(line.path, line.flags);
      return flags.size === responseAttacks.length;
    });
    const wrong = responseAttacks.flatMap((item, index) => {
      const { type } = item.verdict;
      const expected = type === "cut" ? (item.end === undefined ? "UPE" : "UC") : FLAGS[type];
      const found = flags.get(`/attack-${index}`);
      return found === expected ? [] : [`${item.what}: ${found}, not ${expected}`];
    });
    assert.deepEqual(wrong, []);
  });
});

async function attack(lane: AttackLane, item: ResponseAttack, index: number): Promise<void> {
  const { bytes, verdict, end, method = "GET" } = item;
  const hostile: RawPeer[] = [];
  lane.wipe();
  lane.answer = async (peer, startLine) => {
    if (!startLine.includes("/attack-")) return echo(peer, startLine);
    hostile.push(peer);
    await peer.send(bytes);
    if (end === "fin") peer.end();
    else if (end === "rst") peer.reset();
  };
  const text = await lane.tell(`${method} /attack-${index} HTTP/1.1\r\nHost: a\r\n\r\n${AFTER}`);
  const clean = text.replace(ADDED, "").replace(/^(?:HTTP\/1\.1 1\d\d [^\r]*\r\n\r\n)+/, "");
  switch (verdict.type) {
    case "forwarded":
      assert.equal(clean, verdict.as + AFTER_ANSWER);
      break;
    case "cut":
      assert.equal(isComplete(clean), false, clean.slice(0, 400));
      break;
    default:
      assert.match(clean, new RegExp(`^HTTP/1\\.1 ${verdict.type === "refused" ? 502 : 503} `));
      assert.equal(clean.split("HTTP/1.1 ").length, 3, clean.slice(0, 400)); // two answers
      assert.ok(clean.endsWith(AFTER_ANSWER), clean.slice(-400));
  }
  if (verdict.type !== "forwarded" || !verdict.kept)
    await eventually("the attacker's connection is closed", () => hostile.every(({ ended }) => ended));
  await lane.checkHealth(`healthy-${index}`);
}

/** Whatever the sidecar makes of the bytes, its client reads one answer or an incomplete one, and then his own. */
async function offer(lane: AttackLane, bytes: string, index: number): Promise<void> {
  lane.answer = async (peer, startLine) => {
    await (startLine.includes("/mutant") ? peer.send(bytes) : echo(peer, startLine));
    if (startLine.includes("/mutant")) peer.end();
  };
  const text = await lane.tell(`GET /mutant HTTP/1.1\r\nHost: a\r\n\r\n${AFTER}`);
  let rest: string | undefined = text.replace(ADDED, "");
  do {
    const interim = rest.startsWith("HTTP/1.1 1");
    rest = afterCanonicalResponse(rest);
    if (!interim) break;
  } while (rest !== undefined);
  if (rest !== undefined) assert.equal(rest, AFTER_ANSWER);
  await lane.checkHealth(`healthy-${index}`);
}

const SEEDS: readonly string[] = [
  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.1 404 Not Found\r\nX: y\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nno",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;e=1\r\nabc\r\n0\r\n\r\n",
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\n1",
  "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
  'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 12\r\n\r\n',
  "HTTP/1.1 200 OK\r\nConnection: keep-alive, x\r\nX: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
  "HTTP/1.0 200 OK\r\nX: y\r\n\r\nuntil the end",
  "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
];

const OF_ANSWERS = [...PIECES, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "HTTP/1.1 100 Continue\r\n\r\n"];

/** Whether a client has to take this for a whole answer. */
function isComplete(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return false;
  const head = text.slice(0, end);
  const body = text.slice(end + 4);
  if (/^transfer-encoding: chunked$/im.test(head)) return /(?:^|\r\n)0\r\n(?:[^\r]+\r\n)*\r\n$/.test(body);
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  return length === undefined || body.length >= Number(length);
}
