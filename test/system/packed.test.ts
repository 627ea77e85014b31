import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { projectRoot } from "../harness/imports.ts";

test("the packages as published, installed in an empty folder, run the shop", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-packed-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  run(t, projectRoot, process.execPath, join(projectRoot, "scripts/build.ts"));
  const packed = join(folder, "packed");
  mkdirSync(packed);
  run(t, projectRoot, "npm", "pack", "--workspaces", "--pack-destination", packed, "--silent");
  const tarballs = readdirSync(packed).filter((name) => name.endsWith(".tgz"));
  const app = join(folder, "app");
  mkdirSync(app);
  // Each of our packages by its tarball: the registry has none of them.
  writeFileSync(
    join(app, "package.json"),
    JSON.stringify({
      name: "app",
      private: true,
      dependencies: Object.fromEntries(tarballs.map((name) => [nameOf(name), `file:${join(packed, name)}`])),
    }),
  );
  run(t, app, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent");
  const output = run(
    t,
    app,
    process.execPath,
    join(app, "node_modules/heddle/bin/heddle.mjs"),
    "up",
    join(projectRoot, "examples/shop"),
    "--check",
    "--any-port",
  );
  assert.match(output, /check passed/);
});

/** "heddle-base-0.1.0.tgz" is @heddle/base; "heddle-0.1.0.tgz" is heddle. */
function nameOf(tarball: string): string {
  const name = /^heddle(?:-(.+?))?-\d/.exec(tarball)?.[1];
  return name === undefined ? "heddle" : `@heddle/${name}`;
}

function run(t: TestContext, cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 300_000 });
  assert.equal(status, 0, `${command} ${args.join(" ")} ended with ${status}:\n${stdout}\n${stderr}`);
  t.diagnostic(`${command.split("/").at(-1)} ${args[0]?.split("/").at(-1)}`);
  return stdout;
}
