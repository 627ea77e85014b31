import assert from "node:assert/strict";
import { test } from "node:test";
import { adsSource, nameFrom, type RuntimeLayer, type RuntimeValues } from "@heddle/traffic";
import { ConfigDraft } from "./config-draft.ts";
import { RuntimeAssembly } from "./runtime-assembly.ts";

const LAYERS: readonly RuntimeLayer[] = [
  { name: "base", type: "static", values: { a: 1, b: 1, c: 1 } },
  { name: "live", type: "rtds", resource: "mine", source: adsSource },
  { name: "admin", type: "admin" },
];

function assembly(layers: readonly RuntimeLayer[] = LAYERS) {
  const draft = new ConfigDraft();
  const runtime = new RuntimeAssembly(layers, draft);
  runtime.start();
  return { runtime, values: (): RuntimeValues => draft.current().runtime, took: () => draft.take() };
}

function resource(values: RuntimeValues) {
  return { config: { name: "mine", values }, version: "1", acceptedMs: 0 };
}

test("a layer of files says what was read of them, in its place", () => {
  const disk = { name: "files", type: "disk", root: "/r", subfolder: "", byCluster: false } as const;
  const { runtime, values } = assembly([LAYERS[0]!, disk, LAYERS[2]!]);
  assert.deepEqual(values(), { a: 1, b: 1, c: 1 });
  runtime.fromDisk("files", { b: "2", c: "2" });
  runtime.modify({ c: "3" });
  assert.deepEqual(values(), { a: 1, b: "2", c: "3" });
  runtime.fromDisk("files", {});
  assert.deepEqual(values(), { a: 1, b: 1, c: "3" });
});

test("later layers win, and what they take back is what the layers below say", () => {
  const { runtime, values } = assembly();
  assert.deepEqual(values(), { a: 1, b: 1, c: 1 });
  runtime.update("mine", resource({ b: 2, c: 2 }));
  assert.ok(runtime.modify({ c: "3", d: "x" }));
  assert.deepEqual(values(), { a: 1, b: 2, c: "3", d: "x" });
  assert.ok(runtime.modify({ c: "", d: "" }));
  assert.deepEqual(values(), { a: 1, b: 2, c: 2 });
  runtime.remove("mine");
  assert.deepEqual(values(), { a: 1, b: 1, c: 1 });
  assert.deepEqual(
    runtime.layers().map(({ name, values: own }) => [name, Object.keys(own).length]),
    [
      ["base", 3],
      ["live", 0],
      ["admin", 0],
    ],
  );
});

test("is settled once every resource has come or does not exist", () => {
  for (const end of ["update", "remove"] as const) {
    const { runtime } = assembly();
    assert.deepEqual(
      [...runtime.wants.values()].map(({ names }) => [...names]),
      [["mine"]],
    );
    assert.deepEqual([runtime.settled, runtime.initialFetchTimeoutMs], [false, 15_000]);
    if (end === "update") runtime.update("mine", resource({}));
    else runtime.remove("mine");
    assert.equal(runtime.settled, true, end);
  }
});

test("layers of one name from two sources are two", () => {
  const file = { from: { type: "file", path: "/r" }, initialFetchTimeoutMs: 0 } as const;
  const { runtime, values } = assembly([...LAYERS, { name: "file", type: "rtds", resource: "mine", source: file }]);
  assert.equal(runtime.initialFetchTimeoutMs, 0, "for ever");
  runtime.update("mine", resource({ a: 2 }));
  assert.deepEqual([values()["a"], runtime.settled], [2, false]);
  runtime.update(nameFrom("mine", file.from), resource({ a: 3 }));
  assert.deepEqual([values()["a"], runtime.settled], [3, true]);
});

test("without an admin layer nothing can be modified, and without a runtime workers hear of none", () => {
  const { runtime, took } = assembly([]);
  assert.equal(runtime.modify({ a: "1" }), false);
  assert.equal(took(), undefined);
});
