import assert from "node:assert/strict";
import { test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { startSidecar } from "../harness/sidecar.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CHUNK = Buffer.alloc(64 * 1024, "b");

test("an answer before a large body reaches the client whole, and is not torn by a reset (RFC 9112 section 9.6)", async (t) => {
  const owner = lastFirst(t);
  const upstream = await RawUpstream.listen(owner);
  const bootstrap = staticBootstrap(
    [
      listener({
        name: "in",
        routes: inlineRoutes([virtualHost("known.test", "app")]),
        // The client closes when it has read; a busy machine may take its time for that.
        http: { common_http_protocol_options: { max_headers_count: 20 }, delayed_close_timeout: "20s" },
      }),
    ],
    [cluster("app", [upstream.port])],
  );
  const sidecar = await startSidecar(bootstrap, owner);
  const port = await sidecar.port("in");
  const length = 50_000_000;
  const head = (host: string, fields = ""): string =>
    `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${length}\r\n${fields}\r\n`;

  /** Sends the head and body until an answer comes, then behaves: reads to the end and closes. */
  const upload = async (text: string) => {
    const peer = await RawPeer.connect(port, owner);
    void peer.send(text);
    for (let sent = 0; sent < length && peer.waiting === 0 && !peer.ended; sent += CHUNK.length) {
      await peer.send(CHUNK);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const answer = await peer.message();
    for (let i = 0; i < 4; i++) void peer.send(CHUNK); // what a client still had on its way
    assert.equal(await peer.readToEnd(), "");
    assert.equal(peer.error, undefined);
    peer.end();
    return [answer.status, answer.headers.get("connection")];
  };

  await t.test("where no route is", async () => {
    assert.deepEqual(await upload(head("nobody.test")), [404, "close"]);
  });
  await t.test("where the head has too many fields", async () => {
    assert.deepEqual(await upload(head("known.test", "x: 1\r\n".repeat(20))), [431, "close"]);
  });
  await t.test("where the upstream answers first", async () => {
    const uploading = upload(head("known.test"));
    const behind = await upstream.next();
    await behind.readUntil("\r\n\r\n");
    await behind.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n");
    assert.deepEqual(await uploading, [413, "close"]);
  });
  await t.test("and the next client is served", async () => {
    const peer = await RawPeer.connect(port, owner);
    await peer.send("GET / HTTP/1.1\r\nHost: known.test\r\n\r\n");
    const behind = await upstream.next();
    await behind.message();
    await behind.send(OK);
    assert.equal((await peer.message()).status, 200);
  });
});
