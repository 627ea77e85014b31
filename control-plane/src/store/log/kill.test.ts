import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { createLog } from "@heddle/telemetry";
import { LogStore } from "../log-store.ts";
import { DiskFolder } from "./disk-folder.ts";

/** Commits for ever, four at a time, and says each revision once it has been told of it. */
const COMMITTER = `
  const { LogStore } = await import(${JSON.stringify(new URL("../log-store.ts", import.meta.url).href)});
  const { DiskFolder } = await import(${JSON.stringify(new URL("./disk-folder.ts", import.meta.url).href)});
  const log = { with: () => log, info() {}, warn() {}, error() {} };
  const store = new LogStore({ folder: new DiskFolder(process.argv[1]), log, minLogBytes: 3000 });
  await store.start();
  let next = store.revision;
  const commitOne = async () => {
    const number = ++next;
    const outcome = await store.commit([
      { key: "last", value: Buffer.from(String(number)) },
      { key: "key-" + (number % 7), value: Buffer.alloc(number % 200, number) },
    ]);
    if (outcome.type !== "committed" || outcome.revision !== number) throw new Error(JSON.stringify(outcome));
    process.stdout.write(number + "\\n");
  };
  for (;;) await Promise.all([commitOne(), commitOne(), commitOne(), commitOne()]);
`;

test("a process that is killed while it commits has lost nothing that it was told is kept", async (t) => {
  const path = mkdtempSync(join(tmpdir(), "heddle-store-"));
  t.after(() => rmSync(path, { recursive: true }));
  const log = createLog({ level: "off", format: "text", clock: new ManualClock(), write: () => {} });
  let before = 0;
  for (const commits of [57, 303]) {
    const told = await killAfter(path, commits);
    assert.ok(told >= before + commits);
    const store = new LogStore({ folder: new DiskFolder(path), log });
    await store.start();
    const { revision, entries } = store;
    await store.close();
    assert.ok(revision >= told && revision <= told + 4, `told of ${told}, found ${revision}`);
    const text = (key: string) => Buffer.from(entries!.get(key)!.value);
    assert.equal(text("last").toString(), `${revision}`);
    for (let number = revision; number > revision - 7; number--)
      assert.ok(text(`key-${number % 7}`).equals(Buffer.alloc(number % 200, number)), `of revision ${number}`);
    before = revision;
  }
});

/** Gives the last revision that the process has told before it was killed. */
async function killAfter(path: string, commits: number): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, "--input-type=module", "-e", COMMITTER, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let lines = 0;
  let last = 0;
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => {
    last = Number(line);
    if (++lines === commits) child.kill("SIGKILL");
  });
  await Promise.all([once(child, "exit"), once(reader, "close")]);
  return last;
}
