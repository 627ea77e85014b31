import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigDelta } from "./assemble/config-draft.ts";
import { LaneBook } from "./lane-book.ts";

function delta(changed: Record<string, object>, ...removed: string[]): ConfigDelta {
  return { changed: new Map(Object.entries(changed)) as ConfigDelta["changed"], removed };
}

test("each step that changes anything is one generation", () => {
  const book = new LaneBook();
  const first = book.apply(delta({ "cluster/a": { name: "a" }, "cluster/b": { name: "b" } }));
  assert.equal(first?.generation, 1);
  assert.deepEqual(
    first.changed.map((entry) => entry.key),
    ["cluster/a", "cluster/b"],
  );
  const second = book.apply(delta({ "cluster/b": { name: "b", x: 1 } }, "cluster/a"));
  assert.equal(second?.generation, 2);
  assert.deepEqual(second.removed, ["cluster/a"]);
});

test("equal content under a new object, and the removal of something unknown, change nothing", () => {
  const book = new LaneBook();
  book.apply(delta({ "cluster/a": { name: "a", x: 1 } }));
  assert.equal(book.apply(delta({ "cluster/a": { x: 1, name: "a" } }, "cluster/z")), undefined);
  assert.equal(book.generation, 1);
});

test("a worker that comes late gets everything as one update of the last generation", () => {
  const book = new LaneBook();
  book.apply(delta({ "cluster/a": { name: "a" } }));
  const last = book.apply(delta({ "cluster/b": { name: "b" } }, "cluster/a"));
  const all = book.everything();
  assert.equal(all.generation, 2);
  assert.deepEqual(all.changed, last?.changed, "the same bytes, not a second encoding");
  assert.deepEqual(all.removed, []);
});
