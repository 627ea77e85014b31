import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { stop } from "../../bench/path/peer.ts";
import { startUpstream } from "../../bench/path/peers.ts";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const SLOW_WRITERS = 1000;
const SLOW_READERS = 1000;
/**
 * Answers that nobody reads lie in the kernel's buffers, a thousand of them at once. With 8 MiB each they took 2.3 GiB, all that
 * the kernel gives to TCP (`tcp_mem`) on a machine of 24 GiB, and it then cut connections of other tests short.
 */
const HUGE_BYTES = 1024 * 1024;
/** With and without alternate so often; a machine that is busy with other things is so in both. */
const ROUNDS = 3;
const REQUESTS = 1500;
const MAX_RATIO = 2;
/** Noise is over when it is measured again; what a thousand connections cost is not. */
const ATTEMPTS = 3;
/** As Envoy advises at the edge; the default is 1 MiB, of which a thousand slow readers make a GiB. */
const buffers = { per_connection_buffer_limit_bytes: 32 * 1024 };
/** The most that a slow reader may make the sidecar hold: what the limits let pass on either side, objects and slack. */
const MAX_BYTES_HELD = 192 * 1024;

const skip = !existsSync("/usr/sbin/nginx") && "not installed: /usr/sbin/nginx";

test(`${SLOW_WRITERS} clients that never end their head and ${SLOW_READERS} that hardly read leave a healthy one's p99 within ${MAX_RATIO} times`, {
  skip,
}, async (t) => {
  process.env["PATH"] = `${process.env["PATH"]}:/usr/sbin`; // where Debian has servers, also for those who are not root
  const owner = lastFirst(t);
  const folder = scratchFolder(owner);
  const upstream = await startUpstream(folder);
  owner.after(() => stop(upstream));
  writeFileSync(join(folder, "html/huge"), Buffer.alloc(HUGE_BYTES, "h"));
  const thresholds = [{ max_connections: 4096, max_requests: 4096, max_pending_requests: 4096 }];
  const bootstrap = staticBootstrap(
    [{ ...listener({ name: "in", routes: inlineRoutes([virtualHost("*", "up", { timeout: "0s" })]) }), ...buffers }],
    [cluster("up", [upstream.port], { circuit_breakers: { thresholds }, ...buffers })],
  );
  const sidecar = await startSidecar(bootstrap, owner);
  const port = await sidecar.port("in");
  await p99(port); // compiles

  const ratios: number[] = [];
  for (let attempt = 0; attempt < ATTEMPTS && !ratios.some((ratio) => ratio <= MAX_RATIO); attempt++)
    ratios.push(await compare(t, owner, sidecar, port));
  assert.ok(Math.min(...ratios) <= MAX_RATIO, `p99 beside slow clients over p99 without: ${ratios.join(", ")}`);
});

/** The p99 of a healthy client beside slow ones over the one without them; each the median of its rounds. */
async function compare(t: TestContext, owner: Owner, sidecar: SidecarProcess, port: number): Promise<number> {
  const alone: number[] = [];
  const beside: number[] = [];
  const connections = (): Promise<number> => sidecar.stat("http.in.downstream_cx_active");
  for (let round = 0; round < ROUNDS; round++) {
    alone.push(await p99(port));
    const before = sidecar.residentBytes();
    const slow = await startSlowClients(owner, port);
    await eventually(
      "all slow connections are accepted",
      async () => (await connections()) >= SLOW_WRITERS + SLOW_READERS,
    );
    beside.push(await p99(port));
    const held = sidecar.residentBytes() - before;
    assert.ok(held <= SLOW_READERS * MAX_BYTES_HELD, `${held} bytes are held for slow clients`);
    t.diagnostic(`p99 ${alone.at(-1)} ms alone, ${beside.at(-1)} ms beside slow clients, ${held >> 20} MiB held`);
    await endSlowClients(slow);
    await eventually("the slow connections are gone", async () => (await connections()) === 0);
  }
  return median(beside) / median(alone);
}

async function startSlowClients(owner: Owner, port: number): Promise<ChildProcess> {
  const program = join(import.meta.dirname, "../harness/slow-clients.ts");
  const child = spawn(process.execPath, [program, String(port), String(SLOW_WRITERS), String(SLOW_READERS)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  owner.after(() => child.kill("SIGKILL"));
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  await eventually("the slow clients are connected", () => said.includes("ready") || child.exitCode !== null, 60_000);
  assert.equal(child.exitCode, null, "the slow clients run");
  return child;
}

async function endSlowClients(child: ChildProcess): Promise<void> {
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.stdin?.end();
  assert.equal(await ended, 0, "no slow client was turned away");
}

/** Of one client on one connection, in milliseconds. */
async function p99(port: number): Promise<number> {
  const times: number[] = [];
  const done = Promise.withResolvers<void>();
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  let sentAt = 0;
  const ask = (): void => {
    sentAt = performance.now();
    socket.write("GET /small HTTP/1.1\r\nHost: a\r\n\r\n");
  };
  socket.on("connect", ask);
  socket.on("error", done.reject);
  socket.setEncoding("latin1").on("data", (text: string) => {
    if (!text.startsWith("HTTP/1.1 200 ")) done.reject(new Error(text));
    times.push(performance.now() - sentAt);
    if (times.length < REQUESTS) ask();
    else done.resolve();
  });
  await done.promise;
  socket.destroy();
  return Number(times.sort((a, b) => a - b)[Math.floor(REQUESTS * 0.99)]?.toFixed(3));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
