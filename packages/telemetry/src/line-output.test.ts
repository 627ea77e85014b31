import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, constants, existsSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { LineOutput } from "./line-output.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-output-"));
after(() => rmSync(folder, { recursive: true }));

/** Both ends of a pipe, neither of which blocks. */
function pipe(name: string): { readonly input: number; readonly output: number } {
  const path = join(folder, name);
  execFileSync("mkfifo", [path]);
  const input = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { input, output: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) };
}

/** All that lies in the pipe. */
function readAll(descriptor: number): string {
  const chunk = Buffer.alloc(1 << 20);
  let text = "";
  for (;;) {
    try {
      const length = readSync(descriptor, chunk);
      if (length === 0) return text;
      text += chunk.toString("latin1", 0, length);
    } catch {
      return text;
    }
  }
}

const line = (n: number): string => `${String(n).padStart(5, "0")} ${"x".repeat(993)}\n`;

describe("a line output", { skip: process.platform === "win32" }, () => {
  test("writes a line at once where it can", () => {
    const { input, output } = pipe("once");
    const clock = new ManualClock();
    const out = new LineOutput(output, { clock });
    out.write("hello\n");
    assert.equal(readAll(input), "hello\n");
    assert.equal(clock.pending, 0);
    closeSync(input);
    closeSync(output);
  });

  test("keeps lines whole and in order for a reader that is slow", () => {
    const { input, output } = pipe("slow");
    const clock = new ManualClock();
    const out = new LineOutput(output, { clock });
    for (let n = 0; n < 150; n++) out.write(line(n)); // more than a pipe holds
    let got = readAll(input);
    assert.ok(got.length < 150_000, "the pipe was full");
    for (let turn = 0; turn < 10; turn++) {
      clock.advance(50);
      got += readAll(input);
    }
    assert.equal(got, Array.from({ length: 150 }, (_, n) => line(n)).join(""));
    assert.equal(out.dropped, 0);
    assert.equal(clock.pending, 0, "nothing waits any more");
    closeSync(input);
    closeSync(output);
  });

  test("holds a bounded amount for a reader that never reads, counts what it drops, and tells it afterwards", () => {
    const { input, output } = pipe("stuck");
    const clock = new ManualClock();
    const out = new LineOutput(output, {
      clock,
      maxQueuedBytes: 10_000,
      describeLoss: (dropped) => `${dropped} lines lost\n`,
    });
    for (let n = 0; n < 500; n++) out.write(line(n));
    assert.ok(out.dropped > 400 && out.dropped < 450, `${out.dropped} dropped of 500, 64 in the pipe and 10 held`);
    const { dropped } = out;
    let got = readAll(input);
    clock.advance(50);
    got += readAll(input);
    assert.equal(got.length, (500 - dropped) * 1000);
    out.write("back again\n");
    assert.equal(readAll(input), `${dropped} lines lost\nback again\n`);
    closeSync(input);
    closeSync(output);
  });

  test("a reader that has gone costs lines and nothing else", () => {
    const { input, output } = pipe("gone");
    closeSync(input);
    const clock = new ManualClock();
    const out = new LineOutput(output, { clock });
    for (let n = 0; n < 10; n++) out.write(line(n));
    assert.equal(out.dropped, 10);
    let counted = 0;
    out.countIn({ add: (by = 1) => void (counted += by) });
    out.write("lost too\n");
    assert.equal(counted, 11, "also what was lost before anybody counted");
    assert.equal(clock.pending, 0);
    closeSync(output);
  });

  test("a full disk costs lines and nothing else", { skip: !existsSync("/dev/full") }, () => {
    const full = openSync("/dev/full", "w");
    const out = new LineOutput(full, { clock: new ManualClock() });
    out.write("lost\n");
    out.write("lost\n");
    assert.equal(out.dropped, 2);
    closeSync(full);
  });

  test("what still waits at the end is tried once more, and counted", () => {
    const { input, output } = pipe("end");
    const clock = new ManualClock();
    const out = new LineOutput(output, { clock });
    for (let n = 0; n < 100; n++) out.write(line(n));
    out.close();
    assert.ok(out.dropped > 0);
    assert.equal(clock.pending, 0);
    closeSync(input);
    closeSync(output);
  });
});
