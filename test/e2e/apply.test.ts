import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { adsBootstrap, rds } from "../harness/control-plane.ts";
import { type Json, listener } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { projectRoot } from "../harness/imports.ts";
import { heddleBin } from "../harness/mesh.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { scratchFolder, spawnSidecar } from "../harness/sidecar.ts";

const ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

test("what heddle apply puts is in force in a sidecar, whole or not at all, and outlives kill -9 of the control plane", async (t) => {
  const owner = lastFirst(t);
  const folder = scratchFolder(owner);
  mkdirSync(join(folder, "mesh"));
  const write = (name: string, json: unknown): string => {
    writeFileSync(join(folder, name), JSON.stringify(json, null, 2));
    return join(folder, name);
  };
  const flags = ["--store", join(folder, "store")];
  const first = await startControlPlane(owner, flags);
  const heddle = (...words: string[]) => run(words, { HEDDLE_API: `http://${first.api}` });

  const typed = { "@type": "type.googleapis.com/envoy.config.listener.v3.Listener" };
  write("mesh/listener.json", { ...typed, ...listener({ name: "in", routes: rds("r") }) });
  write("mesh/routes.json", routes("one"));
  const mesh = join(folder, "mesh");
  const applied = await heddle("apply", "-f", mesh);
  assert.deepEqual(applied, {
    code: 0,
    out: "listener/in created (version 1)\nroute/r created (version 1)\n",
    errors: "",
  });

  const sidecar = spawnSidecar(adsBootstrap(portOf(first.xds), "delta"), owner, { expectedErrors: /./ });
  await sidecar.untilReady();
  const port = await sidecar.port("in");
  const inForce = (body: string) =>
    eventually(`"${body}" is in force`, async () => (await (await fetch(`http://127.0.0.1:${port}/`)).text()) === body);
  await inForce("one");

  // A change, seen by a watch.
  const watch = spawn(process.execPath, [heddleBin, "watch", "route"], {
    env: { ...process.env, HEDDLE_API: `http://${first.api}` },
  });
  owner.after(() => watch.kill("SIGKILL"));
  let watched = "";
  watch.stdout.setEncoding("utf8").on("data", (text: string) => (watched += text));
  const two = write("two.json", routes("two"));
  assert.equal((await heddle("apply", "-f", two, "--expect-version", "1")).out, "route/r changed (version 2)\n");
  const from = performance.now();
  await inForce("two");
  t.diagnostic(`in force ${Math.round(performance.now() - from)} ms after heddle apply had ended`);
  await eventually("the watch has told of it", () => watched.includes("2 put route/r"));

  // What is stale, what is wrong, and what is only tried changes nothing.
  const three = write("three.json", routes("three"));
  const bad = write("bad.json", { ...routes("bad"), name: "s", virtual_hosts: [{ name: "v", domains: [] }] });
  const [stale, wrong, dry, diff, shown] = await Promise.all([
    heddle("apply", "-f", three, "--expect-version", "1"),
    heddle("apply", "-f", three, "-f", bad),
    heddle("apply", "-f", three, "--dry-run"),
    heddle("diff", "-f", three),
    heddle("get", "route/r", "-o", "yaml"),
  ]);
  assert.deepEqual([stale.code, stale.errors], [3, "error: route/r has version 2, expected 1\n"]);
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.errors,
    /^error: \S+bad\.json:7:7: virtual_hosts\[0\]\.domains: .*\nerror: nothing was stored: 1 error\n$/,
  );
  assert.deepEqual([dry.code, dry.out], [0, "route/r changed (dry run)\n"]);
  assert.equal(diff.code, 1);
  assert.match(
    diff.out,
    /^--- route\/r version 2\n\+\+\+ route\/r\n@@ .*\n(?: .*\n)*-.*inline_string: two\n\+.*inline_string: three\n/,
  );
  assert.match(shown.out, /^# route\/r, version 2, .*by heddle apply\n/);

  // For this node's cluster alone, and back.
  assert.equal((await heddle("apply", "-f", three, "--for", "node.cluster=test")).code, 0);
  await inForce("three");
  assert.equal(
    (await heddle("delete", "route/r", "--for", "node.cluster=test")).out,
    "route/r for node.cluster=test deleted\n",
  );
  await inForce("two");

  // The store is what was acknowledged, whatever happens to the process.
  first.process.kill("SIGKILL");
  const second = await startControlPlane(owner, [...flags, "--xds-address", first.xds, "--api-address", first.api]);
  assert.equal(
    (await heddle("apply", "-f", join(folder, "mesh/routes.json"), "--expect-version", "2")).out,
    "route/r changed (version 5)\n",
  );
  await inForce("one");
  await eventually("the watch has gone on", () => watched.includes("5 put route/r"));
  const status = (await (await fetch(`http://${second.admin}/status`)).json()) as {
    resources: { revision: number; resources: number };
  };
  assert.deepEqual([status.resources.revision, status.resources.resources], [5, 2]);
});

test("with a token file nobody writes without a token, and a token writes for its group alone", async (t) => {
  const owner = lastFirst(t);
  const folder = scratchFolder(owner);
  const made = await run(["token", "new", "web-team", "--group", "web", "--json"], {});
  const { token, entry } = JSON.parse(made.out) as { token: string; entry: Json };
  writeFileSync(join(folder, "tokens.yaml"), JSON.stringify([entry]));
  assert.ok(!readFileSync(join(folder, "tokens.yaml"), "utf8").includes(token));
  writeFileSync(join(folder, "routes.json"), JSON.stringify(routes("one")));
  writeFileSync(join(folder, "token"), `${token}\n`);
  const { api, log } = await startControlPlane(owner, [
    "--store",
    join(folder, "store"),
    "--api-tokens",
    join(folder, "tokens.yaml"),
  ]);
  const heddle = (...words: string[]) => run(words, { HEDDLE_API: `http://${api}` });
  const file = join(folder, "routes.json");
  const withToken = ["--token-file", join(folder, "token")];
  const [nobody, everybody, group] = await Promise.all([
    heddle("apply", "-f", file),
    heddle("apply", "-f", file, ...withToken),
    heddle("apply", "-f", file, "--for", "node.cluster=web", ...withToken),
  ]);
  assert.deepEqual(
    [nobody.code, nobody.errors],
    [1, "error: no token that is known\nname a token with --token-file or HEDDLE_TOKEN\n"],
  );
  assert.deepEqual([everybody.code, everybody.errors], [1, 'error: "web-team" may not write route/r\n']);
  assert.deepEqual([group.code, group.out], [0, "route/r for node.cluster=web created (version 1)\n"]);
  assert.match(log(), /resources written .*web-team/);
  assert.ok(!log().includes(token));
});

interface RunningControlPlane {
  readonly process: ChildProcess;
  /** "127.0.0.1:40000" */
  readonly xds: string;
  readonly admin: string;
  readonly api: string;
  readonly log: () => string;
}

async function startControlPlane(owner: Owner, flags: readonly string[]): Promise<RunningControlPlane> {
  const anyPort = ["--xds-address", "--admin-address", "--api-address"].flatMap((flag) =>
    flags.includes(flag) ? [] : [flag, "127.0.0.1:0"],
  );
  const child = spawn(process.execPath, [heddleBin, "control-plane", ...anyPort, ...flags], {
    cwd: projectRoot,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
  const ended = new Promise((resolve) => child.once("close", resolve));
  owner.after(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  const found = (name: string): string =>
    new RegExp(`control plane is up.* ${name}=(?:http://)?([\\d.:]+)`).exec(log)?.[1] ?? "";
  await eventually(
    "the control plane is up",
    () => {
      assert.equal(child.exitCode, null, log);
      return log.includes("control plane is up");
    },
    60_000,
  );
  return { process: child, xds: found("xds"), admin: found("admin"), api: found("api"), log: () => log };
}

function run(words: readonly string[], environment: Readonly<Record<string, string>>) {
  return new Promise<{ readonly code: number | null; readonly out: string; readonly errors: string }>((resolve) => {
    const child = spawn(process.execPath, [heddleBin, ...words], { env: { ...process.env, ...environment } });
    let [out, errors] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
    child.once("close", (code) => resolve({ code, out, errors }));
  });
}

/** Answers everything with this text. */
function routes(body: string): Json {
  const direct = { status: 200, body: { inline_string: body } };
  const all = { name: "v", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: direct }] };
  return { "@type": ROUTES, name: "r", virtual_hosts: [all] };
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}
