import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import { compileMetadataMatcher, readMetadataMatcher } from "./metadata-matcher.ts";

const metadata = new Map([
  ["jwt", new Map<string, unknown>([["claims", { role: "admin", level: 3, groups: ["a", "b"], nothing: null }]])],
]);

function matches(value: Json, path: readonly string[] = ["claims", "role"], invert = false): boolean {
  const read = readMetadataMatcher({ filter: "jwt", path: path.map((key) => ({ key })), value, invert });
  assert.ok(read.ok);
  return compileMetadataMatcher(read.value)(metadata);
}

test("a metadata matcher looks at one value by its path", () => {
  assert.equal(matches({ stringMatch: { exact: "admin" } }), true);
  assert.equal(matches({ stringMatch: { prefix: "user" } }), false);
  assert.equal(matches({ doubleMatch: { exact: 3 } }, ["claims", "level"]), true);
  assert.equal(matches({ doubleMatch: { range: { start: 3, end: 4 } } }, ["claims", "level"]), true);
  assert.equal(matches({ listMatch: { oneOf: { stringMatch: { exact: "b" } } } }, ["claims", "groups"]), true);
  assert.equal(matches({ boolMatch: false }, ["claims", "level"]), false);
  assert.equal(matches({ nullMatch: {} }, ["claims", "nothing"]), true);
  const either = { orMatch: { valueMatchers: [{ boolMatch: true }, { stringMatch: { suffix: "min" } }] } };
  assert.equal(matches(either), true);
});

test("what is not there matches nothing but its absence, and the inversion of that", () => {
  assert.equal(matches({ presentMatch: true }, ["claims", "none", "deeper"]), false);
  assert.equal(matches({ presentMatch: false }, ["claims", "none"]), true);
  assert.equal(matches({ stringMatch: { prefix: "" } }, ["claims", "constructor"]), false);
  assert.equal(matches({ stringMatch: { exact: "x" } }, ["other"], true), true);
  const read = readMetadataMatcher({ filter: "jwt", path: [{ key: "a" }], value: { presentMatch: true } });
  assert.ok(read.ok);
  assert.equal(compileMetadataMatcher(read.value)(undefined), false);
});

test("a matcher without a filter, a path or a value is refused", () => {
  for (const json of [
    {},
    { filter: "jwt", path: [], value: { boolMatch: true } },
    { filter: "jwt", path: [{}], value: { boolMatch: true } },
    { filter: "jwt", path: [{ key: "a" }] },
    { filter: "jwt", path: [{ key: "a" }], value: { orMatch: { valueMatchers: [{}] } } },
    { filter: "jwt", path: [{ key: "a" }], value: { stringMatch: { safeRegex: { regex: "(" } } } },
  ]) {
    assert.equal(readMetadataMatcher(json).ok, false, JSON.stringify(json));
  }
});
