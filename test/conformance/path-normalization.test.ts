import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { canonicalPath, mergeSlashes, pathOnly, unescapeSlashes } from "@heddle/traffic";
import { vectors } from "./vectors.ts";

/** What Envoy's path_utility_test expects: rows of input and output. */
interface Vectors {
  readonly normalize_path: readonly (readonly [string, string])[];
  readonly normalize_path_reject_400: readonly string[];
  readonly merge_slashes: readonly (readonly [string, string])[];
  readonly remove_query_and_fragment: readonly (readonly [string, string])[];
  readonly unescape_slashes: readonly (readonly [string, string, boolean])[];
}

test("paths are normalised as Envoy does", { skip: vectors.skip }, () => {
  const cases: Vectors = JSON.parse(readFileSync(vectors.file("path-normalization/paths.json"), "utf8"));
  let count = 0;
  const check = (what: string, input: string, actual: string | undefined, expected: string | undefined): void => {
    count++;
    assert.equal(actual, expected, `${what} of "${input}"`);
  };
  for (const [input, output] of cases.normalize_path) check("normal form", input, canonicalPath(input), output);
  for (const input of cases.normalize_path_reject_400) check("normal form", input, canonicalPath(input), undefined);
  for (const [input, output] of cases.merge_slashes) check("merge", input, beforeQuery(input, mergeSlashes), output);
  for (const [input, output] of cases.remove_query_and_fragment) check("path", input, pathOnly(input), output);
  for (const [input, output, changed] of cases.unescape_slashes) {
    check("unescaped form", input, beforeQuery(input, unescapeSlashes), output);
    assert.equal(input !== output, changed);
  }
  assert.equal(count, 56);
});

function beforeQuery(target: string, change: (path: string) => string): string {
  const query = target.indexOf("?");
  return query === -1 ? change(target) : change(target.slice(0, query)) + target.slice(query);
}
