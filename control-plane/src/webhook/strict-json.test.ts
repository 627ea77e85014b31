import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseStrictJson } from "./strict-json.ts";

function errorOf(text: string, limits?: { maxDepth: number; maxValues: number }): string {
  const read = parseStrictJson(text, limits);
  assert.equal(read.ok, false, text.slice(0, 100));
  return read.ok ? "" : read.error;
}

test("whatever JSON.stringify writes is read as JSON.parse reads it", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (json) => {
      const text = JSON.stringify(json);
      const read = parseStrictJson(text);
      if (text.includes("__proto__")) return;
      assert.deepEqual(read, { ok: true, value: JSON.parse(text) });
    }),
    { numRuns: 300 },
  );
});

test("a text that is no JSON never throws, and is refused where JSON.parse refuses it", () => {
  const piece = fc.constantFrom(...'{}[],:"\\ 1a\n'.split(""), '"a"', "true", "null", "\\u0061", '{"a":1}');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const text = pieces.join("");
      const isJson = canParse(text);
      const read = parseStrictJson(text);
      if (!isJson) assert.equal(read.ok, false);
    }),
    { numRuns: 1000 },
  );
});

test("a key that stands twice in its object is refused, however it is written", () => {
  assert.match(errorOf('{"a":1,"b":{"a":2},"a":3}'), /"a" stands twice/);
  assert.match(errorOf('{"a":1,"\\u0061":3}'), /"a" stands twice/);
  assert.match(errorOf('[{"x" : [1], "x"\n:2}]'), /"x" stands twice/);
  assert.match(errorOf('{"a":{"b":1,"c":[{"d\\"":1},{"d\\"":1,"\\u0064\\u0022":2}]},"b":":"}'), /"d\\"" stands twice/);
  assert.match(errorOf('{"a":{"b":1},"a":{"b":1,"c":2}}'), /"a" stands twice/);
  assert.equal(parseStrictJson('{"a":"a","b":"a","c":[{"a":1},{"a":1}]}').ok, true);
});

test('a key "__proto__" is refused, however it is written', () => {
  assert.match(errorOf('{"__proto__":{"a":1}}'), /__proto__/);
  assert.match(errorOf('{"\\u005f_proto__":{"a":1}}'), /__proto__/);
  assert.equal(parseStrictJson('{"a":"__proto__"}').ok, true);
});

test("what is nested too deep, or has too many values, is refused before it is parsed", () => {
  assert.match(errorOf("[".repeat(3_000_000)), /deeper than 100/);
  assert.match(errorOf(`${'{"a":'.repeat(101)}1${"}".repeat(101)}`), /deeper than 100/);
  assert.equal(parseStrictJson(`${"[".repeat(100)}${"]".repeat(100)}`).ok, true);
  assert.match(errorOf("[1,2,3]", { maxDepth: 5, maxValues: 3 }), /more than 3 values/);
});

test("what is said of a text that is no JSON holds nothing of it", () => {
  assert.doesNotMatch(errorOf('{"password": hunter2}'), /hunter2|password/);
  assert.match(errorOf('{"password": hunter2}'), /^is no JSON/);
  assert.match(errorOf(""), /^is no JSON/);
});

function canParse(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
