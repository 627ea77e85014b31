import assert from "node:assert/strict";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, test } from "node:test";
import { ManualClock, systemClock } from "@heddle/base";
import { dial } from "./dial.ts";
import { loadedLibc, loadLibc } from "./libc.ts";
import { testRewrap } from "./rewrap.ts";
import { acceptedPair, assertNothingLeft, dialledPair, freePort, Recorder } from "./testing-sockets.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function read(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let got = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk);
    got += chunk.length;
    if (got >= length) break;
  }
  return Buffer.concat(chunks);
}

afterEach(assertNothingLeft);

test("the self-test of re-wrapping passes on this Node", async () => {
  assert.equal(await testRewrap(), true);
});

for (const rewrap of [true, false]) {
  describe(rewrap ? "an accepted connection" : "an accepted connection without re-wrapping", () => {
    test("carries bytes both ways and ends in order", async () => {
      const { connection, peer, close } = await acceptedPair({ rewrap });
      const recorder = new Recorder(connection);
      peer.write("hello");
      await recorder.until(() => recorder.bytes.length === 5);
      assert.equal(recorder.bytes.toString(), "hello");
      connection.writeLatin1("to you\u00ff");
      assert.deepEqual(await read(peer, 7), Buffer.from("to you\u00ff", "latin1"));
      assert.equal(connection.bytesRead, 5);
      assert.equal(connection.bytesWritten, 7);
      assert.equal(connection.remoteAddress, "127.0.0.1");
      assert.equal(connection.remotePort, peer.localPort);
      peer.end();
      await recorder.until(() => recorder.ended === 1);
      connection.end();
      await recorder.untilClosed();
      assert.deepEqual(recorder.closed, [{ failure: undefined }]);
      assert.equal(connection.closed, true);
      peer.destroy();
      close();
    });

    test("goes on writing after the peer's FIN", async () => {
      const { connection, peer, close } = await acceptedPair({ rewrap });
      const recorder = new Recorder(connection);
      peer.end("question");
      await recorder.until(() => recorder.ended === 1);
      connection.writeLatin1("answer");
      connection.end();
      assert.equal((await read(peer, 6)).toString(), "answer");
      await recorder.untilClosed();
      peer.destroy();
      close();
    });

    test("goes on reading after its own FIN", async () => {
      const { connection, peer, close } = await acceptedPair({ rewrap });
      const recorder = new Recorder(connection);
      connection.end();
      peer.resume();
      await new Promise((resolve) => peer.once("end", resolve));
      peer.end("late");
      await recorder.until(() => recorder.ended === 1);
      assert.equal(recorder.bytes.toString(), "late");
      await recorder.untilClosed();
      close();
    });

    test("reads nothing while paused, and everything after", async () => {
      const { connection, peer, close } = await acceptedPair({ rewrap });
      const recorder = new Recorder(connection);
      connection.pause();
      peer.write("waiting");
      for (let i = 0; i < 20; i++) await turn();
      assert.equal(recorder.bytes.length, 0);
      connection.resume();
      await recorder.until(() => recorder.bytes.length === 7);
      connection.destroy();
      await recorder.untilClosed();
      peer.destroy();
      close();
    });

    test("can be looked at before it is served: what was put back comes again, before the rest", async () => {
      const { connection, peer, close } = await acceptedPair({ rewrap });
      const seen: string[] = [];
      const looked = new Promise<Recorder>((resolve) => {
        connection.start({
          onData(bytes) {
            seen.push(Buffer.from(bytes).toString());
            connection.release(bytes.subarray(5));
            const recorder = new Recorder(connection);
            assert.equal(recorder.chunks.length, 0); // never from within `start`
            resolve(recorder);
          },
          onEnd: () => assert.fail("released"),
          onDrain: () => assert.fail("released"),
          onClose: () => assert.fail("released"),
        });
      });
      peer.write("head,body");
      const recorder = await looked;
      peer.end(",rest");
      await recorder.until(() => recorder.ended === 1);
      assert.deepEqual(seen, ["head,body"]);
      assert.equal(recorder.bytes.toString(), "body,rest");
      assert.equal(connection.bytesRead, 9);
      connection.end();
      await recorder.untilClosed();
      close();
    });

    test("keeps what was put back while it is paused", async () => {
      const { connection, peer, close } = await acceptedPair({ rewrap });
      const looked = new Promise<Recorder>((resolve) => {
        connection.start({
          onData(bytes) {
            connection.release(bytes);
            const recorder = new Recorder(connection);
            connection.pause();
            resolve(recorder);
          },
          onEnd: () => undefined,
          onDrain: () => undefined,
          onClose: () => undefined,
        });
      });
      peer.write("first");
      const recorder = await looked;
      for (let i = 0; i < 20; i++) await turn();
      assert.equal(recorder.bytes.length, 0);
      connection.resume();
      connection.resume();
      await recorder.until(() => recorder.bytes.length === 5);
      peer.write("then");
      await recorder.until(() => recorder.bytes.length === 9);
      assert.equal(recorder.bytes.toString(), "firstthen");
      connection.destroy();
      await recorder.untilClosed();
      peer.destroy();
      close();
    });

    test("tells of the peer's reset as a failure of the downstream", async () => {
      const { connection, peer, close } = await acceptedPair({ rewrap });
      const recorder = new Recorder(connection);
      peer.resetAndDestroy();
      await recorder.untilClosed();
      assert.equal(recorder.closed[0]?.failure?.kind, "downstream-reset");
      assert.match(recorder.closed[0]?.failure?.detail ?? "", /ECONNRESET/);
      close();
    });

    test("a handler that throws loses its connection, and only that", async () => {
      const thrown: unknown[] = [];
      const { connection, peer, close } = await acceptedPair({ rewrap, onThrow: (error) => thrown.push(error) });
      const recorder = new Recorder(connection);
      recorder.onBytes = () => {
        throw new Error("broken handler");
      };
      peer.write("x");
      await recorder.untilClosed();
      assert.equal((thrown[0] as Error).message, "broken handler");
      assert.equal(thrown.length, 1);
      peer.destroy();
      close();
    });
  });
}

test("what is written in one turn arrives as one read, whatever the number of writes", async () => {
  const { connection, peer, close } = await acceptedPair();
  const recorder = new Recorder(connection);
  const reads: number[] = [];
  peer.on("data", (bytes) => reads.push(bytes.length));
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 50; i++) {
      connection.writeLatin1("0123456789");
      connection.writeBytes(Buffer.from("abcdefghij"));
    }
    while (reads.length < round + 1) await turn();
  }
  assert.deepEqual(reads, new Array(10).fill(1000));
  connection.destroy();
  await recorder.untilClosed();
  peer.destroy();
  close();
});

test("ten thousand small writes and some large ones keep their order", async () => {
  const { connection, peer, close } = await acceptedPair({ highWatermarkBytes: 1 << 30 });
  const recorder = new Recorder(connection);
  const expected: Buffer[] = [];
  peer.pause();
  for (let i = 0; i < 10_000; i++) {
    const line = Buffer.from(`line ${i}\n`.repeat(i % 500 === 0 ? 4000 : 1));
    expected.push(line);
    if (i % 2 === 0) connection.writeLatin1(line.toString("latin1"));
    else connection.writeBytes(line);
    if (i % 997 === 0) await turn();
  }
  connection.end();
  const all = Buffer.concat(expected);
  assert.deepEqual(await read(peer, all.length), all);
  assert.equal(connection.bytesWritten, all.length);
  assert.equal(connection.bytesQueued, 0);
  peer.end();
  await recorder.untilClosed();
  close();
});

test("the caller may overwrite a chunk as soon as writeBytes has returned", async () => {
  const { connection, peer, close } = await acceptedPair({ highWatermarkBytes: 1 << 30 });
  const recorder = new Recorder(connection);
  peer.pause();
  const chunk = Buffer.alloc(64 * 1024);
  const rounds = 200; // far beyond what the kernel's buffers take
  for (let i = 0; i < rounds; i++) {
    chunk.fill(i);
    connection.writeLatin1("h");
    connection.writeBytes(chunk);
  }
  const total = rounds * (chunk.length + 1);
  const got = await read(peer, total);
  assert.equal(got.length, total);
  for (let i = 0; i < rounds; i++) {
    const at = i * (chunk.length + 1);
    assert.equal(got[at], 0x68);
    assert.equal(got[at + 1], i & 0xff);
    assert.equal(got[at + chunk.length], i & 0xff);
  }
  connection.destroy();
  await recorder.untilClosed();
  peer.destroy();
  close();
});

test("a stalled reader stops the writer at the high watermark, and is told when to go on", async () => {
  const highWatermarkBytes = 128 * 1024;
  const { connection, peer, close } = await acceptedPair({ highWatermarkBytes });
  const recorder = new Recorder(connection);
  peer.pause();
  const chunk = Buffer.alloc(16 * 1024, "z");
  let sent = 0;
  const fill = (): void => {
    for (let going = true; going && sent < 64 << 20; sent += chunk.length) going = connection.writeBytes(chunk);
  };
  // The kernel may take more once it has passed on what it has, and on a busy machine it does that in its own time.
  let before: number;
  do {
    before = recorder.drained;
    fill();
    assert.ok(sent < 64 << 20, "the kernel never took all of that");
    assert.ok(connection.bytesQueued <= highWatermarkBytes + chunk.length, `${connection.bytesQueued} bytes queued`);
    for (let i = 0; i < 20; i++) await turn();
  } while (recorder.drained !== before);
  let got = 0;
  peer.on("data", (bytes) => {
    got += bytes.length;
  });
  peer.resume();
  await recorder.until(() => recorder.drained === before + 1);
  assert.ok(connection.bytesQueued <= highWatermarkBytes / 2);
  while (got < sent) await turn();
  assert.equal(recorder.drained, before + 1);
  connection.destroy();
  await recorder.untilClosed();
  peer.destroy();
  close();
});

test("a dialled connection whose peer resets it says that a reused connection may be tried again", async () => {
  const { connection, peer, close } = await dialledPair();
  const recorder = new Recorder(connection);
  peer.resetAndDestroy();
  await recorder.untilClosed();
  const { failure } = recorder.closed[0]!;
  assert.equal(failure?.kind, "reset-by-upstream");
  assert.equal(failure.side, "upstream");
  assert.equal(failure.retry, "if-connection-was-reused");
  close();
});

test("an answer that the peer sent before it reset the connection is read although writing already fails", async () => {
  const { connection, peer, close } = await dialledPair();
  const recorder = new Recorder(connection);
  // All in one turn: the answer lies in our receive buffer, the reset behind it, and we write before we read.
  peer.write("413 early answer");
  peer.resetAndDestroy();
  connection.writeBytes(Buffer.alloc(64 * 1024));
  assert.equal(recorder.bytes.length, 0);
  assert.equal(connection.bytesWritten, 0);
  await recorder.untilClosed();
  assert.equal(recorder.bytes.toString(), "413 early answer");
  assert.equal(recorder.closed[0]?.failure?.kind, "reset-by-upstream");
  assert.equal(recorder.ended, 0);
  close();
});

test("reset is seen as a reset by the peer", async () => {
  const { connection, peer, close } = await acceptedPair();
  const recorder = new Recorder(connection);
  const code = new Promise((resolve) => peer.on("error", (error: NodeJS.ErrnoException) => resolve(error.code)));
  peer.resume();
  connection.reset();
  assert.equal(await code, "ECONNRESET");
  await recorder.untilClosed();
  assert.deepEqual(recorder.closed, [{ failure: undefined }]);
  close();
});

test("what a peer has not read of what was ended ends with a reset, without libc too", async () => {
  assert.equal(loadedLibc(), undefined);
  const { connection, peer, close } = await acceptedPair();
  const recorder = new Recorder(connection);
  const code = new Promise((resolve) => {
    peer.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    peer.on("end", () => resolve("end"));
  });
  connection.writeBytes(Buffer.alloc(20 * 1024 * 1024));
  connection.end();
  await turn();
  assert.notEqual(connection.bytesQueued, 0);
  connection.reset();
  await recorder.untilClosed();
  peer.resume();
  assert.equal(await code, "ECONNRESET");
  close();
});

test("a connection that is reset in the turn of its end is closed, with a reset", async () => {
  assert.notEqual(await loadLibc(), undefined);
  for (const written of ["", "some"]) {
    const { connection, peer, close } = await acceptedPair();
    const recorder = new Recorder(connection);
    const code = new Promise((resolve) => peer.on("error", (error: NodeJS.ErrnoException) => resolve(error.code)));
    peer.resume();
    connection.writeLatin1(written);
    connection.end();
    connection.reset();
    await recorder.untilClosed();
    assert.deepEqual(recorder.closed, [{ failure: undefined }]);
    assert.equal(await code, "ECONNRESET");
    close();
  }
});

test("destroy sends a client what was written for it before", async () => {
  const { connection, peer, close } = await acceptedPair();
  const recorder = new Recorder(connection);
  connection.writeLatin1("sent");
  connection.destroy();
  assert.equal(String(await read(peer, 4)), "sent");
  await recorder.untilClosed();
  assert.equal(connection.bytesWritten, 4);
  peer.destroy();
  close();
});

for (const end of ["destroy", "reset"] as const) {
  test(`${end} of an upstream connection drops what was not flushed and answers with one onClose, later`, async () => {
    const { connection, peer, close } = await dialledPair();
    peer.on("error", () => {});
    const recorder = new Recorder(connection);
    connection.writeLatin1("never sent");
    connection[end]();
    connection[end]();
    assert.equal(recorder.closed.length, 0);
    assert.equal(connection.writeBytes(Buffer.from("ignored")), true);
    await recorder.untilClosed();
    assert.equal(connection.bytesWritten, 0);
    assert.equal(recorder.closed.length, 1);
    peer.destroy();
    close();
  });
}

describe("dialling", () => {
  const address = (port: number) => ({ type: "socket" as const, address: "127.0.0.1", port });

  test("a closed port is refused, and trying elsewhere is safe", async () => {
    const port = await freePort();
    const failure = await new Promise<{ kind: string; retry: string; detail: string }>((resolve) =>
      dial(
        address(port),
        { timeoutMs: 30_000, clock: systemClock, highWatermarkBytes: 1 },
        { onConnected: (c) => c.destroy(), onFailed: resolve },
      ),
    );
    assert.equal(failure.kind, "connect-refused");
    assert.equal(failure.retry, "safe");
    assert.equal(failure.detail, `127.0.0.1:${port}: ECONNREFUSED`);
  });

  test("what does not connect in time fails with connect-timeout", async () => {
    const clock = new ManualClock();
    const failures: string[] = [];
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    dial(
      address(port),
      { timeoutMs: 250, clock, highWatermarkBytes: 1 },
      { onConnected: () => failures.push("connected"), onFailed: (failure) => failures.push(failure.kind) },
    );
    clock.advance(250); // before the event loop could connect
    for (let i = 0; i < 20; i++) await turn();
    assert.deepEqual(failures, ["connect-timeout"]);
    assert.equal(clock.pending, 0);
    server.close();
  });

  test("a cancelled attempt is silent and leaves nothing behind", async () => {
    const clock = new ManualClock();
    const port = await freePort();
    const heard: string[] = [];
    const dialling = dial(
      address(port),
      { timeoutMs: 250, clock, highWatermarkBytes: 1 },
      { onConnected: () => heard.push("connected"), onFailed: () => heard.push("failed") },
    );
    dialling.cancel();
    for (let i = 0; i < 20; i++) await turn();
    assert.deepEqual(heard, []);
    assert.equal(clock.pending, 0);
  });

  test("a Unix socket that is not there is refused", async () => {
    const failure = await new Promise<{ kind: string }>((resolve) =>
      dial(
        { type: "pipe", path: "/nonexistent/socket" },
        { timeoutMs: 30_000, clock: systemClock, highWatermarkBytes: 1 },
        { onConnected: (c) => c.destroy(), onFailed: resolve },
      ),
    );
    assert.equal(failure.kind, "connect-refused");
  });
});
