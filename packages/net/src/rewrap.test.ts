import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { TLSSocket } from "node:tls";
import { Descriptor, hookOf } from "./rewrap.ts";
import { writesToHandles } from "./tls/tls-inside.ts";

async function connected(t: TestContext): Promise<Socket> {
  const server = createServer((socket) => t.after(() => socket.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  return socket;
}

test("a descriptor is there as long as the socket is open, and not a moment longer", async (t) => {
  const socket = await connected(t);
  const descriptor = new Descriptor(socket);
  assert.ok(descriptor.current > 2);
  assert.equal(descriptor.current, new Descriptor(socket).current);
  socket.destroy();
  assert.equal(descriptor.current, -1);
});

test("a descriptor appears when the socket has one", async (t) => {
  const other = await connected(t);
  const socket = connect(other.remotePort!, "127.0.0.1");
  t.after(() => socket.destroy());
  const descriptor = new Descriptor(socket);
  void descriptor.current;
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  assert.ok(descriptor.current > 2);
  assert.notEqual(descriptor.current, new Descriptor(other).current);
});

test("a TLS socket has no descriptor to write plaintext to", async (t) => {
  const socket = await connected(t);
  const encrypted = new TLSSocket(socket, {});
  t.after(() => encrypted.destroy());
  encrypted.on("error", () => undefined);
  assert.equal(new Descriptor(encrypted).current, -1);
});

test("this Node lets open sockets be given a hook, and their handles be written to", async (t) => {
  assert.notEqual(hookOf(await connected(t)), undefined);
  assert.equal(writesToHandles, true);
});
