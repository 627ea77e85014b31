import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { unifiedDiff } from "./unified-diff.ts";

test("a difference has three lines around it, and two that are near are one hunk", () => {
  const before = Array.from({ length: 30 }, (_, index) => `line ${index}`);
  const after = before.with(5, "five").with(11, "eleven").with(28, "twenty-eight");
  const lines = unifiedDiff(`${before.join("\n")}\n`, `${after.join("\n")}\n`);
  assert.deepEqual(
    lines.filter((line) => line.startsWith("@@")),
    ["@@ -3,13 +3,13 @@", "@@ -26,5 +26,5 @@"],
  );
  assert.deepEqual(lines.slice(4, 6), ["-line 5", "+five"]);
});

test("nothing to say of equal texts; of a new one everything is put in", () => {
  assert.deepEqual(unifiedDiff("a\nb\n", "a\nb\n"), []);
  assert.deepEqual(unifiedDiff("", "a\nb\n"), ["@@ -0,0 +1,2 @@", "+a", "+b"]);
  assert.deepEqual(unifiedDiff("a\n", ""), ["@@ -1,1 +0,0 @@", "-a"]);
});

test("patch makes the second text of the first", {
  skip: spawnSync("patch", ["--version"]).error && "patch is not installed",
}, (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-diff-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const text = fc
    .array(fc.constantFrom("a", "b", "c", " d", "- e"), { maxLength: 30 })
    .map((lines) => lines.map((line) => `${line}\n`).join(""));
  fc.assert(
    fc.property(text, text, (before, after) => {
      const [file, out] = [join(folder, "f"), join(folder, "out")];
      writeFileSync(file, before);
      const input = ["--- f", "+++ f", ...unifiedDiff(before, after), ""].join("\n");
      if (before === after) return;
      const patched = spawnSync("patch", ["-s", "-o", out, file], { input });
      assert.equal(patched.status, 0, `${String(patched.stdout)}${input}`);
      assert.equal(spawnSync("cat", [out], { encoding: "utf8" }).stdout, after);
    }),
    { numRuns: 20 },
  );
});
