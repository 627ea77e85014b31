import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";
import type { RawPeer } from "../harness/raw-peer.ts";
import { type SidecarSlots, startSlots } from "../harness/sidecar-slots.ts";

const MIB = 1024 * 1024;
const LARGE = 64 * MIB;
/** What a process may grow by while a large body passes: buffers of the kernel are not its own, some garbage is. */
const GROWTH = 40 * MIB;

describe("a sidecar and large bodies", () => {
  const suite = lastFirst({ after });
  let slots: SidecarSlots;
  before(async () => {
    slots = await startSlots(suite, {
      http: { stream_idle_timeout: "30s" },
      slots: { up: {}, down: {}, "slow-upstream": {}, "slow-client": {}, tiny: {} },
    });
    // The first requests compile and fill what stays; growth is counted from there.
    const { host, upstream, client } = slots.slot("tiny", suite);
    upstream.answerAll("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    const peer = await client();
    for (let i = 0; i < 200; i++) {
      await peer.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 3\r\n\r\nabc`);
      await peer.message();
    }
    peer.socket.destroy();
  });

  test("64 MiB go up with little memory, and arrive as they were sent", async (t) => {
    const { host, upstream, client } = slots.slot("up", t);
    const base = slots.sidecar.residentBytes();
    const peer = await client();
    await peer.send(`PUT / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${LARGE}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.readUntil("\r\n\r\n");
    const [, received] = await Promise.all([sendPattern(peer, LARGE), countPattern(behind, LARGE)]);
    assert.equal(received, LARGE);
    await behind.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert.equal((await peer.message()).status, 200);
    const growth = slots.sidecar.residentBytes() - base;
    assert.ok(growth < GROWTH, `it grew by ${Math.round(growth / MIB)} MiB`);
  });

  test("64 MiB come down with little memory, and arrive as they were sent", async (t) => {
    const { host, upstream, client } = slots.slot("down", t);
    const base = slots.sidecar.residentBytes();
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.message();
    await behind.send(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE}\r\n\r\n`);
    await peer.readUntil("\r\n\r\n");
    const [, received] = await Promise.all([sendPattern(behind, LARGE), countPattern(peer, LARGE)]);
    assert.equal(received, LARGE);
    const growth = slots.sidecar.residentBytes() - base;
    assert.ok(growth < GROWTH, `it grew by ${Math.round(growth / MIB)} MiB`);
  });

  test("an upstream that does not read stops the client, and nothing is lost when it reads again", async (t) => {
    const { host, upstream, client } = slots.slot("slow-upstream", t);
    const base = slots.sidecar.residentBytes();
    const peer = await client();
    await peer.send(`PUT / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${LARGE}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.readUntil("\r\n\r\n");
    behind.socket.pause();
    await isStopped(peer, sendPattern(peer, LARGE), async () => {
      const growth = slots.sidecar.residentBytes() - base;
      assert.ok(growth < GROWTH, `it grew by ${Math.round(growth / MIB)} MiB`);
      behind.socket.resume();
      assert.equal(await countPattern(behind, LARGE), LARGE);
    });
    await behind.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert.equal((await peer.message()).status, 200);
  });

  test("a client that does not read stops the upstream, and nothing is lost when it reads again", async (t) => {
    const { host, upstream, client } = slots.slot("slow-client", t);
    const base = slots.sidecar.residentBytes();
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.message();
    await behind.send(`HTTP/1.1 200 OK\r\ncontent-length: ${LARGE}\r\n\r\n`);
    await peer.readUntil("\r\n\r\n");
    peer.socket.pause();
    await isStopped(behind, sendPattern(behind, LARGE), async () => {
      const growth = slots.sidecar.residentBytes() - base;
      assert.ok(growth < GROWTH, `it grew by ${Math.round(growth / MIB)} MiB`);
      peer.socket.resume();
      assert.equal(await countPattern(peer, LARGE), LARGE);
    });
  });
});

/** 64 KiB of which no two places nearby are the same. */
const PATTERN = Buffer.from(Uint32Array.from({ length: 16 * 1024 }, (_, i) => i * 2654435761).buffer);

/** Sends the pattern again and again, as fast as the other side takes it. */
async function sendPattern(peer: RawPeer, length: number): Promise<void> {
  for (let sent = 0; sent < length; sent += PATTERN.length) await peer.send(PATTERN);
}

async function countPattern(peer: RawPeer, length: number): Promise<number> {
  let count = 0;
  for (; count < length; count += PATTERN.length) {
    const chunk = await peer.read(PATTERN.length);
    if (!chunk.equals(PATTERN)) break;
  }
  return count;
}

/** Runs the body once the sender has stopped short of its end; then the sender must come to its end. */
async function isStopped(sender: RawPeer, sending: Promise<void>, body: () => Promise<void>): Promise<void> {
  let last = -1;
  let same = 0;
  await eventually("the sender is stopped", () => {
    const now = sender.socket.bytesWritten - sender.socket.writableLength;
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= 10; // looks, 20 ms apart
  });
  assert.ok(last < LARGE / 2, `${Math.round(last / MIB)} MiB were taken`);
  await body();
  await sending;
}
