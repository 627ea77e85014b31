/**
 * Runs the tests: `node scripts/test.ts unit` (beside the source, and whole programs without root) or `system` (root,
 * Debian packages, foreign peers, minutes). Further words select files by a part of their path.
 */
import { spawn } from "node:child_process";
import { globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { installDebianPackages, SYSTEM_PACKAGES } from "./debian-packages.ts";
import { installEnvoy } from "./envoy-server.ts";
import { testProcesses } from "./test-batches.ts";

const SETS: Readonly<Record<string, { globs: readonly string[]; timeoutMs: number }>> = {
  unit: {
    globs: [
      "packages/*/src/**/*.test.ts",
      "control-plane/src/**/*.test.ts",
      "sidecar/src/**/*.test.ts",
      "examples/**/*.test.ts",
      "scripts/**/*.test.ts",
      "test/*.test.ts",
      "test/{conformance,e2e,interop}/**/*.test.ts",
    ],
    timeoutMs: 120_000,
  },
  system: { globs: ["test/{system,faults}/**/*.test.ts"], timeoutMs: 600_000 },
};

const root = dirname(import.meta.dirname);
const [name = "unit", ...parts] = process.argv.slice(2);
const set = SETS[name];
if (set === undefined) throw new Error(`"${name}" is not a set of tests; there are: ${Object.keys(SETS).join(", ")}`);
const files = set.globs
  .flatMap((glob) => globSync(glob, { cwd: root, exclude: (path) => path.includes("node_modules") }))
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) throw new Error(`no test file matches ${parts.join(" ")}`);

if (name === "system") {
  const missing = installDebianPackages(SYSTEM_PACKAGES);
  if (missing.length > 0) console.log(`not installed, and what needs them is skipped: ${missing.join(", ")}`);
  if (!installEnvoy()) console.log("not installed, and what needs it is skipped: Envoy");
}

// Most of what a small file costs beside its start is the types of the same modules, stripped again: kept, the tests of
// packages/xds, a process for each file, take 42 s of CPU instead of 54 the first time, and 36 from then on.
const compileCache = process.env["NODE_COMPILE_CACHE"] ?? join(root, "node_modules/.cache/compile");

// What programs under test store where nobody has named a place: not in the home of whoever runs the tests.
const state = mkdtempSync(join(tmpdir(), "heddle-state-"));

const batches = mkdtempSync(join(tmpdir(), "heddle-tests-"));
const processes = testProcesses(files, root, batches);

const child = spawn(
  process.execPath,
  [
    "--conditions=heddle-src",
    "--test",
    `--test-timeout=${set.timeoutMs}`,
    "--test-concurrency=2",
    `--test-reporter=${join(root, "scripts/test-reporter.ts")}`,
    "--test-reporter-destination=stdout",
    ...processes.map(({ entry }) => entry),
  ],
  {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, NODE_NO_WARNINGS: "1", NODE_COMPILE_CACHE: compileCache, XDG_STATE_HOME: state },
  },
);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => {
  for (const folder of [state, batches]) rmSync(folder, { recursive: true, force: true });
  process.exitCode = signal === null ? (code ?? 1) : 1;
});
