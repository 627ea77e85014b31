import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { createLog } from "@heddle/telemetry";
import { type OpenStoreOptions, openStore } from "./open-store.ts";
import type { Store } from "./store.ts";
import { committed, contents, put } from "./store-contract.ts";

test("without a word about it, a mesh keeps its store below the folder for state", async (t) => {
  const { root, open } = place(t);
  const store = await open({ type: "default" });
  assert.match(store?.name ?? "", new RegExp(`^log ${root}/heddle/store-shop-[0-9a-f]{8}$`));
  await committed(store!.commit([put("a", "1")]));
  await store!.close();
  const again = await open({ type: "default" });
  assert.deepEqual(contents(again!), { a: "1" });
});

test("where the default place is in use, nothing is stored, and that is said", async (t) => {
  const { open, lines } = place(t);
  await open({ type: "default" });
  assert.equal(await open({ type: "default" }), undefined);
  assert.match(lines.join(""), /warn nothing can be stored .*is in use by another process/);
});

test("where the default place is in use and holds something, that would be missing: it is refused", async (t) => {
  const { open } = place(t);
  const store = await open({ type: "default" });
  await committed(store!.commit([put("a", "1")]));
  await assert.rejects(open({ type: "default" }), /is in use by another process/);
});

test("where there is no default place, nothing is stored, and that is said", async (t) => {
  const { open, lines } = place(t);
  assert.equal(await open({ type: "default" }, {}), undefined);
  assert.equal(await open({ type: "default" }, { HOME: "/proc/version" }), undefined);
  assert.match(lines.join(""), /HOME is set/);
  assert.match(lines.join(""), /the store's folder cannot be opened: ENOTDIR/);
});

test("a place that was asked for must be had", async (t) => {
  const { root, open } = place(t);
  const directory = join(root, "mine");
  await open({ type: "log", directory });
  await assert.rejects(open({ type: "log", directory }), /is in use by another process/);
  await assert.rejects(open({ type: "log", directory: "/proc/version/store" }), /cannot be opened: ENOTDIR/);
  assert.equal(await open({ type: "none" }), undefined);
});

function place(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "heddle-store-"));
  const stores: (Store | undefined)[] = [];
  const lines: string[] = [];
  const clock = new ManualClock();
  const log = createLog({
    level: "warn",
    format: "text",
    clock,
    write: (line) => void lines.push(line),
  });
  t.after(async () => {
    for (const store of stores) await store?.close();
    rmSync(root, { recursive: true });
  });
  const state: OpenStoreOptions["environment"] = { XDG_STATE_HOME: root };
  const open = async (where: OpenStoreOptions["place"], environment = state) => {
    const store = await openStore({
      place: where,
      folders: ["/meshes/shop"],
      environment,
      acceptDataLoss: false,
      etcd: { tls: false },
      clock,
      log,
    });
    stores.push(store);
    return store;
  };
  return { root, open, lines };
}
