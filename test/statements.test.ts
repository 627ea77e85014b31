import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot, sourceFiles } from "./harness/imports.ts";

/*
 * docs/xds.md lists the protocol as 82 statements and says where each is tested. This test holds the list against the tests:
 * a name that begins with "statement 17: " proves statement 17, also behind the name of a variant of the protocol.
 */

const STATEMENTS = 82;

const rows = new Map(
  [...readFileSync(join(projectRoot, "docs/xds.md"), "utf8").matchAll(/^\| (\d+) \|.*\| ([^|]*) \|$/gm)].map(
    ([, number, where = ""]) => [Number(number), where],
  ),
);

const proved = new Map<number, Set<string>>();
for (const file of sourceFiles("packages", "control-plane", "sidecar", "test")) {
  if (!file.endsWith(".test.ts")) continue;
  for (const [, number] of readFileSync(join(projectRoot, file), "utf8").matchAll(
    /["'`](?:\$\{\w+\}: )?statement (\d+): /g,
  )) {
    const files = proved.get(Number(number)) ?? new Set();
    proved.set(Number(number), files.add(file));
  }
}

test("docs/xds.md has every statement of the protocol, and no other", () => {
  const numbers = Array.from({ length: STATEMENTS }, (_, index) => index + 1);
  assert.deepEqual([...rows.keys()], numbers);
  assert.deepEqual(
    [...proved.keys()].filter((number) => number < 1 || number > STATEMENTS),
    [],
  );
});

test("every statement has a test in each of the files that docs/xds.md names", () => {
  for (const [number, where] of rows) {
    const files = [...where.matchAll(/`([^`]+)`/g)].map(([, file = ""]) => file);
    assert.ok(files.length > 0, `statement ${number} names no file`);
    for (const file of files) assert.ok(proved.get(number)?.has(file), `no test of statement ${number} in ${file}`);
  }
});
