import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { createLog } from "@heddle/telemetry";
import { LogStore } from "../log-store.ts";
import type { StoreChange } from "../store.ts";
import { committed, contents, put, remove } from "../store-contract.ts";
import { recover } from "./recover.ts";
import { type FolderStep, MemoryFolder, WatchedFolder } from "./testing-folder.ts";

/*
 * A store that commits and writes snapshots, stopped at every step that it asks of its folder and at every byte of every
 * write. Whatever is found then must hold each batch whose commit was told, and otherwise only batches that were asked for.
 */

interface Crash {
  readonly at: string;
  readonly files: ReadonlyMap<string, Buffer>;
  /** The last revision that somebody had been told of. */
  readonly told: number;
  /** The last revision that had been asked for. */
  readonly asked: number;
}

const log = createLog({ level: "off", format: "text", clock: new ManualClock(), write: () => {} });

/** Every crash of a run over a folder that holds such files at first; and what the store held at each revision. */
async function crashes(first: ReadonlyMap<string, Buffer>, batches: readonly (readonly StoreChange[])[], told = 0) {
  const memory = new MemoryFolder(first);
  const folder = new WatchedFolder(memory);
  const found: Crash[] = [];
  const states = new Map<number, Record<string, string>>();
  let asked = told;
  const stop = (at: string, files: ReadonlyMap<string, Buffer>): void => {
    found.push({ at, files, told, asked });
  };
  folder.before = (step) => {
    const at = `before ${step.what} ${step.name}`;
    stop(at, memory.seen);
    for (const files of memory.afterPowerFailure) stop(`${at}, power failure`, files);
    for (const files of halfWritten(memory.seen, step)) stop(`within ${step.what} ${step.name}`, files);
  };
  folder.after = ({ what, name }) => {
    stop(`after ${what} ${name}`, memory.seen);
    for (const files of memory.afterPowerFailure) stop(`after ${what} ${name}, power failure`, files);
  };
  const store = new LogStore({ folder, log, minLogBytes: 150 });
  await store.start();
  states.set(store.revision, contents(store));
  store.watch(({ revision }) => states.set(revision, contents(store)));
  for (let i = 0; i < batches.length; i += 3) {
    const group = batches.slice(i, i + 3);
    asked += group.length;
    for (const revision of await Promise.all(group.map((batch) => committed(store.commit(batch))))) told = revision;
  }
  await store.close();
  return { found, states };
}

/** The file with each beginning of what is being written to it. */
function* halfWritten(seen: Map<string, Buffer>, { what, name, bytes }: FolderStep): Generator<Map<string, Buffer>> {
  if (what !== "write" || bytes === undefined) return;
  for (let length = 1; length < bytes.length; length++)
    yield new Map(seen).set(name, Buffer.concat([seen.get(name)!, bytes.subarray(0, length)]));
}

const BATCHES = Array.from({ length: 36 }, (_, i) =>
  i % 5 === 4
    ? [remove(`key-${(i - 1) % 4}`), put("last", `${i}`)]
    : [put(`key-${i % 4}`, "x".repeat(i)), put("last", `${i}`)],
);

test("a process that is stopped anywhere, and a machine that loses its power, keep what was told", async () => {
  const { found, states } = await crashes(new Map(), BATCHES);
  assert.ok(found.some(({ files }) => [...files.keys()].some((name) => name.startsWith("snapshot"))));
  assert.ok(found.length > 2_000, `${found.length} crashes`);
  for (const crash of found) assertKept(crash, states);
});

test("stopped anywhere while it starts again, it keeps what was told before", async () => {
  const { found, states } = await crashes(new Map(), BATCHES.slice(0, 12));
  // Some that stand for their kind: a torn log, files of before a snapshot, unfinished ones.
  for (const crash of found.filter((_, i) => i % 97 === 0)) {
    const recovered = assertKept(crash, states);
    const again = await crashes(crash.files, BATCHES.slice(12, 18), recovered);
    for (const second of again.found) assertKept(second, new Map([...states, ...again.states]));
  }
});

test("stopped anywhere while it goes on after an accepted loss, it is refused as before or has gone on", async () => {
  const { found } = await crashes(new Map(), BATCHES.slice(0, 9));
  const damaged = new Map(
    [...found.at(-1)!.files].map(([name, bytes]) => {
      const changed = Buffer.from(bytes);
      if (name.startsWith("log")) changed[30]! ^= 1;
      return [name, changed];
    }),
  );
  const before = recover(damaged);
  assert.ok(!before.ok);
  const memory = new MemoryFolder(damaged);
  const folder = new WatchedFolder(memory);
  let goneOn = 0;
  folder.before = folder.after = () => {
    for (const files of [memory.seen, ...memory.afterPowerFailure]) {
      const recovered = recover(files);
      if (recovered.ok) goneOn += 1;
      const table = recovered.ok ? recovered.value.table : recovered.error.usable;
      assert.deepEqual(contents(table), contents(before.error.usable));
    }
  };
  const store = new LogStore({ folder, log, acceptDataLoss: true });
  await store.start();
  await store.close();
  assert.ok(goneOn > 0);
  assert.ok([...memory.seen.keys()].some((name) => name.startsWith("damaged-log-")));
});

/** Gives the revision that was recovered. */
function assertKept({ at, files, told, asked }: Crash, states: ReadonlyMap<number, Record<string, string>>): number {
  const recovered = recover(new Map([...files].filter(([name]) => !name.endsWith(".unfinished"))));
  if (!recovered.ok) assert.fail(`${at}: ${JSON.stringify(recovered.error.damage)}`);
  const { table } = recovered.value;
  assert.ok(table.revision >= told && table.revision <= asked, `${at}: ${told} <= ${table.revision} <= ${asked}`);
  assert.deepEqual(contents(table), states.get(table.revision), at);
  return table.revision;
}
