import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type RequestAttack, requestAttacks } from "../conformance/request-attacks.ts";
import { type AttackLane, type AttackLanes, inLanes, startAttackLanes } from "../harness/attack-lane.ts";
import { jsonAccessLog } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { mutant, PIECES } from "../harness/mutants.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";
import { readLog } from "../harness/sidecar-slots.ts";

/** Sent right behind an attack: if it is ever answered, two requests were read where one was sent. */
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const AFTER = "GET /after HTTP/1.1\r\nHost: a\r\n\r\n";
const SENT_AFTER = "GET /after HTTP/1.1\r\nhost: a\r\n\r\n";

/** These listeners speak HTTP/2 as well: its preface is none of them. */
const http1Attacks = requestAttacks.filter(({ what }) => what !== "the preface of HTTP/2");

const MUTANTS = 1500;
const SEED = 0x6865_6464;

describe("a sidecar under attack by its clients", () => {
  const suite = lastFirst({ after });
  let attacked: AttackLanes;
  let log: string;
  before(async () => {
    log = join(scratchFolder(suite), "access.json");
    attacked = await startAttackLanes(suite, 8, { access_log: [jsonAccessLog(log)] });
  });

  test("no request of the table of attacks is forwarded in two meanings, and each is refused as it says", async (t) => {
    const problems = await inLanes(attacked.lanes, http1Attacks, ({ what }) => what, attack);
    assert.deepEqual(problems, []);
    t.diagnostic(`${http1Attacks.length} attacks`);
  });

  test(`of ${MUTANTS} requests with random faults none reaches the upstream but in one meaning, and each is answered`, async () => {
    const mutants = Array.from({ length: MUTANTS }, (_, index) => mutant(SEEDS, OF_REQUESTS, SEED + index));
    const problems = await inLanes(attacked.lanes, mutants, JSON.stringify, offer);
    assert.deepEqual(problems, []);
  });

  test("CVE-2024-45808: whatever came, each line of the access log is JSON", async () => {
    // Each of both tests' attacks was followed by an ordinary request, which is a line as well.
    const least = http1Attacks.length + MUTANTS;
    await eventually("the lines are there", () => readLog(log).length >= least); // which parses each of them
  });
});

/** All that the configuration can be asked to let pass. */
const LENIENT = {
  http_protocol_options: {
    accept_http_10: true,
    default_host_for_http_10: "old",
    allow_chunked_length: true,
    allow_custom_methods: true,
    header_key_format: {
      stateful_formatter: {
        name: "preserve_case",
        typed_config: {
          "@type":
            "type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig",
        },
      },
    },
  },
  proxy_100_continue: true,
};

describe("a sidecar of three workers that is as lenient as can be configured", () => {
  const suite = lastFirst({ after });
  let attacked: AttackLanes;
  before(async () => {
    attacked = await startAttackLanes(suite, 8, LENIENT, { concurrency: 3 });
  });

  test("refuses what frames a message in two ways all the same", async () => {
    const attacks = http1Attacks.filter(
      ({ what, verdict, bySidecar }) =>
        verdict.type !== "forwarded" && !bySidecar && !/ of a head$|^(?:the|a) method /.test(what),
    );
    assert.ok(attacks.length > 700);
    const problems = await inLanes(attacked.lanes, attacks, ({ what }) => what, attack);
    assert.deepEqual(problems, []);
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
      if (verdict.type === "refused") assert.equal(lane.received, "");
    }
  }
  await lane.checkHealth(`healthy-${index}`);
  if (verdict.type !== "forwarded") assert.deepEqual(await lane.requests(), [`GET /healthy-${index} HTTP/1.1`]);
}

/** Whatever the sidecar makes of the bytes, the upstream and the client have seen the same requests. */
async function offer(lane: AttackLane, bytes: string, index: number): Promise<void> {
  lane.wipe();
  const peer = await lane.connect();
  try {
    await peer.send(bytes);
    peer.end();
    const answered = answersIn(await peer.readToEnd());
    await lane.checkHealth(`healthy-${index}`);
    assert.deepEqual((await lane.requests()).toSorted(), [...answered, `GET /healthy-${index} HTTP/1.1`].toSorted());
  } finally {
    peer.socket.destroy();
  }
}

/** The bodies of the upstream's answers, which are the start lines of what they answer. */
function answersIn(text: string): string[] {
  const answers: string[] = [];
  let rest = text;
  while (rest !== "") {
    const [head, status] = /^HTTP\/1\.1 (\d{3}) [^\r]*\r\n(?:[^\r]+\r\n)*\r\n/.exec(rest) ?? [];
    assert.ok(head !== undefined && status !== undefined, `no answer: ${JSON.stringify(rest.slice(0, 300))}`);
    rest = rest.slice(head.length);
    if (status.startsWith("1")) continue;
    const length = Number(/^content-length: (\d+)\r$/m.exec(head)?.[1] ?? rest.length); // else it ends with the connection
    if (status === "200") answers.push(rest.slice(0, length));
    rest = rest.slice(length);
  }
  return answers;
}

const OF_REQUESTS = [...PIECES, "Host: b\r\n", "GET /z HTTP/1.1\r\nHost: a\r\n\r\n"];

const SEEDS: readonly string[] = [
  "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
  "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;e=1\r\nabc\r\n0\r\n\r\n",
  "POST /d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
  "POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
  "GET http://b/f?g=h HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x\r\nX: 1\r\nTE: trailers\r\n\r\n",
  "GET /i HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n",
  "PUT /j HTTP/1.1\r\nHost: a:80\r\nContent-Length: 37\r\n\r\nGET /k HTTP/1.1\r\nHost: a\r\nX: yyyyy\r\n\r\n",
  "GET /l HTTP/1.1\r\nHost: a\r\n\r\nPOST /m HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nnGET /o HTTP/1.1\r\nHost: a\r\n\r\n",
];
