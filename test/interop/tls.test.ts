import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { bytesOf, EchoServer, sha256 } from "../harness/echo-server.ts";
import { eventually } from "../harness/eventually.ts";
import { type Asker, http1Asker, http2Asker, http2Session } from "../harness/http-asker.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarChain, startChain } from "../harness/sidecar-chain.ts";
import { tlsChain } from "../harness/tls-chain.ts";
import { GRPC_CASES, GrpcCaller } from "./grpc-cases.ts";
import { startGrpcPeer } from "./grpc-peer.ts";

const GRPC_OVER_TLS = [
  "large messages",
  "bidirectional streaming, without waiting",
  "cancelled after the first response",
  "status code and message",
] as const;

/** What goes wrong with TLS alone: records are not frames, and an end of one is not an end of the other. */
describe("peers through two sidecars, TLS before each", () => {
  const suite = lastFirst({ after });
  const { hop, authority } = tlsChain();
  const trust = { trusted: authority };
  let server: EchoServer;
  let chain: SidecarChain;
  let caller: GrpcCaller;
  const askers = new Map<string, Asker>();

  before(async () => {
    server = await EchoServer.listen("h2", suite);
    const lanes = {
      h2: { port: server.port, speaks: "h2" },
      grpc: { port: await startGrpcPeer(suite), speaks: "h2" },
    } as const;
    chain = await startChain(suite, lanes, {}, hop);
    caller = new GrpcCaller(chain.frontPort("grpc"), {}, authority);
    suite.after(() => caller.close());
    askers.set("h1", http1Asker(chain.frontPort("h2"), suite, trust));
    askers.set("h2", await http2Asker(chain.frontPort("h2"), suite, trust));
  });

  for (const name of GRPC_OVER_TLS) test(`grpc-js: ${name}`, () => GRPC_CASES[name]!(caller));

  for (const client of ["h1", "h2"] as const) {
    const ask: Asker["ask"] = (question) => askers.get(client)!.ask(question);

    test(`${client} client: bodies with and without a length, in both directions`, async () => {
      const bytes = randomBytes(900 * 1024);
      for (const framing of ["length", "chunks"]) {
        const answer = await ask({ method: "POST", path: `/echo/${framing}`, body: [bytes] });
        assert.deepEqual([answer.status, answer.headers["x-request-digest"]], [200, sha256(bytes)]);
        assert.ok(answer.body.equals(bytes));
      }
    });

    test(`${client} client: 100 exchanges at once`, async () => {
      const bodies = Array.from({ length: 100 }, (_, i) => randomBytes(i * 300));
      const answers = await Promise.all(
        bodies.map((body) => ask({ method: "POST", path: "/echo/length", body: [body] })),
      );
      for (const [i, { body }] of answers.entries()) assert.ok(body.equals(bodies[i]!), `exchange ${i}`);
    });

    test(`${client} client: an answer that breaks off is not taken for a whole one`, async () => {
      await assert.rejects(ask({ path: "/half" }));
      assert.equal((await ask({ path: "/length/3" })).status, 200);
    });
  }

  test("a stream that the client cancels ends at the server, and its neighbours go on", async (t) => {
    const session = await http2Session(chain.frontPort("h2"), t, authority);
    const streams = Array.from({ length: 10 }, () => session.request({ ":path": "/hang" }));
    for (const stream of streams) stream.on("error", () => {});
    await eventually("the server has them", () => server.hanging === 10);
    for (const stream of streams) stream.close(8); // CANCEL
    await eventually("the server has lost them", () => server.hanging === 0);
    assert.equal(String(await bytesOf(session.request({ ":path": "/length/3" }))), "xxx");
  });

  test("it was TLS all the way, and HTTP/2 between the sidecars", async () => {
    const { front, back } = chain;
    for (const lane of ["h2", "grpc"]) {
      assert.ok((await front.stat(`cluster.${lane}.ssl.handshake`)) > 0);
      assert.ok((await front.stat(`cluster.${lane}.upstream_cx_http2_total`)) > 0);
      assert.equal(await front.stat(`cluster.${lane}.upstream_cx_http1_total`), 0);
    }
    assert.match(await back.page("/stats"), /^listener\.\S+\.ssl\.handshake: [1-9]/m);
  });
});
