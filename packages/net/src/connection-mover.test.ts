import assert from "node:assert/strict";
import { fstatSync, openSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { systemClock } from "@heddle/base";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { type ConnectionMover, connectionMover } from "./connection-mover.ts";
import { dial } from "./dial.ts";
import type { SocketAddress } from "./socket-address.ts";
import { SocketConnection } from "./socket-connection.ts";

const mover = await connectionMover();
const options = { side: "upstream" as const, highWatermarkBytes: 65536 };

/** Hears of one connection. */
class Ear implements ConnectionHandler {
  heard = "";
  ended = false;
  closed = 0;

  onData(bytes: Uint8Array): void {
    this.heard += Buffer.from(bytes).toString("latin1");
  }

  onEnd(): void {
    this.ended = true;
  }

  onDrain(): void {}

  onClose(): void {
    this.closed++;
  }
}

async function until(met: () => boolean): Promise<void> {
  const deadline = systemClock.now() + 30_000;
  while (!met()) {
    assert.ok(systemClock.now() < deadline, `it never became true: ${met}`);
    await new Promise<void>((resolve) => systemClock.after(1, resolve));
  }
}

describe("a connection that moves", { skip: mover === undefined && "no koffi here" }, () => {
  const { release, adopt, close } = mover as ConnectionMover;
  let server: Server;
  let peers: { socket: Socket; heard: string; ended: boolean }[];

  beforeEach(() => {
    peers = [];
    server = createServer({ allowHalfOpen: true }, (socket) => {
      const peer = { socket, heard: "", ended: false };
      peers.push(peer);
      socket.on("data", (bytes) => {
        peer.heard += bytes;
      });
      socket.on("end", () => {
        peer.ended = true;
        socket.end();
      });
    });
  });

  afterEach(async () => {
    for (const { socket } of peers) socket.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  });

  async function dialServer(path?: string): Promise<{ connection: Connection; ear: Ear }> {
    await new Promise<void>((resolve) =>
      path === undefined ? server.listen(0, "127.0.0.1", resolve) : server.listen(path, resolve),
    );
    const address: SocketAddress =
      path === undefined
        ? { type: "socket", address: "127.0.0.1", port: (server.address() as { port: number }).port }
        : { type: "pipe", path };
    const ear = new Ear();
    const connection = await new Promise<Connection>((resolve, reject) => {
      dial(
        address,
        { timeoutMs: 30_000, clock: systemClock, highWatermarkBytes: 65536 },
        {
          onConnected(made) {
            made.start(ear);
            resolve(made);
          },
          onFailed: reject,
        },
      );
    });
    await until(() => peers.length === 1);
    return { connection, ear };
  }

  for (const kind of ["TCP", "Unix"]) {
    test(`goes on where it was, and the peer sees nothing (${kind})`, async () => {
      const path = kind === "TCP" ? undefined : join(tmpdir(), `heddle-move-${process.pid}.sock`);
      const { connection, ear } = await dialServer(path);
      connection.writeLatin1("before ");
      await until(() => peers[0]?.heard === "before ");
      const descriptor = release(connection);
      assert.ok(descriptor >= 0);
      peers[0]?.socket.write("meanwhile ");
      await until(() => ear.closed === 1);
      assert.equal(connection.closed, true);

      const moved = adopt(descriptor, options);
      const second = new Ear();
      moved.start(second);
      moved.writeLatin1("after");
      await until(() => peers[0]?.heard === "before after" && second.heard === "meanwhile ");
      assert.equal(peers[0]?.ended, false);
      assert.equal(ear.heard, "");
      moved.end();
      await until(() => second.closed === 1);
      assert.equal(peers[0]?.ended, true);
      assert.equal(ear.closed, 1);
    });
  }

  test("does not read before it is started, and then meets an end that came on the way", async () => {
    const { connection, ear } = await dialServer();
    const descriptor = release(connection);
    peers[0]?.socket.end("bye");
    await until(() => ear.closed === 1);
    const moved = adopt(descriptor, options);
    const second = new Ear();
    moved.start(second);
    await until(() => second.ended);
    assert.equal(second.heard, "bye");
    moved.destroy();
    await until(() => second.closed === 1);
  });

  test("stays while bytes wait to be written, and once it is closed", async () => {
    const { connection, ear } = await dialServer();
    connection.writeLatin1("x");
    assert.equal(release(connection), -1);
    await until(() => peers[0]?.heard === "x");
    connection.destroy();
    assert.equal(release(connection), -1);
    await until(() => ear.closed === 1);
  });

  test("stays where there is no descriptor left, and goes on there", async () => {
    const { connection, ear } = await dialServer();
    assert.ok(connection instanceof SocketConnection);
    assert.equal(
      connection.detach(() => -1),
      -1,
    );
    peers[0]?.socket.write("still");
    await until(() => ear.heard === "still");
    connection.destroy();
    await until(() => ear.closed === 1);
  });

  test("ends when its descriptor is closed instead of adopted", async () => {
    const { connection } = await dialServer();
    close(release(connection));
    await until(() => peers[0]?.ended === true);
  });

  test("a descriptor that is no socket is closed and refused", () => {
    const file = openSync(new URL(import.meta.url), "r");
    assert.throws(() => adopt(file, options));
    assert.throws(() => fstatSync(file), { code: "EBADF" });
  });
});
