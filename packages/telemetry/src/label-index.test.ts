import assert from "node:assert/strict";
import { test } from "node:test";
import { LabelIndex } from "./label-index.ts";

test("what carries a label is found by it, and nothing else", () => {
  const index = new LabelIndex();
  index.add("one", { cluster: "a", code: "200" });
  index.add("two", { cluster: "b", code: "200" });
  assert.deepEqual(index.candidates({ cluster: "a" }), ["one"]);
  assert.deepEqual(index.candidates({ code: "200" }), ["one", "two"]);
  assert.deepEqual(index.candidates({ code: "200", cluster: "b" }), ["two"]);
  assert.deepEqual(index.candidates({ cluster: "c" }), []);
  assert.deepEqual(index.candidates({ cluster: "a", zone: "z" }), []);
});

test("what is deleted is not found again", () => {
  const index = new LabelIndex();
  index.add("one", { cluster: "a" });
  index.add("two", { cluster: "a" });
  index.delete("one", { cluster: "a" });
  assert.deepEqual(index.candidates({ cluster: "a" }), ["two"]);
  index.delete("two", { cluster: "a" });
  assert.deepEqual(index.candidates({ cluster: "a" }), []);
});
