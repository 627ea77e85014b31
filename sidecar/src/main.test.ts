import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { type TestContext, test } from "node:test";

const PROGRAM = ["--conditions=heddle-src", join(import.meta.dirname, "main.ts")];

/** Runs the program to its end. */
function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [...PROGRAM, ...args], { encoding: "utf8", timeout: 20_000 });
}

interface Started {
  readonly child: ChildProcess;
  /** The exit code, and why it stopped, as its log says. */
  readonly ended: Promise<{ code: number | null; reason: string | undefined }>;
}

/** Starts the program with these flags and an empty bootstrap, and waits until it says that it is ready. */
async function start(t: TestContext, ...flags: string[]): Promise<Started> {
  const child = spawn(process.execPath, [...PROGRAM, "--config-yaml", "node: {}", ...flags], {
    stdio: ["pipe", "ignore", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  let log = "";
  const ended = new Promise<Awaited<Started["ended"]>>((resolve) => {
    child.once("close", (code) => resolve({ code, reason: /stopping reason=(.*) drainTimeMs/.exec(log)?.[1] }));
  });
  await new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      if (/\binfo ready\b/.test(log)) resolve();
    });
    void ended.then(({ code }) => reject(new Error(`ended with ${code} before it was ready:\n${log}`)));
  });
  return { child, ended };
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

test("SIGTERM stops it, and it ends with 0", async (t) => {
  const { child, ended } = await start(t);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, { code: 0, reason: "SIGTERM" });
});

test("the end of its standard input stops it where it goes with its parent", async (t) => {
  const { child, ended } = await start(t, "--exit-with-parent");
  child.stdin?.end();
  assert.deepEqual(await ended, { code: 0, reason: '"the parent process has ended"' });
});

test("the end of its standard input means nothing elsewhere", async (t) => {
  const { child, ended } = await start(t);
  await new Promise((resolve) => child.stdin?.end(resolve));
  child.kill("SIGTERM");
  assert.deepEqual(await ended, { code: 0, reason: "SIGTERM" });
});
