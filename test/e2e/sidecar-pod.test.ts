import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { heddleBin } from "../harness/mesh.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { startSidecar } from "../harness/sidecar.ts";

/* What a sidecar serves to the kubelet and to Prometheus, and how it ends in a pod. */

async function application(owner: Owner): Promise<{ readonly port: number; status: number }> {
  const app = { port: 0, status: 200 };
  const server = createServer((_, response) => response.writeHead(app.status).end("body of the application"));
  owner.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  app.port = (server.address() as AddressInfo).port;
  return app;
}

/** Where it listens, as its log says. */
async function portOf(sidecar: { readonly log: string }, what: "health" | "metrics"): Promise<number> {
  const pattern = new RegExp(`${what} is up.*127\\.0\\.0\\.1:(\\d+)`);
  await eventually(`${what} is up`, () => pattern.test(sidecar.log));
  return Number(pattern.exec(sidecar.log)?.[1]);
}

function wait(...args: string[]): Promise<number | null> {
  const child = spawn(process.execPath, [heddleBin, "wait", ...args], { stdio: ["ignore", "ignore", "ignore"] });
  return new Promise((resolve) => child.once("exit", resolve));
}

test("in a pod: readiness, liveness, the application's probes and metrics; nothing else, and nothing that changes anything", async (t) => {
  const owner = lastFirst(t);
  const app = await application(owner);
  const upstream = await RawUpstream.listen(owner);
  const bootstrap = staticBootstrap(
    [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
    [cluster("app", [upstream.port])],
  );
  const probes = {
    "/app-health/web/livez": { httpGet: { port: app.port, path: "/healthz" }, timeoutSeconds: 30 },
    "/app-health/web/readyz": { tcpSocket: { port: app.port }, timeoutSeconds: 30 },
  };
  const sidecar = await startSidecar(bootstrap, owner, {
    flags: ["--health-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0"],
    environment: { HEDDLE_APP_PROBES: JSON.stringify(probes), POD_IPS: "127.0.0.1" },
  });
  const [health, metrics] = [await portOf(sidecar, "health"), await portOf(sidecar, "metrics")];
  const get = async (port: number, path: string, init: RequestInit = {}): Promise<readonly [number, string]> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers: { connection: "close" } });
    return [answer.status, await answer.text()];
  };
  assert.deepEqual(await get(health, "/healthz/ready"), [200, "LIVE\n"]);
  assert.deepEqual(await get(health, "/healthz/live"), [200, "alive\n"]);
  assert.deepEqual(await get(health, "/app-health/web/livez"), [200, "ok\n"]);
  assert.deepEqual(await get(health, "/app-health/web/readyz"), [200, "ok\n"]);
  app.status = 500;
  assert.deepEqual(await get(health, "/app-health/web/livez"), [500, "the application answered 500\n"]);
  assert.match((await get(metrics, "/stats/prometheus"))[1], /^envoy_server_live 1$/m);
  assert.match((await get(metrics, "/metrics"))[1], /^envoy_server_live 1$/m);
  for (const [port, path] of [
    [health, "/app-health/other/livez"],
    [health, "/app-health/web/livez/../readyz/x"],
    [health, "/config_dump"],
    [health, "/metrics"],
    [metrics, "/quitquitquit"],
    [metrics, "/app-health/web/livez"],
  ] as const)
    assert.equal((await get(port, path))[0], 404, path);
  assert.equal((await get(health, "/healthz/ready", { method: "POST" }))[0], 405);
  assert.equal(await wait("--ready", "--health", `127.0.0.1:${health}`, "--timeout", "30s"), 0);
});

test("at SIGTERM the kubelet is told that the sidecar is not ready, while a request goes on to its end; then the process ends", async (t) => {
  const owner = lastFirst(t);
  const upstream = await RawUpstream.listen(owner);
  const bootstrap = staticBootstrap(
    [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app")]) })],
    [cluster("app", [upstream.port])],
  );
  const sidecar = await startSidecar(bootstrap, owner, { drainTimeS: 60, flags: ["--health-address", "127.0.0.1:0"] });
  const health = await portOf(sidecar, "health");
  const peer = await RawPeer.connect(await sidecar.port("in"), owner);
  await peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const request = await upstream.next();
  await request.message();
  const idle = (): Promise<number | null> =>
    wait("--idle", "--admin", sidecar.admin, "--least", "0s", "--timeout", "1ms");
  assert.equal(await idle(), 1, "somebody has a connection");
  sidecar.terminate();
  await eventually("it is not ready", async () => {
    const answer = await fetch(`http://127.0.0.1:${health}/healthz/ready`, { headers: { connection: "close" } });
    return answer.status === 503 && (await answer.text()) === "DRAINING\n";
  });
  await request.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
  const answer = await peer.message();
  assert.deepEqual([answer.status, answer.headers.get("connection")], [200, "close"]);
  assert.equal(await sidecar.ended, 0);
  assert.equal(await idle(), 0, "it has ended");
});
