import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { createLog, type Log } from "@heddle/telemetry";
import { DiskFolder } from "./log/disk-folder.ts";
import { encodeFrame } from "./log/frame.ts";
import { type FolderStep, MemoryFolder, WatchedFolder } from "./log/testing-folder.ts";
import { LogStore, type LogStoreOptions } from "./log-store.ts";
import { committed, contents, put, remove, storeContract } from "./store-contract.ts";
import { STORE_LIMITS } from "./store-limits.ts";

for (const { what, minLogBytes } of [
  { what: "a log", minLogBytes: 4 << 20 },
  { what: "a log that is snapshotted as often as can be", minLogBytes: 0 },
])
  storeContract(what, async () => {
    const path = mkdtempSync(join(tmpdir(), "heddle-store-"));
    const folder = new WatchedFolder(new DiskFolder(join(path, "store")));
    return {
      make: () => new LogStore({ folder, log: silent, minLogBytes }),
      maxBatchChanges: STORE_LIMITS.maxBatchChanges,
      breakDown: async () => {
        folder.before = failing("write", "ENOSPC: no space left on device, write");
      },
      dispose: async () => rmSync(path, { recursive: true }),
    };
  });

test("batches that come while one is written share the next frame, and its fsync", async (t) => {
  const folder = new WatchedFolder(new MemoryFolder());
  const store = await open(t, { folder });
  const syncs: string[] = [];
  folder.after = ({ what, name }) => {
    if (what === "sync file") syncs.push(name);
  };
  const first = committed(store.commit([put("first", "1")]));
  while (syncs.length === 0) await Promise.resolve(); // the first is on its way alone
  await Promise.all([first, ...Array.from({ length: 100 }, (_, i) => committed(store.commit([put(`${i}`, "1")])))]);
  assert.equal(syncs.length, 2);
});

test("what may not be committed together is judged one behind the other, though one frame holds it", async (t) => {
  const store = await open(t, {});
  const outcomes = await Promise.all([
    store.commit([put("a", "1", 0)]),
    store.commit([put("a", "2", 1)]),
    store.commit([put("a", "3", 1)]),
    store.commit([remove("a", 2)]),
    store.commit([put("a", "4", 0)]),
  ]);
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.type === "committed" ? outcome.revision : outcome.type)),
    [1, 2, "conflict", 3, 4],
  );
  assert.deepEqual(contents(store), { a: "4" });
});

test("a full disk costs the batch, and the next one is taken when there is room again", async (t) => {
  const memory = new MemoryFolder();
  const folder = new WatchedFolder(memory);
  const store = await open(t, { folder });
  await committed(store.commit([put("a", "1")]));
  const before = memory.seen;
  folder.before = failing("write", "ENOSPC: no space left on device, write");
  assert.deepEqual(await store.commit([put("a", "2")]), {
    type: "unavailable",
    message: "the log cannot be written: ENOSPC: no space left on device, write",
  });
  assert.match(store.trouble ?? "", /ENOSPC/);
  assert.deepEqual(memory.seen, before);
  folder.before = () => {};
  assert.equal(await committed(store.commit([put("a", "3")])), 2);
  assert.equal(store.trouble, undefined);
});

for (const { what, fail } of [
  { what: "an fsync that fails", fail: ["sync file"] },
  { what: "a write that cannot be taken back", fail: ["write", "truncate"] },
] as const)
  test(`${what} ends the writing until the store is opened anew`, async (t) => {
    const memory = new MemoryFolder();
    const folder = new WatchedFolder(memory);
    const store = await open(t, { folder });
    await committed(store.commit([put("a", "1")]));
    folder.before = (step) => {
      for (const kind of fail) failing(kind, "EIO: i/o error")(step);
    };
    assert.equal((await store.commit([put("a", "2")])).type, "unavailable");
    folder.before = () => {};
    const outcome = await store.commit([put("a", "3")]);
    assert.equal(outcome.type, "unavailable");
    assert.match(
      outcome.type === "unavailable" ? outcome.message : "",
      /EIO.*until the control plane has been started/,
    );
    assert.deepEqual(contents(store), { a: "1" });
    await store.close();
    const next = await open(t, { folder });
    assert.deepEqual(contents(next), { a: "1" });
    await committed(next.commit([put("a", "4")]));
  });

test("a snapshot that finds no room leaves no file behind, and is tried again later", async (t) => {
  const memory = new MemoryFolder();
  const folder = new WatchedFolder(memory);
  const store = await open(t, { folder, minLogBytes: 100 });
  folder.before = (step) => {
    if (step.name.startsWith("snapshot")) failing("write", "ENOSPC")(step);
  };
  for (let i = 0; i < 20; i++) await committed(store.commit([put("a", `${i}`)]));
  assert.ok(![...memory.seen.keys()].some((name) => name.startsWith("snapshot")));
  assert.equal(store.trouble, undefined);
  folder.before = () => {};
  for (let i = 20; i < 40; i++) await committed(store.commit([put("a", `${i}`)]));
  await store.close();
  const names = [...memory.seen.keys()];
  assert.deepEqual(names.map((name) => name.split("-")[0]).sort(), ["log", "snapshot"]);
  assert.deepEqual(contents(await open(t, { folder })), { a: "39" });
});

test("what is stored does not grow with what was", async (t) => {
  const memory = new MemoryFolder();
  const store = await open(t, { folder: memory, minLogBytes: 1000 });
  for (let i = 0; i < 500; i++) await committed(store.commit([put(`key-${i % 4}`, "x".repeat(100))]));
  await store.close();
  const bytes = [...memory.seen.values()].reduce((sum, file) => sum + file.length, 0);
  assert.ok(bytes < 4000, `${bytes} bytes for 4 entries of 100`);
});

test("a store that would grow over a limit refuses, and takes what makes it smaller", async (t) => {
  const limits = { ...STORE_LIMITS, maxEntries: 2, maxTotalBytes: 20 };
  const store = await open(t, { limits });
  await committed(store.commit([put("a", "1"), put("b", "1")]));
  assert.deepEqual(await store.commit([put("c", "1")]), {
    type: "refused",
    message: "the store would hold 3 entries; allowed: 2",
  });
  assert.deepEqual(await store.commit([put("b", "x".repeat(30))]), {
    type: "refused",
    message: "the store would hold 33 bytes; allowed: 20",
  });
  await committed(store.commit([remove("a"), put("c", "1")]));
});

test("a second process is refused the folder, and gets it when the first has let go", async (t) => {
  const path = scratch(t);
  const store = await open(t, { folder: new DiskFolder(path) });
  const second = new LogStore({ folder: new DiskFolder(path), log: silent });
  await assert.rejects(second.start(), { message: /is in use by another process/ });
  await store.close();
  const third = await open(t, { folder: new DiskFolder(path) });
  await committed(third.commit([put("a", "1")]));
});

test("nobody else may read what is stored", async (t) => {
  const path = join(scratch(t), "made/on/the/way");
  const store = await open(t, { folder: new DiskFolder(path), minLogBytes: 0 });
  for (let i = 0; i < 3; i++) await committed(store.commit([put("a", "secret")]));
  await store.close();
  assert.equal(statSync(path).mode & 0o777, 0o700);
  for (const name of readdirSync(path)) assert.equal(statSync(join(path, name)).mode & 0o777, 0o600, name);
});

test("no file is made through a symbolic link", async (t) => {
  const path = scratch(t);
  writeFileSync(join(path, "victim"), "theirs");
  symlinkSync(join(path, "victim"), join(path, "log"));
  await assert.rejects(new DiskFolder(path).create("log"), { code: "ELOOP" });
  assert.equal(readFileSync(join(path, "victim"), "utf8"), "theirs");
});

test("a folder that cannot be made says so, and nothing is left open", async (t) => {
  const path = join(scratch(t), "file");
  writeFileSync(path, "in the way");
  const store = new LogStore({ folder: new DiskFolder(join(path, "store")), log: silent });
  await assert.rejects(store.start(), /ENOTDIR.*file/);
  await store.close();
});

test("files of others in the folder are left alone", async (t) => {
  const memory = new MemoryFolder(
    new Map([
      ["notes.txt", Buffer.from("mine")],
      ["log-1", Buffer.from("mine")],
    ]),
  );
  const store = await open(t, { folder: memory, minLogBytes: 0 });
  for (let i = 0; i < 3; i++) await committed(store.commit([put("a", "1")]));
  await store.close();
  assert.equal(memory.seen.get("notes.txt")?.toString(), "mine");
  assert.equal(memory.seen.get("log-1")?.toString(), "mine");
});

test("damage is refused with file, place and remedy; with data loss accepted, what came before goes on", async (t) => {
  const memory = new MemoryFolder();
  const store = await open(t, { folder: memory });
  for (const value of ["1", "2", "3"]) await committed(store.commit([put("a", value)]));
  await store.close();
  const [name, bytes] = [...memory.seen][0]!;
  const second = 20 + frameBytes("1");
  const damaged = new Map([[name, flipped(bytes, second + 20)]]);

  const refused = new LogStore({ folder: new MemoryFolder(damaged), log: silent });
  await assert.rejects(refused.start(), {
    name: "Error",
    message: new RegExp(`^/memory/${name} is damaged at byte ${second}: .*--store-accept-data-loss`),
  });

  const folder = new MemoryFolder(damaged);
  const accepted = await open(t, { folder, acceptDataLoss: true });
  assert.deepEqual(contents(accepted), { a: "1" });
  assert.ok((await committed(accepted.commit([put("b", "1")]))) > 1_000_000);
  await accepted.close();
  assert.deepEqual(folder.seen.get(`damaged-${name}`), damaged.get(name));
  const next = await open(t, { folder });
  assert.deepEqual(contents(next), { a: "1", b: "1" });
});

const silent: Log = createLog({ level: "off", format: "text", clock: new ManualClock(), write: () => {} });

async function open(t: TestContext, options: Partial<LogStoreOptions>): Promise<LogStore> {
  const store = new LogStore({ folder: new MemoryFolder(), log: silent, ...options });
  await store.start();
  t.after(() => store.close());
  return store;
}

function scratch(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "heddle-store-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

function failing(what: FolderStep["what"], message: string): (step: FolderStep) => void {
  return (step) => {
    if (step.what === what) throw new Error(message);
  };
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 0x10;
  return copy;
}

/** Of the frame of a batch that puts such a value under "a". */
function frameBytes(value: string): number {
  return encodeFrame(1, new Uint8Array(8 + 1 + 5 + 4 + value.length)).length;
}
