import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "./json.ts";
import { sameJson } from "./same-json.ts";

const read = (text: string): Json => JSON.parse(text) as Json;

for (const [one, other, expected] of [
  ['{"a":1,"b":[{"c":null}]}', '{"b":[{"c":null}],"a":1}', true],
  ["[1,2]", "[2,1]", false],
  ["[1]", "[1,1]", false],
  ["[]", "{}", false],
  ['{"a":1}', '{"a":"1"}', false],
  ['{"a":1}', '{"a":1,"b":1}', false],
  ['{"a":1,"b":1}', '{"a":1,"c":1}', false],
  ["null", "{}", false],
  ['{"__proto__":{}}', "{}", false],
  ['{"__proto__":{}}', '{"x":{}}', false],
  ['{"__proto__":{}}', '{"__proto__":{}}', true],
] as const)
  test(`${one} and ${other} are ${expected ? "" : "not "}the same JSON`, () => {
    assert.equal(sameJson(read(one), read(other)), expected);
    assert.equal(sameJson(read(other), read(one)), expected);
  });

test("a field whose value is undefined is none", () => {
  assert.equal(sameJson({ a: undefined as never, b: 1 }, { b: 1 }), true);
  assert.equal(sameJson({ b: 1 }, { a: undefined as never, b: 1 }), true);
  assert.equal(sameJson({ a: undefined as never }, { b: undefined as never }), true);
  assert.equal(sameJson(undefined, undefined), true);
  assert.equal(sameJson(undefined, null), false);
});
