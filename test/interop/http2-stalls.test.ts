import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:http2";
import { after, before, describe, test } from "node:test";
import { bytesOf, EchoServer } from "../harness/echo-server.ts";
import { eventually, untilStill } from "../harness/eventually.ts";
import { http1Asker, http2Asker, http2Session } from "../harness/http-asker.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarChain, startChain } from "../harness/sidecar-chain.ts";

const STALLED = 20;
/**
 * Of one direction of one exchange that stands still, from end to end: windows of 64 KiB at the client, between the sidecars
 * and at the server, what the codecs keep of what arrived, and Node's own buffers at both ends.
 */
const MOST_BYTES_OF_ONE = 1024 * 1024;
const MOST_MEMORY_BYTES = 96 * 1024 * 1024;

describe("an exchange whose reader stands still, through two sidecars", () => {
  const suite = lastFirst({ after });
  let server: EchoServer;
  let chain: SidecarChain;

  before(async () => {
    server = await EchoServer.listen("h2", suite);
    chain = await startChain(suite, { h2: { port: server.port, speaks: "h2" } });
  });

  const memory = (): number => Math.max(chain.front.residentBytes(), chain.back.residentBytes());

  test("answers that nobody reads stop their server, and other streams of the connection go on", async (t) => {
    const session = connect(`http://127.0.0.1:${chain.frontPort("h2")}`); // windows of 64 KiB for each stream
    t.after(() => session.destroy());
    const before = memory();
    server.endlessBytes = 0;
    const stalled = Array.from({ length: STALLED }, () => session.request({ ":path": "/endless" }));
    for (const stream of stalled) stream.on("error", () => {});
    const others = await http2Asker(chain.frontPort("h2"), t);
    const another = () => others.ask({ path: "/length/3" });
    const taken = await untilStill(() => server.endlessBytes, another);
    t.diagnostic(`${taken / STALLED} bytes for each`);
    assert.ok(taken / STALLED <= MOST_BYTES_OF_ONE, `${taken / STALLED} bytes of each were taken`);

    for (let i = 0; i < 50; i += 1) {
      const body = Buffer.alloc(i * 10_000, "n");
      const stream = session.request({ ":path": "/echo/length", ":method": "POST" });
      stream.end(body);
      assert.ok((await bytesOf(stream)).equals(body), "neighbours on the same connection");
    }
    assert.equal((await others.ask({ path: "/length/500000" })).body.length, 500_000, "and on others");
    assert.ok(server.endlessBytes <= taken + STALLED * 64 * 1024, "nothing more of them is taken meanwhile");
    assert.ok(memory() - before <= MOST_MEMORY_BYTES, `${memory() - before} bytes more of memory`);

    // They are only stalled, not lost.
    const [first] = stalled;
    let came = 0;
    first!.on("data", ({ length }: Buffer) => (came += length));
    await eventually("a reader that goes on gets more", () => came > 4 * MOST_BYTES_OF_ONE);
    for (const stream of stalled) stream.close(8); // CANCEL
  });

  test("bodies that the server does not read stop their client, and other streams go on", async (t) => {
    const session = await http2Session(chain.frontPort("h2"), t);
    const before = memory();
    const chunk = Buffer.alloc(16 * 1024, "u");
    let sent = 0;
    const stalled = Array.from({ length: STALLED }, () => {
      const stream = session.request({ ":path": "/stalled", ":method": "POST" });
      stream.on("error", () => {});
      const more = (): void => {
        sent += chunk.length;
        if (!stream.destroyed && sent < STALLED * 8 * MOST_BYTES_OF_ONE) stream.write(chunk, more);
      };
      more();
      return stream;
    });
    await Promise.all(stalled.map((stream) => once(stream, "response")));
    const others = http1Asker(chain.frontPort("h2"), t);
    const taken = await untilStill(
      () => sent,
      () => others.ask({ path: "/length/3" }),
    );
    t.diagnostic(`${taken / STALLED} bytes for each`);
    assert.ok(taken / STALLED <= 2 * MOST_BYTES_OF_ONE, `${taken / STALLED} bytes of each were taken`);
    for (let i = 0; i < 20; i += 1) {
      const stream = session.request({ ":path": "/echo/length", ":method": "POST" });
      stream.end(Buffer.alloc(i * 10_000, "n"));
      assert.equal((await bytesOf(stream)).length, i * 10_000);
    }
    assert.ok(memory() - before <= MOST_MEMORY_BYTES, `${memory() - before} bytes more of memory`);
    for (const stream of stalled) stream.close(8);
    await eventually("the server has lost them", () => server.hanging === 0);
  });

  test("a client of HTTP/1 that does not read holds up nobody on the connection between the sidecars", async (t) => {
    const stalled = request({ host: "127.0.0.1", port: chain.frontPort("h2"), path: "/endless", agent: false });
    stalled.on("error", () => {});
    stalled.end();
    const [response] = (await once(stalled, "response")) as [{ pause(): void }];
    response.pause();
    t.after(() => stalled.destroy());
    const asker = http1Asker(chain.frontPort("h2"), t);
    for (let i = 0; i < 50; i += 1) {
      assert.equal((await asker.ask({ path: `/length/${i * 5000}` })).body.length, i * 5000);
    }
    assert.equal(await chain.front.stat("cluster.h2.upstream_cx_total"), 1, "all on one connection");
  });
});
