import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, constants, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { imageStages } from "../harness/dockerfile.ts";
import { projectRoot } from "../harness/imports.ts";

test("the image's own commands build, pack and install the packages, and what is installed runs the shop, and starts as the image's user", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-packed-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  chmodSync(folder, 0o755);
  const [pack] = imageStages();
  const [, ...commands] = pack!.instructions.find(({ name }) => name === "RUN")!.words.split(" && "); // without npm ci
  const script = commands.join("\n").replaceAll(/ \/(packed|app)\b/g, ` ${folder}/$1`);
  run(t, projectRoot, "sh", "-ec", script);
  const heddle = join(folder, "app/node_modules/heddle/bin/heddle.mjs");
  const shop = join(projectRoot, "examples/shop");
  assert.match(run(t, folder, process.execPath, heddle, "up", shop, "--check", "--any-port"), /check passed/);
  if (process.getuid?.() !== 0) return t.diagnostic("not root: not tried as the image's user");
  const node = join(folder, "node"); // the project may lie where that user sees nothing
  copyFileSync(process.execPath, node, constants.COPYFILE_FICLONE);
  const user = ["--reuid=1337", "--regid=1337", "--clear-groups", "env", "-i", "HOME=/", "NODE_ENV=production"];
  for (const command of ["sidecar", "control-plane"])
    assert.match(run(t, "/", "setpriv", ...user, node, heddle, command, "--version"), /0\.1\.0/);
});

function run(t: TestContext, cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 600_000 });
  assert.equal(status, 0, `${command} ${args.join(" ")} ended with ${status}:\n${stdout}\n${stderr}`);
  t.diagnostic(`${command.split("/").at(-1)} ${args[0]?.split("/").at(-1)}`);
  return stdout;
}
