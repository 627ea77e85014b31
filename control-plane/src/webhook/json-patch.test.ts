import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, sameJson } from "@heddle/base";
import fc from "fast-check";
import { jsonPatch } from "./json-patch.ts";
import { applyJsonPatch } from "./testing.ts";

const key = fc.constantFrom("a", "b", "name", "heddle.dev/inject", "~", "~1", "/", "a/b~c", "", "0", "-");
const leaf = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom("x", "y", ""), fc.boolean(), fc.constant(null));
const { value } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie("value"), { maxLength: 5 }),
    fc.dictionary(key, tie("value"), { maxKeys: 4 }) as fc.Arbitrary<Json>,
  ),
}));

test("the patch applied to what was makes what is, whatever both are", () => {
  fc.assert(
    fc.property(value, value, (before, after) => {
      assert.deepEqual(applyJsonPatch(before, jsonPatch(before, after)), JSON.parse(JSON.stringify(after)));
    }),
    { numRuns: 3000 },
  );
});

test("what is the same has an empty patch", () => {
  fc.assert(
    fc.property(value, (json) => {
      assert.deepEqual(jsonPatch(json, structuredClone(json)), []);
      assert.equal(sameJson(json, structuredClone(json)), true);
    }),
  );
});

test("W11: slashes and tildes in a key are escaped, tildes first", () => {
  const before = { metadata: { labels: { "a~1b": "kept", "a/b": "kept" } } };
  const after = {
    metadata: { labels: { "a~1b": "kept", "a/b": "kept", "heddle.dev/injected": "true", "~1~0/": "x" } },
  };
  assert.deepEqual(jsonPatch(before, after), [
    { op: "add", path: "/metadata/labels/heddle.dev~1injected", value: "true" },
    { op: "add", path: "/metadata/labels/~01~00~1", value: "x" },
  ]);
  assert.deepEqual(applyJsonPatch(before, jsonPatch(before, after)), after);
});

test("a container put before others is one step, and what was there stays untouched", () => {
  const [a, b] = [
    { name: "a", image: "a:1" },
    { name: "b", image: "b:1" },
  ];
  assert.deepEqual(jsonPatch({ list: [a, b] }, { list: [{ name: "new" }, a, b] }), [
    { op: "add", path: "/list/0", value: { name: "new" } },
  ]);
});

test("an item is known by its name: what changes in it alone is changed", () => {
  const before = [{ name: "x" }, { name: "app", probe: { httpGet: { port: 80 } } }, { name: "z" }];
  const after = [{ name: "s" }, { name: "x" }, { name: "app", probe: { httpGet: { port: 15021 } } }];
  assert.deepEqual(jsonPatch(before, after), [
    { op: "add", path: "/0", value: { name: "s" } },
    { op: "replace", path: "/2/probe/httpGet/port", value: 15021 },
    { op: "remove", path: "/3" },
  ]);
});

test("lists that are too long for a table are patched all the same", () => {
  const before = Array.from({ length: 300 }, (_, index) => index);
  const after = before.map((one) => one + 1000);
  assert.deepEqual(applyJsonPatch(before, jsonPatch(before, after)), after);
});

test("a field that is undefined counts as absent", () => {
  const undefinedField = { a: 1, b: undefined } as unknown as Json;
  assert.deepEqual(jsonPatch({ a: 1 }, undefinedField), []);
  assert.deepEqual(jsonPatch({ a: 1, b: 2 }, undefinedField), [{ op: "remove", path: "/b" }]);
  assert.deepEqual(jsonPatch(undefinedField, { a: 1, b: 2 }), [{ op: "add", path: "/b", value: 2 }]);
});
