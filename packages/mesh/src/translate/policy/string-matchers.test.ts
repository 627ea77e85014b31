import assert from "node:assert/strict";
import { test } from "node:test";
import { compileStringMatcher, readStringMatcher } from "@heddle/traffic";
import { globMatcher } from "./string-matchers.ts";

test('"*" is any text but the empty one, a claim with line breaks in it too: a DENY must not miss it', () => {
  const config = readStringMatcher(globMatcher("*"));
  assert.ok(config.ok);
  const matcher = compileStringMatcher(config.value);
  assert.deepEqual(
    ["a", "a\nb", "\n", ""].map((text) => matcher.test(text)),
    [true, true, true, false],
  );
});
