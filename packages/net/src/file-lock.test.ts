import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { lockByCommand, lockFile } from "./file-lock.ts";
import { loadLibc } from "./libc.ts";

const noKoffi = (await loadLibc()) === undefined && "koffi cannot be loaded here";
const noCommand = spawnSync("flock", ["--version"]).status !== 0 && "flock(1) is not installed";

for (const { what, first, second, skip } of [
  { what: "the system call", first: lockFile, second: lockFile, skip: noKoffi },
  { what: "flock(1)", first: lockByCommand, second: lockByCommand, skip: noCommand },
  { what: "one as the other sees it", first: lockByCommand, second: lockFile, skip: noKoffi || noCommand },
])
  test(`a file has one lock at a time, until who has it closes it: ${what}`, { skip }, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "heddle-lock-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const [one, other] = [await open(join(folder, "lock"), "a"), await open(join(folder, "lock"), "a")];
    t.after(() => other.close());
    assert.equal(await first(one.fd), "locked");
    assert.equal(await second(other.fd), "taken");
    await one.close();
    assert.equal(await second(other.fd), "locked");
  });
