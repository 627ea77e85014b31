import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer, connect as netConnect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { Acceptor } from "./acceptor.ts";
import { DatagramListener } from "./datagram-socket.ts";
import { parseIPv6 } from "./kernel-address.ts";
import { loadLibc } from "./libc.ts";
import { descriptorOpener, reusePortOpener, type SocketOpener, socketOpener } from "./listen-socket.ts";
import type { ListenSocket, ListenTarget } from "./listen-target.ts";
import type { SocketAddress } from "./socket-address.ts";
import { assertNothingLeft, Recorder } from "./testing-sockets.ts";

const libc = await loadLibc();
const folder = mkdtempSync(join(tmpdir(), "heddle-listen-"));
after(() => rmSync(folder, { recursive: true }));
afterEach(assertNothingLeft);

const loopback = { type: "socket", address: "127.0.0.1", port: 0 } as const;

async function open(opener: SocketOpener, address: SocketAddress): Promise<ListenSocket> {
  const opened = await opener.open(address, { backlog: undefined });
  assert.ok(opened.ok, opened.ok ? "" : opened.error);
  return opened.value;
}

/** Accepts on the target and answers every connection with `name`. */
function greeter(target: ListenTarget | undefined, name: string): Promise<Acceptor> {
  assert.ok(target !== undefined);
  return new Promise((resolve, reject) => {
    const options = { backlog: undefined, highWatermarkBytes: 1024, rewrap: true };
    const acceptor = new Acceptor(target, options, {
      onListening: () => resolve(acceptor),
      onConnection: (connection) => {
        new Recorder(connection);
        connection.writeLatin1(name);
        connection.end();
      },
      onStopped: (reason) => reject(new Error(reason)),
    });
  });
}

function ask(address: SocketAddress): Promise<string> {
  const where = address.type === "pipe" ? { path: address.path } : { port: address.port, host: address.address };
  return new Promise((resolve, reject) => {
    const socket = netConnect(where);
    let text = "";
    socket.on("data", (bytes) => {
      text += bytes;
    });
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
  });
}

describe("a shared listening descriptor", { skip: libc === undefined && "koffi has no binary here" }, () => {
  if (libc === undefined) return;
  const opener = descriptorOpener(libc);

  test("is what this system uses", async () => {
    assert.equal((await socketOpener()).sharing, "one-queue");
  });

  for (const address of [loopback, { ...loopback, address: "::1" }] as const) {
    test(`listens on ${address.address} with the port that the kernel chose`, async () => {
      const socket = await open(opener, address);
      assert.ok(socket.address.type === "socket" && socket.address.port > 0);
      const acceptor = await greeter(socket.newTarget(), "one");
      assert.equal(await ask(socket.address), "one");
      acceptor.close();
      socket.close();
    });
  }

  test("for datagrams is one for each slot, whose queue waits for the slot's next worker", async () => {
    const opened = await opener.open(loopback, { backlog: undefined, datagrams: true });
    assert.ok(opened.ok);
    const socket = opened.value;
    assert.ok(socket.address.type === "socket" && socket.address.port > 0);
    const { port } = socket.address;
    const heard: string[] = [];
    const listen = (name: string, slot: number): DatagramListener => {
      const target = socket.newTarget(slot);
      assert.ok(target);
      const events = {
        onDatagram: (bytes: Uint8Array) => void heard.push(`${name} ${Buffer.from(bytes)}`),
        onError: (code: string) => assert.fail(code),
      };
      return new DatagramListener(target, false, events, assert.fail);
    };
    const workers = [listen("a", 0), listen("b", 1)];
    const clients = Array.from({ length: 8 }, () => createSocket("udp4"));
    const sendAll = async (text: string): Promise<void> => {
      await Promise.all(
        clients.map((client) => new Promise((resolve) => client.send(text, port, "127.0.0.1", resolve))),
      );
    };
    const until = async (count: number): Promise<string[]> => {
      while (heard.length < count) await new Promise((resolve) => setImmediate(resolve));
      return heard.splice(0).sort();
    };
    await sendAll("1");
    const before = await until(8);
    // Slot 1 loses its worker, and what comes meanwhile goes to the next one; slot 0 does not hear of it.
    workers[1]?.close();
    await sendAll("1");
    const here = before.filter((line) => line.startsWith("a"));
    assert.deepEqual(await until(here.length), here);
    workers[1] = listen("b", 1);
    assert.deepEqual(
      await until(8 - here.length),
      before.filter((line) => line.startsWith("b")),
    );
    for (const worker of workers) worker.close();
    for (const client of clients) client.close();
    socket.close();
  });

  test("keeps connections waiting while nobody accepts, and gives them to the next acceptor", async () => {
    const socket = await open(opener, loopback);
    const first = await greeter(socket.newTarget(), "first");
    assert.equal(await ask(socket.address), "first");
    first.close();
    const waiting = ask(socket.address);
    await new Promise((resolve) => setImmediate(resolve));
    const second = await greeter(socket.newTarget(), "second");
    assert.equal(await waiting, "second");
    second.close();
    socket.close();
    await assert.rejects(ask(socket.address), /ECONNREFUSED/);
  });

  test("names the address that is in use", async () => {
    const socket = await open(opener, loopback);
    assert.ok(socket.address.type === "socket");
    const again = await opener.open(socket.address, { backlog: undefined });
    assert.deepEqual(again, {
      ok: false,
      error: `cannot listen on 127.0.0.1:${socket.address.port}: the address is in use (EADDRINUSE)`,
    });
    socket.close();
  });

  test("refuses what is no address", async () => {
    const opened = await opener.open({ type: "socket", address: "localhost", port: 0 }, { backlog: undefined });
    assert.match(opened.ok ? "" : opened.error, /"localhost" is no IPv4 or IPv6 address/);
  });

  test("gives no target after it was closed", async () => {
    const socket = await open(opener, loopback);
    socket.close();
    assert.equal(socket.newTarget(), undefined);
  });

  test("listens on a Unix socket with its mode, and removes it at the end", async () => {
    const path = join(folder, "a.sock");
    const socket = await open(opener, { type: "pipe", path, mode: 0o600 });
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const acceptor = await greeter(socket.newTarget(), "unix");
    assert.equal(await ask(socket.address), "unix");
    acceptor.close();
    socket.close();
    assert.equal(existsSync(path), false);
  });

  test("takes over a Unix socket that a dead process left, but not one that is served", async () => {
    const path = join(folder, "b.sock");
    const left = libc.socket(1, 1, 0);
    assert.equal(libc.bind(left, Buffer.from(`\x01\0${path}\0`), path.length + 3), 0);
    (await import("node:fs")).closeSync(left);
    assert.equal(existsSync(path), true);
    const socket = await open(opener, { type: "pipe", path });
    const second = await opener.open({ type: "pipe", path }, { backlog: undefined });
    assert.match(second.ok ? "" : second.error, /b\.sock: the address is in use/);
    socket.close();
  });

  test("does not touch a file that is no socket", async () => {
    const path = join(folder, "notes.txt");
    (await import("node:fs")).writeFileSync(path, "keep");
    chmodSync(path, 0o644);
    const opened = await opener.open({ type: "pipe", path }, { backlog: undefined });
    assert.equal(opened.ok, false);
    assert.equal(existsSync(path), true);
  });

  test("listens on a name without a file", async () => {
    const name = `@heddle-test-${process.pid}`;
    const socket = await open(opener, { type: "pipe", path: name });
    const acceptor = await greeter(socket.newTarget(), "abstract");
    assert.equal(await ask({ type: "pipe", path: `\0${name.slice(1)}` }), "abstract");
    acceptor.close();
    socket.close();
  });
});

describe("listening without shared descriptors", () => {
  const opener = reusePortOpener();

  test("gives every worker an address of its own to open", async () => {
    const socket = await open(opener, loopback);
    const acceptors = [await greeter(socket.newTarget(), "a"), await greeter(socket.newTarget(), "a")];
    assert.equal(await ask(socket.address), "a");
    for (const acceptor of acceptors) acceptor.close();
    socket.close();
  });

  test("lets one worker alone accept on a Unix socket", async () => {
    const socket = await open(opener, { type: "pipe", path: join(folder, "c.sock") });
    const acceptor = await greeter(socket.newTarget(), "alone");
    assert.equal(socket.newTarget(), undefined);
    assert.equal(await ask(socket.address), "alone");
    acceptor.close();
    socket.close();
  });

  test("names the address that is in use", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const opened = await opener.open({ ...loopback, port }, { backlog: undefined });
    assert.equal(opened.ok, false);
    assert.match(opened.ok ? "" : opened.error, new RegExp(`127\\.0\\.0\\.1:${port}: the address is in use`));
    server.close();
  });
});

test("an acceptor on a dead descriptor says so", async () => {
  const reason = await new Promise<string>((resolve, reject) => {
    const options = { backlog: undefined, highWatermarkBytes: 1024, rewrap: true };
    new Acceptor({ type: "descriptor", descriptor: 1_000_000 }, options, {
      onListening: () => reject(new Error("it listens")),
      onConnection: (connection) => connection.destroy(),
      onStopped: (why, exhausted) => resolve(`${why} ${exhausted}`),
    });
  });
  assert.match(reason, /cannot listen on descriptor 1000000: .* false/);
});

test("IPv6 addresses are read group by group", () => {
  const hex = (text: string): string => Buffer.from(parseIPv6(text)).toString("hex");
  assert.equal(hex("::"), "0".repeat(32));
  assert.equal(hex("::1"), `${"0".repeat(31)}1`);
  assert.equal(hex("2001:db8::8:800:200c:417a"), "20010db80000000000080800200c417a");
  assert.equal(hex("1:2:3:4:5:6:7:8"), "00010002000300040005000600070008");
  assert.equal(hex("::ffff:192.0.2.1"), `${"0".repeat(20)}ffffc0000201`);
  assert.equal(hex("fe80::"), `fe80${"0".repeat(28)}`);
});
