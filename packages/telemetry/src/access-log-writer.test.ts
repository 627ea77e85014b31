import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ManualClock, systemClock } from "@heddle/base";
import { AccessLogWriter } from "./access-log-writer.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-log-"));
after(() => rmSync(folder, { recursive: true }));

class Count {
  value = 0;
  add(by = 1): void {
    this.value += by;
  }
  set(to: number): void {
    this.value = to;
  }
}

function counts() {
  return {
    writeBuffered: new Count(),
    writeCompleted: new Count(),
    writeFailed: new Count(),
    flushedByTimer: new Count(),
    reopenFailed: new Count(),
    writeTotalBuffered: new Count(),
    dropped: new Count(),
  };
}

function open(name: string, more: { maxQueued?: number; flush?: { afterMs: number; at: number } } = {}) {
  const clock = new ManualClock();
  const stats = counts();
  const errors: unknown[] = [];
  const path = join(folder, name);
  const opened = AccessLogWriter.toFile(path, { clock, stats, onError: (error) => errors.push(error), ...more });
  assert.ok(opened.ok);
  const read = (): string => readFileSync(path, "utf8");
  return { writer: opened.value, clock, stats, dropped: stats.dropped, errors, path, read };
}

async function until(met: () => boolean): Promise<void> {
  const deadline = systemClock.now() + 30_000;
  while (!met()) {
    assert.ok(systemClock.now() < deadline, `it never became true: ${met}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("lines wait for each other, and leave together when the time is up", async () => {
  const { writer, clock, read } = open("gather");
  writer.write("one\n");
  writer.write("two\n");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(read(), "");
  clock.advance(1000);
  await until(() => read() === "one\ntwo\n");
  writer.close();
  assert.equal(clock.pending, 0);
});

test("many lines do not wait for the time", async () => {
  const { writer, read } = open("many");
  const line = `${"x".repeat(999)}\n`;
  for (let i = 0; i < 70; i++) writer.write(line);
  await until(() => read().length > 0);
  writer.close();
  await until(() => read().length === 70_000);
});

test("what is too much is dropped and counted, and every other line arrives whole", async () => {
  const { writer, dropped, read, clock } = open("drop", { maxQueued: 100_000 });
  const line = `${"y".repeat(999)}\n`;
  for (let i = 0; i < 1000; i++) writer.write(line);
  assert.ok(dropped.value > 0);
  clock.advance(1000);
  await until(() => read().length === (1000 - dropped.value) * 1000);
  writer.close();
  assert.ok(
    read()
      .split("\n")
      .every((part) => part === "" || part === line.trim()),
  );
});

test("close writes the rest before it returns", () => {
  const { writer, clock, dropped, read } = open("close");
  writer.write("last words, grüße\n");
  writer.close();
  assert.equal(read(), "last words, grüße\n");
  assert.equal(clock.pending, 0);
  writer.write("too late\n");
  assert.equal(dropped.value, 1);
});

test("at its end what waits is written in its order, and then the file is closed", async () => {
  const { writer, read, clock, stats } = open("end", { flush: { afterMs: 1000, at: 5 } });
  writer.write("first\n"); // on its way at once
  writer.write("2\n");
  writer.write("3\n");
  writer.end();
  writer.write("too late\n");
  await until(() => read() === "first\n2\n3\n");
  assert.equal(stats.dropped.value, 1);
  assert.equal(clock.pending, 0);
  writer.end();
  writer.close();
});

test("at its end nobody waits for a reader that is stuck", async () => {
  const path = join(folder, "stuck-end");
  execFileSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const { writer, clock, stats } = open("stuck-end");
  for (let i = 0; i < 300; i++) writer.write(`${"z".repeat(999)}\n`);
  writer.end();
  await until(() => {
    clock.advance(100);
    return stats.dropped.value === 300; // some of their bytes have left, and none is known to have arrived
  });
  assert.equal(clock.pending, 0);
  closeSync(reader);
});

test("a write that fails is counted and told once", async () => {
  const clock = new ManualClock();
  const stats = counts();
  const errors: unknown[] = [];
  const nowhere = { fd: 1_000_000, owned: false };
  const writer = new AccessLogWriter(nowhere, () => nowhere, { clock, stats, onError: (error) => errors.push(error) });
  for (let i = 0; i < 3; i++) {
    writer.write("lost\n");
    clock.advance(1000);
    await until(() => stats.dropped.value === i + 1);
  }
  assert.equal(errors.length, 1);
  assert.equal(stats.writeFailed.value, 3);
  writer.close();
});

test("how many wait and how long is for the flags to say, and all of it is counted", async () => {
  const { writer, clock, read, stats } = open("flags", { flush: { afterMs: 200, at: 8 } });
  writer.write("one\n");
  assert.equal(stats.writeTotalBuffered.value, 4);
  writer.write("two\n");
  await until(() => stats.writeCompleted.value === 1);
  assert.equal(read(), "one\ntwo\n");
  writer.write("x\n");
  clock.advance(200);
  await until(() => stats.writeCompleted.value === 2);
  assert.equal(read(), "one\ntwo\nx\n");
  assert.deepEqual(
    [stats.writeBuffered, stats.writeCompleted, stats.flushedByTimer, stats.writeTotalBuffered].map((c) => c.value),
    [3, 2, 1, 0],
  );
  writer.close();
});

test("a file that was moved away is made again when it is reopened; what waited goes to the new one", async () => {
  const { writer, path, read, clock } = open("rotated");
  writer.write("old\n");
  clock.advance(1000);
  await until(() => read() === "old\n");
  writer.write("waiting\n");
  renameSync(path, `${path}.1`);
  writer.reopen();
  clock.advance(1000);
  await until(() => read() === "waiting\n");
  assert.equal(readFileSync(`${path}.1`, "utf8"), "old\n");
  writer.close();
});

test("where a file cannot be opened again the old one is kept", async () => {
  const { writer, path, stats, clock, errors } = open("kept");
  renameSync(path, `${path}.1`);
  mkdirSync(path);
  writer.reopen();
  assert.equal(stats.reopenFailed.value, 1);
  assert.equal(errors.length, 1);
  writer.write("still\n");
  clock.advance(1000);
  await until(() => readFileSync(`${path}.1`, "utf8") === "still\n");
  writer.close();
});

test("a FIFO that nobody reads holds nothing up: lines wait until somebody does", async () => {
  const path = join(folder, "fifo");
  execFileSync("mkfifo", [path]);
  const { writer, clock, stats, errors } = open("fifo", { maxQueued: 20 });
  writer.write("0123456789\n");
  writer.write("too much\n");
  writer.write("dropped\n");
  assert.equal(stats.dropped.value, 1);
  clock.advance(1000); // nobody there yet
  assert.equal(errors.length, 1);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  clock.advance(1000);
  await until(() => stats.writeCompleted.value === 1);
  const buffer = Buffer.alloc(100);
  assert.equal(buffer.toString("utf8", 0, readSync(reader, buffer)), "0123456789\ntoo much\n");
  writer.close();
  closeSync(reader);
});

test("a FIFO whose reader is stuck costs lines and nothing else", async () => {
  const path = join(folder, "stuck");
  execFileSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const { writer, clock, stats } = open("stuck", { maxQueued: 200_000 });
  const line = `${"z".repeat(999)}\n`;
  for (let i = 0; i < 500; i++) writer.write(line);
  assert.ok(stats.dropped.value > 0);
  const taken = 500 - stats.dropped.value;
  let bytes = 0;
  const buffer = Buffer.alloc(65_536);
  await until(() => {
    clock.advance(10);
    try {
      bytes += readSync(reader, buffer);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "EAGAIN");
    }
    return bytes === taken * 1000;
  });
  writer.close();
  closeSync(reader);
});

test("a file that cannot be opened is an error with its path", () => {
  const opened = AccessLogWriter.toFile(join(folder, "no", "such"), { clock: new ManualClock(), stats: counts() });
  assert.match(opened.ok ? "" : opened.error, /access log .*such: ENOENT/);
});
