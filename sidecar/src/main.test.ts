import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

/** Runs the program to its end. */
function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const main = join(import.meta.dirname, "main.ts");
  return spawnSync(process.execPath, ["--conditions=heddle-src", main, ...args], { encoding: "utf8", timeout: 20_000 });
}

test("help and version are printed and end with 0", () => {
  const help = run("--help");
  assert.equal(help.status, 0, help.stderr);
  assert.match(help.stdout, /^Usage: heddle sidecar -c FILE/);
  assert.match(run("--version").stdout, /^heddle sidecar \d+\.\d+\.\d+\n$/);
});

test("a wrong command line or bootstrap ends with 2 and every reason on standard error", () => {
  const flags = run("--concurency", "2");
  assert.equal(flags.status, 2);
  assert.match(flags.stderr, /^heddle sidecar: --concurency is no flag; is --concurrency meant\?\n/);
  const bootstrap = run("--config-yaml", "nod: {}\nadmn: {}");
  assert.equal(bootstrap.status, 2);
  assert.match(bootstrap.stderr, /--config-yaml:1:1: nod: is no field/);
  assert.match(bootstrap.stderr, /--config-yaml:2:1: admn: is no field/);
});
