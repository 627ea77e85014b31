import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { type Peer, stop } from "../../bench/path/peer.ts";
import { startUpstream } from "../../bench/path/peers.ts";
import { startSidecar } from "../../bench/path/sidecar-config.ts";
import { eventually } from "../harness/eventually.ts";
import { projectRoot } from "../harness/imports.ts";

/*
 * System calls are most of what a request costs, and unlike its time their number is the same on every machine. Two
 * reads and two writes are what a proxy cannot do without, and HAProxy does no less.
 */

const MAX_CALLS_PER_REQUEST = 4.5;
const CONNECTIONS = 16;
const REQUESTS_PER_CONNECTION = 300;
const MOVING = ["read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg"] as const;

const missing = ["/usr/bin/strace", "/usr/sbin/nginx"].filter((path) => !existsSync(path));

describe("system calls of the built sidecar", {
  skip: missing.length > 0 ? `not installed: ${missing.join(", ")}` : unlessTracing(),
}, () => {
  let folder = "";
  let upstream: Peer | undefined;
  let sidecar: Peer | undefined;

  before(async () => {
    const build = spawnSync(process.execPath, [join(projectRoot, "scripts/build.ts")], { encoding: "utf8" });
    assert.equal(build.status, 0, build.stdout + build.stderr);
    folder = mkdtempSync(join(tmpdir(), "heddle-syscalls-"));
    upstream = await startUpstream(folder);
    sidecar = await startSidecar(folder, upstream.port, join(projectRoot, "sidecar/dist/bundle/main.js"));
  });

  after(async () => {
    if (sidecar !== undefined) await stop(sidecar);
    if (upstream !== undefined) await stop(upstream);
    rmSync(folder, { recursive: true, force: true });
  });

  test("a small request on kept connections needs two reads and two writes", async (t) => {
    await load(sidecar!.port, "/small", 20); // connections to the upstream are made before anything is counted
    const calls = await counted(t, sidecar!.process.pid!, () => load(sidecar!.port, "/small", REQUESTS_PER_CONNECTION));
    const perRequest = calls / (CONNECTIONS * REQUESTS_PER_CONNECTION);
    t.diagnostic(`${perRequest.toFixed(2)} calls that read or write for each request`);
    assert.ok(perRequest <= MAX_CALLS_PER_REQUEST, `${perRequest} calls that read or write for each request`);
    assert.ok(perRequest >= 2, `${perRequest}: strace has not seen the traffic`);
  });
});

/** Why strace cannot be used here; false if it can. */
function unlessTracing(): string | false {
  const { status, stderr } = spawnSync("strace", ["-c", "true"], { encoding: "utf8" });
  return status === 0 ? false : `strace is not permitted: ${stderr.split("\n")[0]}`;
}

/** How many calls of `MOVING` all threads of a process make while something goes on. */
async function counted(t: TestContext, pid: number, during: () => Promise<void>): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "heddle-strace-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "counts");
  const strace = spawn("strace", ["-f", "-c", "-o", file, "-e", `trace=${MOVING.join(",")}`, "-p", String(pid)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.after(() => strace.kill("SIGKILL"));
  let said = "";
  strace.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  await eventually("strace is attached", () => /Process \d+ attached/.test(said));
  await during();
  await interrupted(strace);
  // "% time  seconds  usecs/call  calls  [errors]  syscall", a line for each
  return readFileSync(file, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => (MOVING as readonly string[]).includes(words.at(-1) ?? ""))
    .reduce((sum, words) => sum + Number(words[3]), 0);
}

function interrupted(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGINT");
  });
}

/** So many requests on each connection, one after the other. */
async function load(port: number, path: string, requests: number): Promise<void> {
  await Promise.all(Array.from({ length: CONNECTIONS }, () => oneByOne(port, path, requests)));
}

function oneByOne(port: number, path: string, requests: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    let answers = 0;
    let heard = "";
    socket.on("connect", () => socket.write(request));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`closed after ${answers} answers`)));
    socket.setEncoding("latin1").on("data", (text: string) => {
      heard += text;
      if (!heard.endsWith(ANSWER_BODY)) return;
      if (!heard.startsWith("HTTP/1.1 200 ")) reject(new Error(heard));
      heard = "";
      answers += 1;
      if (answers < requests) socket.write(request);
      else {
        socket.removeAllListeners("close");
        socket.destroy();
        resolve();
      }
    });
  });
}

/** What the upstream answers to "/small". */
const ANSWER_BODY = `\r\n\r\n${"x".repeat(23)}`;
