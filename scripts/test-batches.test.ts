import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { testProcesses } from "./test-batches.ts";

test("files of a package that keep to themselves share processes; whole programs, and what touches its process, have their own", (t) => {
  const root = mkdtempSync(join(tmpdir(), "heddle-batches-"));
  t.after(() => rmSync(root, { recursive: true }));
  const plain = 'import { test } from "node:test";\n';
  const small = Array.from({ length: 17 }, (_, index) => `packages/a/src/${String(index).padStart(2, "0")}.test.ts`);
  const files: Record<string, string> = {
    ...Object.fromEntries(small.map((file) => [file, plain])),
    "packages/a/src/child.test.ts": `${plain}import { spawn } from "node:child_process";\n`,
    "packages/a/src/hook.test.ts": `${plain}afterEach(() => {});\n`,
    "packages/a/src/variable.test.ts": `${plain}process.env["X"] = "1";\n`,
    "packages/b/src/x/only.test.ts": `${plain}  afterEach(() => {});\n`,
    "test/e2e/whole.test.ts": plain,
  };
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  const processes = testProcesses(Object.keys(files), root, root);
  assert.deepEqual(
    processes.map((one) => one.files),
    [
      ["test/e2e/whole.test.ts"],
      ["packages/a/src/child.test.ts"],
      ["packages/a/src/hook.test.ts"],
      ["packages/a/src/variable.test.ts"],
      small.slice(0, 16),
      small.slice(16),
      ["packages/b/src/x/only.test.ts"],
    ],
  );
  const [batch] = processes.filter((one) => one.files.length > 1);
  assert.ok(batch);
  const imported = [...readFileSync(batch.entry, "utf8").matchAll(/^import "file:\/\/(.*)";$/gm)].map(
    ([, path]) => path,
  );
  assert.deepEqual(
    imported,
    small.slice(0, 16).map((file) => join(root, file)),
  );
});
