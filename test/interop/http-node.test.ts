import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { bytesOf, EchoServer, sha256 } from "../harness/echo-server.ts";
import { eventually } from "../harness/eventually.ts";
import { type Asker, http1Asker, http2Asker, http2Session } from "../harness/http-asker.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarChain, startChain } from "../harness/sidecar-chain.ts";

const LARGE_BYTES = 900 * 1024;
const HUGE_BYTES = 4 * 1024 * 1024;
const PROTOCOLS = ["h1", "h2"] as const;
type Protocol = (typeof PROTOCOLS)[number];

interface Way {
  readonly sidecars: 1 | 2;
  readonly client: Protocol;
  readonly server: Protocol;
}

/** Between two sidecars is HTTP/2 in any case. HTTP/1 alone has tests of its own. */
const WAYS: readonly Way[] = [
  { sidecars: 1, client: "h2", server: "h2" },
  { sidecars: 1, client: "h1", server: "h2" },
  { sidecars: 1, client: "h2", server: "h1" },
  { sidecars: 2, client: "h1", server: "h1" },
  { sidecars: 2, client: "h2", server: "h2" },
];

describe("Node's clients and servers of HTTP/1 and HTTP/2, through sidecars", () => {
  const suite = lastFirst({ after });
  const servers = new Map<Protocol, EchoServer>();
  const askers = new Map<Way, Asker>();
  let chain: SidecarChain;
  const portOf = ({ sidecars, server }: Way): number =>
    sidecars === 1 ? chain.backPort(server) : chain.frontPort(server);

  before(async () => {
    for (const speaks of PROTOCOLS) servers.set(speaks, await EchoServer.listen(speaks, suite));
    chain = await startChain(suite, {
      h1: { port: servers.get("h1")!.port, speaks: "h1" },
      h2: { port: servers.get("h2")!.port, speaks: "h2" },
    });
    for (const way of WAYS) {
      const port = portOf(way);
      askers.set(way, way.client === "h1" ? http1Asker(port, suite) : await http2Asker(port, suite));
    }
  });

  for (const way of WAYS) {
    const name = `${way.client} client, ${way.sidecars} of them, ${way.server} server`;
    const ask: Asker["ask"] = (question) => askers.get(way)!.ask(question);

    test(`${name}: bodies with and without a length, in both directions`, async () => {
      const bytes = randomBytes(LARGE_BYTES);
      const pieces = [bytes.subarray(0, 10), bytes.subarray(10, 70_000), bytes.subarray(70_000)];
      for (const framing of ["length", "chunks"]) {
        for (const headers of [{ "content-length": bytes.length }, {}]) {
          const answer = await ask({ method: "POST", path: `/echo/${framing}`, headers, body: pieces });
          assert.equal(answer.status, 200);
          assert.equal(answer.headers["x-request-digest"], sha256(bytes));
          assert.equal(sha256(answer.body), sha256(bytes));
          assert.equal(answer.headers["content-length"], framing === "length" ? String(bytes.length) : undefined);
        }
      }
    });

    test(`${name}: HEAD, 204, 304 and empty answers, on connections that are kept`, async () => {
      for (let round = 0; round < 5; round += 1) {
        for (const [method, path, status, length] of [
          ["HEAD", "/length/100", 200, "100"],
          ["GET", "/status/204", 204, undefined],
          ["GET", "/status/304", 304, undefined],
          ["GET", "/length/0", 200, "0"],
          ["DELETE", "/length/3", 200, "3"],
          ["OPTIONS", "/nothing", 404, undefined],
        ] as const) {
          const answer = await ask({ method, path });
          assert.deepEqual([answer.status, answer.body.length], [status, method === "HEAD" ? 0 : Number(length ?? 0)]);
          if (length !== undefined) assert.equal(answer.headers["content-length"], length, path);
        }
      }
    });

    test(`${name}: 100 (Continue) before the body, 103 (Early Hints) before the answer`, async () => {
      const headers = { expect: "100-continue", "content-length": 5 };
      const answer = await ask({ method: "PUT", path: "/echo/length", headers, body: [Buffer.from("hello")] });
      assert.deepEqual([answer.status, String(answer.body)], [200, "hello"]);
      assert.ok(answer.interim.includes(100));
      assert.deepEqual((await ask({ path: "/hints" })).interim, [103]);
    });

    test(`${name}: the authority, cookies in crumbs, te, repeated fields, odd values and long ones`, async () => {
      const cookie = way.client === "h2" ? ["a=1", "b=2", "c=3"] : "a=1; b=2; c=3";
      const headers = { "x-long": "l".repeat(6000), "x-latin": "caf\xe9", "x-empty": "", cookie, te: "trailers" };
      const answer = await ask({ path: "/fields", headers });
      assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2; Path=/"]);
      const seen = JSON.parse(String(answer.body)) as Record<string, unknown>;
      assert.equal(seen["host"], "asked.test");
      assert.deepEqual([seen["long"], seen["empty"], seen["cookie"]], [6000, "", "a=1; b=2; c=3"]);
      assert.equal(seen["latin"], "caf\xe9");
    });

    test(`${name}: trailers in both directions`, async () => {
      const headers = { te: "trailers", ...(way.client === "h1" && { connection: "te", trailer: "x-sum" }) };
      const trailers = { "x-sum": "from the client" };
      const answer = await ask({ method: "POST", path: "/trailers", headers, body: [Buffer.from("body")], trailers });
      assert.equal(String(answer.body), "from the client");
      assert.equal(answer.trailers["x-sum"], "from the server");
    });

    test(`${name}: an answer before the body has come`, async () => {
      const answer = await ask({
        method: "POST",
        path: "/early",
        headers: { "content-length": 3 },
        body: [Buffer.from("abc")],
      });
      assert.deepEqual([answer.status, String(answer.body)], [413, "early"]);
    });

    test(`${name}: an answer that breaks off is not taken for a whole one`, async () => {
      await assert.rejects(ask({ path: "/half" }));
      assert.equal((await ask({ path: "/length/3" })).status, 200);
    });

    test(`${name}: 100 exchanges at once`, async () => {
      const bodies = Array.from({ length: 100 }, (_, i) => randomBytes(i * 700));
      const answers = await Promise.all(
        bodies.map((body) => ask({ method: "POST", path: "/echo/length", body: [body] })),
      );
      for (const [i, { body }] of answers.entries()) assert.ok(body.equals(bodies[i]!), `exchange ${i}`);
    });

    test(`${name}: ${HUGE_BYTES >> 20} MiB in both directions`, async () => {
      const bytes = randomBytes(HUGE_BYTES);
      const answer = await ask({ method: "POST", path: "/echo/chunks", body: [bytes] });
      assert.ok(answer.body.equals(bytes));
    });

    if (way.client !== "h2") continue;

    test(`${name}: a stream that the client cancels ends at the server, and its neighbours go on`, async (t) => {
      const session = await http2Session(portOf(way), t);
      const server = servers.get(way.server)!;
      const streams = Array.from({ length: 10 }, () => session.request({ ":path": "/hang" }));
      for (const stream of streams) stream.on("error", () => {});
      await eventually("the server has them", () => server.hanging === 10);
      for (const stream of streams) stream.close(8); // CANCEL
      await eventually("the server has lost them", () => server.hanging === 0);
      const next = session.request({ ":path": "/length/3" });
      assert.equal(String(await bytesOf(next)), "xxx");
    });
  }
});
