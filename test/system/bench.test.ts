import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../harness/imports.ts";

const PEERS = ["/usr/sbin/haproxy", "/usr/sbin/nginx", "/usr/bin/wrk", "/usr/bin/h2load", "/usr/sbin/nghttpx"];
const missing = PEERS.filter((path) => !existsSync(path));

test("the path bench runs against HAProxy, nginx and nghttpx, and no peer fails a request", {
  skip: missing.length > 0 && `not installed: ${missing.join(", ")}`,
}, () => {
  const build = spawnSync(process.execPath, [join(projectRoot, "scripts/build.ts")], { encoding: "utf8" });
  assert.equal(build.status, 0, build.stdout + build.stderr);
  const options = ["--tables", "h1,h2", "--rounds", "1", "--seconds", "1"];
  const bench = spawnSync(
    process.execPath,
    ["--conditions=heddle-src", join(projectRoot, "bench/bench.ts"), "path", ...options],
    { encoding: "utf8", timeout: 120_000, env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin` } },
  );
  assert.equal(bench.status, 0, bench.stdout + bench.stderr);
  const errors: (string | undefined)[] = [];
  let heads: readonly string[] = [];
  for (const line of bench.stdout.split("\n")) {
    const cells = line.split("│").map((cell) => cell.trim());
    if (cells.includes("errors")) heads = cells;
    else if (cells[1] === "heddle") errors.push(cells[heads.indexOf("errors")]);
  }
  assert.deepEqual(errors, ["0", "0", "0", "0"], bench.stdout);
});
