import assert from "node:assert/strict";
import { test } from "node:test";
import { quietLog } from "@heddle/xds/testing";
import { MemoryFolder, WatchedFolder } from "./log/testing-folder.ts";
import { LogStore } from "./log-store.ts";
import { ScriptedStore } from "./scripted-store.ts";
import type { Store, StoreUpdate } from "./store.ts";
import { committed, contents, put, storeContract } from "./store-contract.ts";
import { STORE_LIMITS } from "./store-limits.ts";
import { splitStore } from "./store-part.ts";

for (const which of ["part", "rest"] as const)
  storeContract(`the ${which} of a store`, async () => {
    const folder = new WatchedFolder(new MemoryFolder());
    return {
      make: () => owned(new LogStore({ folder, log: quietLog }), which),
      maxBatchChanges: STORE_LIMITS.maxBatchChanges,
      breakDown: async () => {
        folder.before = ({ what }) => {
          if (what === "write") throw new Error("ENOSPC: no space left on device, write");
        };
      },
      dispose: async () => {},
    };
  });

test("neither part shows what is the other's, nor can it be written there", async () => {
  const store = new ScriptedStore();
  store.put(put("@ca/state", "old"), put("Service/default/web/", "web"));
  await store.start();
  const { part, rest } = splitStore(store, "@ca/");
  assert.deepEqual([contents(part), contents(rest)], [{ state: "old" }, { "Service/default/web/": "web" }]);

  const seen: Record<"part" | "rest", StoreUpdate[]> = { part: [], rest: [] };
  part.watch((update) => seen.part.push(update));
  rest.watch((update) => seen.rest.push(update));
  await committed(part.commit([{ ...put("state", "new"), expectedRevision: 1 }]));
  assert.deepEqual(
    seen.part.map(({ changed }) => changed.map(({ key }) => key)),
    [["state"]],
  );
  assert.deepEqual(seen.rest, [{ revision: 2, changed: [], removed: [] }]);
  assert.equal(rest.revision, 2);

  const refused = await rest.commit([put("@ca/state", "mine")]);
  assert.equal(refused.type, "refused");
  const late = await part.commit([{ ...put("state", "later"), expectedRevision: 1 }]);
  assert.deepEqual(late, {
    type: "conflict",
    conflicts: [{ key: "state", expectedRevision: 1, foundRevision: 2 }],
  });
});

/** The part, which starts and closes the whole. */
function owned(store: Store, which: "part" | "rest"): Store {
  const part = splitStore(store, "@ca/")[which];
  return Object.create(part, {
    entries: { get: () => part.entries },
    name: { get: () => part.name },
    revision: { get: () => part.revision },
    trouble: { get: () => part.trouble },
    start: { value: () => store.start() },
    watch: { value: part.watch.bind(part) },
    commit: { value: part.commit.bind(part) },
    close: {
      value: async () => {
        await store.close(); // what has been asked for comes to its end, and is told of
        await part.close();
      },
    },
  }) as Store;
}
