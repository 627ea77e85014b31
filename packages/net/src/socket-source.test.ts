import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { type Failure, systemClock } from "@heddle/base";
import type { Connection } from "./connection.ts";
import { dial } from "./dial.ts";
import { loadLibc } from "./libc.ts";
import { originalDestination } from "./original-destination.ts";
import { type SocketSource, sourceKey } from "./socket-source.ts";
import { Recorder } from "./testing-sockets.ts";

const libc = await loadLibc();
const skip =
  libc === undefined ? "koffi is not here" : process.platform !== "linux" ? "Linux alone has 127.0.0.2" : false;

/** Dials a server that answers what it reads, from that source. */
async function dialFrom(t: TestContext, source: SocketSource): Promise<{ mine: Connection; theirs: Socket }> {
  const server = createServer((socket) => socket.pipe(socket));
  t.after(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const mine = await dialled((server.address() as AddressInfo).port, source);
  assert.ok(!("kind" in mine), "kind" in mine ? mine.detail : "");
  t.after(() => mine.destroy());
  const [theirs] = (await accepted) as [Socket];
  return { mine, theirs };
}

function dialled(port: number, source: SocketSource): Promise<Connection | Failure> {
  const options = { timeoutMs: 5000, clock: systemClock, highWatermarkBytes: 1024, source };
  const to = { type: "socket", address: "127.0.0.1", port } as const;
  return new Promise((resolve) => dial(to, options, { onConnected: resolve, onFailed: resolve }));
}

describe("a connection that comes from somewhere", { skip }, () => {
  test("is seen to come from there, and carries bytes both ways as any other", async (t) => {
    const { mine, theirs } = await dialFrom(t, { address: "127.0.0.2", port: 0 });
    assert.equal(theirs.remoteAddress, "127.0.0.2");
    assert.equal(mine.localAddress, "127.0.0.2");
    assert.equal(mine.localPort, theirs.remotePort);
    const seen = new Recorder(mine);
    mine.writeLatin1("there and back");
    await seen.until(() => seen.bytes.length === 14);
    assert.equal(seen.bytes.toString(), "there and back");
    mine.end();
    await seen.until(() => seen.ended === 1);
  });

  test("fails with the step and the reason where it cannot come from there", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const failed = await dialled((server.address() as AddressInfo).port, { address: "192.0.2.1", port: 0 });
    server.close();
    assert.ok("kind" in failed);
    assert.deepEqual([failed.kind, failed.retry], ["connect-failed", "safe"]);
    assert.match(failed.detail, /cannot come from 192\.0\.2\.1:0: bind: EADDRNOTAVAIL$/);
  });

  test("has a key by all that makes it differ", () => {
    const plain = { address: "10.0.0.1", port: 0 };
    const all: SocketSource[] = [
      plain,
      { ...plain, port: 1 },
      { ...plain, freebind: true },
      { ...plain, freebind: false },
      { ...plain, transparent: true },
      { ...plain, mark: 1 },
      { address: "10.0.0.2", port: 0 },
    ];
    assert.equal(new Set(all.map(sourceKey)).size, all.length);
  });
});

describe("the original destination", { skip }, () => {
  test("of a connection that nobody has redirected is its own address, or unknown", async (t) => {
    const { mine } = await dialFrom(t, { address: "127.0.0.1", port: 0 });
    const found = originalDestination(mine);
    // With connection tracking the kernel knows: the client's end was meant for nobody else.
    if (found !== undefined) assert.match(found.address, /^127\./);
    mine.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(originalDestination(mine), undefined);
  });
});
