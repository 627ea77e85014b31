import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { RuntimeValues } from "@heddle/traffic";
import { openRuntimeFolders } from "./open-runtime-folders.ts";
import { readRuntimeFolder } from "./runtime-folder.ts";

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-runtime-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
}

test("each file is a value under its path: text, without comments, and fractions in either form", async (t) => {
  const folder = folderOf(t);
  write(folder, {
    "routing/shift": "# of June\n25\n",
    "flag.on": "true",
    "share/yaml": "numerator: 5\ndenominator: TEN_THOUSAND\n",
    "share/json": '{"denominator": "MILLION", "numerator": 7}',
    "text/half": "numerator: 5\nsomething: else",
    empty: "",
    "..data/hidden": "1",
  });
  execFileSync("mkfifo", [join(folder, "pipe")]); // nobody writes to it
  const read = await readRuntimeFolder(folder);
  assert.ok(read.ok);
  assert.deepEqual(read.value, {
    empty: "",
    "flag.on": "true",
    "routing.shift": "25",
    "share.json": { denominator: "MILLION", numerator: 7 },
    "share.yaml": { numerator: 5, denominator: "TEN_THOUSAND" },
    "text.half": "numerator: 5\nsomething: else",
  });
});

test("what is too large, too deep or not there is an error that says where", async (t) => {
  const folder = folderOf(t);
  write(folder, { large: "" });
  truncateSync(join(folder, "large"), 64 * 1024 + 1);
  const faults = async (path: string): Promise<string> => {
    const read = await readRuntimeFolder(path);
    return read.ok ? "" : read.error;
  };
  assert.match(await faults(folder), /large: found 65537 bytes, allowed are 65536/);
  for (let i = 0; i <= 64; i++) {
    write(folder, { [`many/${String(i).padStart(2, "0")}`]: "" });
    truncateSync(join(folder, "many", String(i).padStart(2, "0")), i < 64 ? 64 * 1024 : 1);
  }
  assert.match(
    await faults(join(folder, "many")),
    /many\/64: the files up to this one have 4194305 bytes, allowed are 4194304 in all/,
  );
  rmSync(join(folder, "many"), { recursive: true });
  rmSync(join(folder, "large"));
  write(folder, { [`${"a/".repeat(16)}b`]: "1" });
  assert.match(await faults(folder), /more than 16 deep/);
  assert.match(await faults(join(folder, "nowhere")), /ENOENT/);
});

test("the values change when the link is renamed over; what cannot be read changes nothing, and is counted and told once", async (t) => {
  const folder = folderOf(t);
  const clock = new ManualClock();
  const told: [string, RuntimeValues][] = [];
  const warnings: string[] = [];
  let failures = 0;
  write(folder, { "one/envoy/web/a": "1", "two/envoy/web/a": "2" });
  const pointTo = (name: string): void => {
    symlinkSync(join(folder, name), join(folder, "next"));
    renameSync(join(folder, "next"), join(folder, "current"));
  };
  pointTo("one");
  const layer = {
    name: "files",
    type: "disk",
    root: join(folder, "current"),
    subfolder: "envoy",
    byCluster: true,
  } as const;
  const follower = await openRuntimeFolders([{ name: "s", type: "static", values: {} }, layer], "web", {
    clock,
    log: { warn: (message: string) => warnings.push(message) } as unknown as Log,
    onValues: (...values) => told.push(values),
    onFailed: () => (failures += 1),
  });
  assert.deepEqual(told, [["files", { a: "1" }]], "before anything serves");
  /** A look is over when the next one waits. */
  const look = async (): Promise<void> => {
    clock.advance(500);
    while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
  };
  await look();
  assert.equal(told.length, 1);
  pointTo("two");
  await look();
  assert.deepEqual(told.at(-1), ["files", { a: "2" }]);
  pointTo("nowhere");
  await look();
  await look();
  assert.deepEqual([told.length, failures, warnings], [2, 1, ["runtime values cannot be read"]]);
  write(folder, { "three/envoy/other/a": "3" });
  pointTo("three");
  await look();
  assert.deepEqual([told.at(-1), failures], [["files", {}], 1], "there are none of this cluster any more");
  follower.close();
  assert.equal(clock.pending, 0);
});
