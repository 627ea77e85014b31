import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";

const PROGRAM = ["--conditions=heddle-src", join(import.meta.dirname, "main.ts")];

/** Runs the program to its end. */
function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [...PROGRAM, ...args], { encoding: "utf8", timeout: 60_000 });
}

interface Started {
  readonly child: ChildProcess;
  /** "127.0.0.1:40000"; "" without one. */
  readonly admin: string;
  /** The exit code, and why it stopped, as its log says. */
  readonly ended: Promise<{ code: number | null; reason: string | undefined }>;
}

/** Starts the program with these flags and waits until it says that it is ready. */
async function start(t: TestContext, flags: readonly string[] = [], bootstrap = "node: {}"): Promise<Started> {
  const child = spawn(process.execPath, [...PROGRAM, "--config-yaml", bootstrap, ...flags], {
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
  return { child, ended, admin: /admin is up address=(\S+)/.exec(log)?.[1] ?? "" };
}

test("help and version are printed and end with 0", () => {
  const help = run("--help");
  assert.equal(help.status, 0, help.stderr);
  assert.match(help.stdout, /^Usage: heddle sidecar -c FILE/);
  assert.match(run("--version").stdout, /^\nheddle {2}version: [0-9a-f]{40}\/\d+\.\d+\.\d+\/\w+\/RELEASE\/\S+\n\n$/);
  assert.equal(run("--hot-restart-version").stdout, "disabled\n");
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

test("a configuration is validated without starting anything, for people and as JSON", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-main-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "envoy.yaml");
  writeFileSync(file, "node: {}\nstats_config: {}\n");
  const valid = run("--mode", "validate", "-c", file);
  assert.deepEqual([valid.status, valid.stdout], [0, `configuration '${file}' OK\n`]);
  const wrong = run("--mode", "validate", "-c", file, "--config-yaml", "nod: {}\nadmn: {}");
  assert.deepEqual([wrong.status, wrong.stdout], [1, ""]);
  assert.match(
    wrong.stderr,
    /^error: --config-yaml:1:1: nod: is no field .*\nerror: --config-yaml:2:1: admn: is no field/,
  );
  const json = JSON.parse(run("--mode", "validate", "--json", "--config-yaml", "nod: {}").stdout);
  assert.deepEqual([json.valid, json.errors[0].path, json.errors[0].line], [false, "nod", 1]);
});

test("init_only ends once everything serves, and flags without effect are told once", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "heddle-main-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const [address, log] = [join(folder, "admin"), join(folder, "log")];
  const words = "--mode init_only --restart-epoch 0 --admin-address 127.0.0.1:0 --admin-address-path".split(" ");
  const { status, stderr } = run("--config-yaml", "node: {}", ...words, address, "--log-path", log);
  assert.equal(status, 0, stderr);
  assert.equal(stderr, "");
  assert.match(readFileSync(address, "utf8"), /^127\.0\.0\.1:\d+$/);
  const lines = readFileSync(log, "utf8");
  assert.equal(lines.match(/--restart-epoch has no effect/g)?.length, 1);
  assert.match(lines, /info ready .*\n.*stopping reason="--mode init_only"/);
});

test("SIGTERM stops it, and it ends with 0", async (t) => {
  const { child, ended } = await start(t);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, { code: 0, reason: "SIGTERM" });
});

test("a start that hangs, as a worker does that never loads, ends when it is asked to stop twice", () => {
  const at = (file: string): string => JSON.stringify(join(import.meta.dirname, file));
  const program = `
    import { parseSidecarFlags } from ${at("flags.ts")};
    import { runProgram } from ${at("program.ts")};
    import { WorkerThread } from ${at("control/workers/worker-thread.ts")};
    const { flags } = parseSidecarFlags(["--config-yaml", "node: {}"]).value;
    const openThread = (worker) => new WorkerThread(new URL("data:text/javascript,for(;;);"), worker, undefined);
    const look = setInterval(() => {
      if (process.listenerCount("SIGTERM") === 0) return;
      clearInterval(look);
      for (let i = 0; i < 2; i++) process.emit("SIGTERM");
    }, 10);
    process.exit(await runProgram({ flags, filterFolder: ".", openThread, env: {} }));
  `;
  const words = ["--conditions=heddle-src", "--input-type=module", "--eval", program];
  const { status, stderr } = spawnSync(process.execPath, words, {
    encoding: "utf8",
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
  assert.match(stderr, /a start that does not end is given up reason=SIGTERM/);
  assert.equal(status, 1);
});

test("the end of its standard input stops it where it goes with its parent", async (t) => {
  const { child, ended } = await start(t, ["--exit-with-parent"]);
  child.stdin?.end();
  assert.deepEqual(await ended, { code: 0, reason: '"the parent process has ended"' });
});

test("the end of its standard input means nothing elsewhere", async (t) => {
  const { child, ended } = await start(t);
  await new Promise((resolve) => child.stdin?.end(resolve));
  child.kill("SIGTERM");
  assert.deepEqual(await ended, { code: 0, reason: "SIGTERM" });
});

test("it serves by its bootstrap, and a request in flight at SIGTERM is answered before it ends", async (t) => {
  const arrived = Promise.withResolvers<ServerResponse>();
  const upstream = createServer((_, response) => arrived.resolve(response)).listen(0, "127.0.0.1");
  t.after(() => upstream.closeAllConnections());
  t.after(() => upstream.close());
  await once(upstream, "listening");
  const { port } = upstream.address() as AddressInfo;
  const { child, ended, admin } = await start(
    t,
    ["--admin-address", "127.0.0.1:0", "--drain-time-s", "60"],
    forwardTo(port),
  );

  const [listener] = (await (await fetch(`http://${admin}/listeners`)).text()).trim().split("::").slice(1);
  const answer = fetch(`http://${listener}/orders`);
  const response = await arrived.promise;
  child.kill("SIGTERM");
  await untilRefused(listener ?? "");
  response.end("in stock");
  assert.equal(await (await answer).text(), "in stock");
  assert.deepEqual(await ended, { code: 0, reason: "SIGTERM" });
});

/** Resolves once nobody accepts there any more. */
async function untilRefused(address: string): Promise<void> {
  const [host, port] = address.split(":");
  for (;;) {
    const socket = connect({ host: host ?? "", port: Number(port) });
    const outcome = await new Promise((resolve) =>
      socket.once("connect", resolve).once("error", () => resolve("refused")),
    );
    socket.destroy();
    if (outcome === "refused") return;
  }
}

function forwardTo(port: number): string {
  const envoy = "type.googleapis.com/envoy.extensions.filters";
  return `
    static_resources:
      listeners:
        - name: in
          address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
          filter_chains:
            - filters:
                - name: http
                  typed_config:
                    "@type": ${envoy}.network.http_connection_manager.v3.HttpConnectionManager
                    stat_prefix: in
                    route_config:
                      virtual_hosts: [{ name: all, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: app } }] }]
                    http_filters: [{ name: router, typed_config: { "@type": ${envoy}.http.router.v3.Router } }]
      clusters:
        - name: app
          load_assignment:
            cluster_name: app
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } } }] }]`;
}
