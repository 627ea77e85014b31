import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { AccessLogWriter } from "./access-log-writer.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-log-"));
after(() => rmSync(folder, { recursive: true }));

class Count {
  value = 0;
  add(by = 1): void {
    this.value += by;
  }
}

function open(name: string, more: { maxQueued?: number } = {}) {
  const clock = new ManualClock();
  const dropped = new Count();
  const errors: unknown[] = [];
  const path = join(folder, name);
  const opened = AccessLogWriter.toFile(path, { clock, dropped, onError: (error) => errors.push(error), ...more });
  assert.ok(opened.ok);
  return { writer: opened.value, clock, dropped, errors, read: () => readFileSync(path, "utf8") };
}

async function until(met: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000 && !met(); turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(met());
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

test("a write that fails is counted and told once", async () => {
  const clock = new ManualClock();
  const dropped = new Count();
  const errors: unknown[] = [];
  const writer = new AccessLogWriter(1_000_000, false, { clock, dropped, onError: (error) => errors.push(error) });
  for (let i = 0; i < 3; i++) {
    writer.write("lost\n");
    clock.advance(1000);
    await until(() => dropped.value === i + 1);
  }
  assert.equal(errors.length, 1);
  writer.close();
});

test("a file that cannot be opened is an error with its path", () => {
  const opened = AccessLogWriter.toFile(join(folder, "no", "such"), { clock: new ManualClock(), dropped: new Count() });
  assert.match(opened.ok ? "" : opened.error, /access log .*such: ENOENT/);
});
