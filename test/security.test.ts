import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot, sourceFiles } from "./harness/imports.ts";

/* docs/security.md lists past vulnerabilities and rules with their tests. This test holds the list against the tests' names. */

/** A past vulnerability, a rule of our own, a section of a SPIFFE standard. */
const ID = String.raw`(?:CVE-\d+-\d+|X\d+|W\d+|(?:SPIFFE-ID|X509-SVID|SPIFFE-TDB|Workload API|Workload Endpoint) §\d+(?:\.\d+)*)`;

const docs = (name: string) => readFileSync(join(projectRoot, "docs", name), "utf8");
const rows = new Map(
  [...docs("security.md").matchAll(new RegExp(`^\\| (${ID}) \\|[^|]*\\| ([^|]*) \\|$`, "gm"))].map(
    ([, id = "", where = ""]) => [id, where] as const,
  ),
);

/** Files by the ids with which names of their tests begin. */
const proved = new Map<string, Set<string>>();
for (const file of sourceFiles("packages", "control-plane", "sidecar", "test")) {
  if (!file.endsWith(".test.ts")) continue;
  const text = readFileSync(join(projectRoot, file), "utf8");
  for (const [, ids = ""] of text.matchAll(new RegExp(`["'\`](?:\\$\\{\\w+\\}: )?((?:${ID}(?:, |(?=: )))+): `, "g"))) {
    for (const id of ids.split(", ")) proved.set(id, (proved.get(id) ?? new Set<string>()).add(file));
  }
}

test("every row of docs/security.md names tests that there are", () => {
  assert.ok(rows.size > 40, `${rows.size} rows`);
  for (const [id, where] of rows) {
    const files = [...where.matchAll(/`([^`]+)`/g)].map(([, file = ""]) => file);
    assert.ok(files.length > 0, `${id} names no file`);
    for (const file of files) assert.ok(proved.get(id)?.has(file), `no test of ${id} in ${file}`);
  }
});

test("docs/security.md, or docs/http2-abuse.md, knows every vulnerability and rule that a test is named after", () => {
  const http2 = docs("http2-abuse.md");
  const missing = [...proved.keys()].filter((id) => !rows.has(id) && !http2.includes(id));
  assert.deepEqual(missing, []);
});
