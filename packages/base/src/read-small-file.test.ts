import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readSmallFile } from "./read-small-file.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-small-file-"));
after(() => rmSync(folder, { recursive: true }));

const errorOf = (path: string, maxBytes = 10): string => {
  const read = readSmallFile(path, maxBytes);
  assert.ok(!read.ok, path);
  return read.error;
};

test("a file is read up to the bytes that are allowed, and not one more", () => {
  const path = join(folder, "file");
  for (const length of [0, 1, 10]) {
    writeFileSync(path, "x".repeat(length));
    const read = readSmallFile(path, 10);
    assert.equal(read.ok && read.value.toString("latin1"), "x".repeat(length));
  }
  writeFileSync(path, "x".repeat(11));
  assert.equal(errorOf(path), "has 11 bytes, allowed are 10");
  assert.equal(errorOf(join(folder, "none")), "cannot be read (ENOENT)");
});

test("a file that does not say how long it is, is read whole, or refused where it has too much", () => {
  const read = readSmallFile("/proc/self/status", 1_000_000);
  assert.match(read.ok ? read.value.toString("latin1") : read.error, /^Name:.*voluntary_ctxt_switches:/s);
  assert.equal(errorOf("/proc/self/status"), "has more than the 10 bytes that are allowed");
});

test("what is no file is refused at once: a folder, a pipe that nobody writes into, a device without end", () => {
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  assert.equal(errorOf(folder), "is a folder");
  assert.equal(errorOf(pipe), "is no file");
  assert.equal(errorOf("/dev/zero"), "is no file");
});
