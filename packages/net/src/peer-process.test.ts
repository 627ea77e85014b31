import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type ListenOptions, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { loadPeerProcess } from "./peer-process.ts";

async function accepted(t: TestContext, listen: ListenOptions): Promise<Socket> {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(listen, resolve));
  const address = server.address();
  const client = typeof address === "string" ? connect(address) : connect(address?.port ?? 0, "127.0.0.1");
  client.on("error", () => undefined);
  t.after(() => client.destroy());
  return new Promise((resolve) => server.once("connection", resolve));
}

test("the kernel tells which process has opened the other end of a Unix socket, and nothing of TCP", async (t) => {
  const peerOf = await loadPeerProcess();
  if (peerOf === undefined) return t.skip("koffi cannot be loaded here");
  const folder = mkdtempSync(join(tmpdir(), "heddle-peer-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const socket = await accepted(t, { path: join(folder, "s") });
  assert.deepEqual(peerOf(socket), { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
  socket.destroy();
  assert.equal(peerOf(socket), undefined, "it is gone");
  const tcp = await accepted(t, { port: 0, host: "127.0.0.1" });
  assert.equal(peerOf(tcp), undefined);
  tcp.destroy();
});
