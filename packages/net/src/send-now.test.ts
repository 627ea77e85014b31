import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { Descriptor } from "./rewrap.ts";
import { loadSend, sendNow } from "./send-now.ts";

interface Pair {
  readonly ours: Socket;
  readonly peer: Socket;
  readonly descriptor: number;
  close(): Promise<void>;
}

async function pair(): Promise<Pair> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  const ours = connect(address.port, "127.0.0.1").on("error", () => {});
  const [peer] = await Promise.all([
    new Promise<Socket>((resolve) => server.once("connection", resolve)),
    new Promise((resolve) => ours.once("connect", resolve)),
  ]);
  peer.on("error", () => {});
  const close = async (): Promise<void> => {
    ours.destroy();
    peer.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { ours, peer, descriptor: new Descriptor(ours).current, close };
}

for (const way of ["fs", "the C library, where it can be loaded"]) {
  test(`by ${way}: the kernel takes bytes, then none while it has no room, and a broken connection throws`, async () => {
    if (way !== "fs") await loadSend();
    const { ours, peer, descriptor, close } = await pair();
    const got = new Promise<string>((resolve) => peer.once("data", (bytes) => resolve(String(bytes))));
    assert.equal(sendNow(descriptor, Buffer.from("hello, not this"), 5), 5);
    assert.equal(await got, "hello");
    // A view that does not begin where its memory does.
    const again = new Promise<string>((resolve) => peer.once("data", (bytes) => resolve(String(bytes))));
    assert.equal(sendNow(descriptor, Buffer.from("--view").subarray(2), 4), 4);
    assert.equal(await again, "view");

    peer.pause();
    const block = Buffer.alloc(1 << 20);
    const taken: number[] = [];
    try {
      for (let i = 0; i < 100; i++) taken.push(sendNow(descriptor, block, block.length));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "EAGAIN"); // how `fs` tells that there is no room
      taken.push(0);
    }
    assert.equal(taken.at(-1), 0);
    assert.ok(taken[0]! > 0);

    const ended = new Promise((resolve) => ours.once("close", resolve));
    peer.resetAndDestroy();
    let code: unknown;
    for (let i = 0; i < 1000 && code === undefined; i++) {
      try {
        sendNow(descriptor, block, 10);
        await new Promise((resolve) => setImmediate(resolve));
        if (new Descriptor(ours).current < 0) break; // Node has met the end first
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") code = (error as NodeJS.ErrnoException).code;
      }
    }
    assert.ok([undefined, "EPIPE", "ECONNRESET"].includes(code as string | undefined), String(code));
    ours.resume();
    ours.destroy();
    await ended;
    await close();
  });
}

test("a descriptor that nobody has throws", async () => {
  await loadSend();
  assert.throws(() => sendNow(1 << 20, Buffer.from("x"), 1), { code: "EBADF" });
});
