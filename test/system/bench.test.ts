import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../harness/imports.ts";

const PEERS = ["/usr/sbin/haproxy", "/usr/sbin/nginx", "/usr/bin/wrk"];
const missing = PEERS.filter((path) => !existsSync(path));

test("the path bench runs against HAProxy and nginx, and no peer fails a request", {
  skip: missing.length > 0 && `not installed: ${missing.join(", ")}`,
}, () => {
  const build = spawnSync(process.execPath, [join(projectRoot, "scripts/build.ts")], { encoding: "utf8" });
  assert.equal(build.status, 0, build.stdout + build.stderr);
  const bench = spawnSync(
    process.execPath,
    ["--conditions=heddle-src", join(projectRoot, "bench/bench.ts"), "path", "--rounds", "1", "--seconds", "1"],
    { encoding: "utf8", timeout: 120_000, env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin` } },
  );
  assert.equal(bench.status, 0, bench.stdout + bench.stderr);
  const rows = bench.stdout.split("\n").filter((line) => line.startsWith("│ heddle"));
  assert.equal(rows.length, 2, bench.stdout);
  const heads =
    bench.stdout
      .split("\n")
      .find((line) => line.includes("errors"))
      ?.split("│")
      .map((cell) => cell.trim()) ?? [];
  for (const row of rows) assert.equal(row.split("│")[heads.indexOf("errors")]?.trim(), "0", bench.stdout);
});
