import assert from "node:assert/strict";
import { test } from "node:test";
import { flattenRuntime, runtimeType } from "./runtime.ts";
import { accept, errorsOf } from "./testing.ts";

test("a layer is its keys, with dots between their parts; a fraction is one value", () => {
  const config = accept(runtimeType, {
    name: "rtds",
    layer: { a: { b: 1, c: { d: "x" } }, "e.f": true, g: { numerator: 5, denominator: "MILLION" }, h: {} },
  });
  assert.deepEqual(config, {
    name: "rtds",
    values: { "a.b": 1, "a.c.d": "x", "e.f": true, g: { numerator: 5, denominator: "MILLION" }, h: {} },
  });
});

test("a list or null is no value, and every one is told", () => {
  assert.deepEqual(errorsOf(runtimeType, { name: "rtds", layer: { a: { b: [1] }, c: null, d: 1 } }), [
    "layer.a.b: found a list, allowed are numbers, text, flags and fractions",
    "layer.c: found null, allowed are numbers, text, flags and fractions",
  ]);
});

test("a key that every object has is a key as any", () => {
  const { values } = flattenRuntime(JSON.parse('{ "__proto__": { "x": 1 }, "constructor": 2 }'));
  assert.deepEqual(Object.entries(values), [
    ["__proto__.x", 1],
    ["constructor", 2],
  ]);
  assert.equal(Object.getPrototypeOf(values), Object.prototype);
});
