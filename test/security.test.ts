import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot, sourceFiles } from "./harness/imports.ts";

/* docs/security.md lists past vulnerabilities and rules with their tests. This test holds the list against the tests' names. */

const rows = new Map(
  [
    ...readFileSync(join(projectRoot, "docs/security.md"), "utf8").matchAll(
      /^\| (CVE-\d+-\d+|X\d+) \|[^|]*\| ([^|]*) \|$/gm,
    ),
  ].map(([, id = "", where = ""]) => [id, where] as const),
);

/** Files by the ids with which names of their tests begin. */
const proved = new Map<string, Set<string>>();
for (const file of sourceFiles("packages", "control-plane", "sidecar", "test")) {
  if (!file.endsWith(".test.ts")) continue;
  const text = readFileSync(join(projectRoot, file), "utf8");
  for (const [, ids = ""] of text.matchAll(/["'`](?:\$\{\w+\}: )?((?:(?:CVE-\d+-\d+|X\d+)(?:, |(?=: )))+): /g)) {
    for (const id of ids.split(", ")) proved.set(id, (proved.get(id) ?? new Set<string>()).add(file));
  }
}

test("every row of docs/security.md names tests that there are", () => {
  assert.ok(rows.size > 40, `${rows.size} rows`);
  for (const [id, where] of rows) {
    const files = [...where.matchAll(/`([^`]+)`/g)].map(([, file = ""]) => file);
    assert.ok(files.length > 0 || where.startsWith("not yet"), `${id} names no file`);
    for (const file of files) assert.ok(proved.get(id)?.has(file), `no test of ${id} in ${file}`);
  }
});

test("docs/security.md knows every rule that a test is named after", () => {
  const missing = [...proved.keys()].filter((id) => id.startsWith("X") && !rows.has(id));
  assert.deepEqual(missing, []);
});
