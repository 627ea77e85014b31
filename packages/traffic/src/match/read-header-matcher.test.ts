import assert from "node:assert/strict";
import { test } from "node:test";
import { readHeaderMatcher } from "./read-header-matcher.ts";

function matchOf(fields: object) {
  const read = readHeaderMatcher({ name: "X-A", ...fields });
  return read.ok ? read.value.match : { error: read.error };
}

test("every form of a matcher is read, the old ones as what they are today", () => {
  const string = (type: string, ignoreCase = false) => ({ type: "string", matcher: { type, value: "v", ignoreCase } });
  assert.deepEqual(matchOf({ stringMatch: { exact: "v", ignoreCase: true } }), string("exact", true));
  for (const type of ["exact", "prefix", "suffix", "contains"]) {
    assert.deepEqual(matchOf({ stringMatch: { [type]: "v" } }), string(type));
    assert.deepEqual(matchOf({ [`${type}Match`]: "v" }), string(type));
  }
  const regex = { type: "string", matcher: { type: "safe-regex", regex: "a+" } };
  assert.deepEqual(matchOf({ safeRegexMatch: { regex: "a+" } }), regex);
  assert.deepEqual(matchOf({ stringMatch: { safeRegex: { regex: "a+" } } }), regex);
  assert.deepEqual(matchOf({ rangeMatch: { start: "-1", end: "10" } }), { type: "range", start: -1, end: 10 });
  assert.deepEqual(matchOf({ presentMatch: false }), { type: "present", present: false });
  assert.deepEqual(matchOf({}), { type: "present", present: true });
});

test("the name is lower case, inversion and emptiness are kept", () => {
  const read = readHeaderMatcher({ name: "X-A", invertMatch: true, treatMissingHeaderAsEmpty: true });
  assert.ok(read.ok);
  assert.deepEqual([read.value.name, read.value.invert, read.value.treatMissingHeaderAsEmpty], ["x-a", true, true]);
});

test("what is wrong is said", () => {
  const missing = readHeaderMatcher({});
  assert.deepEqual(missing.ok ? "" : missing.error, "name is missing");
  assert.match(JSON.stringify(matchOf({ safeRegexMatch: { regex: "(" } })), /error.*\(/);
  assert.match(JSON.stringify(matchOf({ stringMatch: {} })), /error.*missing/);
});
