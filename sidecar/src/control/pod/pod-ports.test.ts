import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { Log } from "@heddle/telemetry";
import { eventually } from "@heddle/xds/testing";
import { openPodPorts, type PodPortSettings } from "./pod-ports.ts";

interface Pod {
  readonly health: number;
  /** What the application has been asked. */
  readonly asked: IncomingMessage[];
  /** Answers to come. */
  readonly held: ServerResponse[];
}

async function pod(t: TestContext): Promise<Pod> {
  const asked: IncomingMessage[] = [];
  const held: ServerResponse[] = [];
  const app = createServer((request, response) => {
    asked.push(request);
    held.push(response);
  });
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  t.after(() => app.closeAllConnections());
  t.after(() => app.close());
  const { port } = app.address() as AddressInfo;
  let health = 0;
  const log = {
    info: (_: string, { address }: { readonly address: string }) => (health = Number(/:(\d+)$/.exec(address)?.[1])),
    error: () => undefined,
  } as unknown as Log;
  const probe = { httpGet: { port, path: "/healthz" }, timeoutSeconds: 60 };
  const opened = await openPodPorts(settings({ "/app-health/web/livez": probe, "/app-health/web/prestop": probe }), {
    state: () => "LIVE",
    prometheus: () => ({ body: "" }),
    log,
  });
  assert.ok(opened.ok, opened.ok ? "" : opened.error);
  t.after(() => opened.value.close());
  return { health, asked, held };
}

function settings(probes: object, port = 0): PodPortSettings {
  return {
    health: { type: "socket", address: "127.0.0.1", port },
    metrics: undefined,
    probes: JSON.stringify(probes),
    podIp: "127.0.0.1",
    isCaptured: false,
  };
}

async function ask(port: number, path: string, userAgent: string): Promise<readonly [number, string]> {
  const headers = { connection: "close", "user-agent": userAgent, "x-other": "y", cookie: "a=b" };
  const answer = await fetch(`http://127.0.0.1:${port}${path}?x=1`, { headers });
  return [answer.status, await answer.text()];
}

test("W13: many who ask for one probe are one question to the application, and all are told its answer", async (t) => {
  const { health, asked, held } = await pod(t);
  // In one write, so that all are read before the first is answered.
  const neighbour = connect(health, "127.0.0.1");
  t.after(() => neighbour.destroy());
  let told = "";
  neighbour.setEncoding("latin1").on("data", (text: string) => (told += text));
  neighbour.write("GET /app-health/web/prestop HTTP/1.1\r\nhost: a\r\n\r\n".repeat(25));
  await eventually(() => asked.length > 0);
  // The kubelet's own is not kept waiting by it.
  const kubelet = ask(health, "/app-health/web/livez", "kube-probe/1.34");
  await eventually(() => asked.length > 1);
  held[1]?.writeHead(204).end();
  assert.deepEqual(await kubelet, [200, "ok\n"]);
  held[0]?.writeHead(503).end();
  await eventually(() => told.split("the application answered 503\n").length === 26);
  assert.equal(asked.length, 2);
  const again = ask(health, "/app-health/web/prestop", "curl/8");
  await eventually(() => asked.length === 3);
  held[2]?.end();
  assert.equal((await again)[0], 200);
});

test("W13: nothing of what a neighbour asks reaches the application, which knows the kubelet by its name alone", async (t) => {
  const { health, asked, held } = await pod(t);
  for (const [said, told] of [
    ["curl/8", "heddle-probe"],
    ["kube-probe/1.34+", "kube-probe/1.34+"],
    ["kube-probe/1.34 admin", "heddle-probe"],
  ] as const) {
    const answer = ask(health, "/app-health/web/livez", said);
    await eventually(() => held.length > 0);
    held.pop()?.end();
    await answer;
    const { url, headers } = asked.at(-1)!;
    assert.deepEqual(
      [url, headers["user-agent"], headers["x-other"], headers["cookie"]],
      ["/healthz", told, undefined, undefined],
    );
  }
});

test("W13: one address has 32 connections at the most, and gets new ones when those have ended", async (t) => {
  const { health } = await pod(t);
  const open = (): Promise<Socket | undefined> =>
    new Promise((resolve) => {
      const socket = connect(health, "127.0.0.1", () => {
        socket.write("GET /healthz/live HTTP/1.1\r\nhost: a\r\n\r\n");
      });
      t.after(() => socket.destroy());
      socket.on("error", () => resolve(undefined));
      socket.once("data", () => resolve(socket));
      socket.once("close", () => resolve(undefined));
    });
  const sockets = await Promise.all(Array.from({ length: 40 }, open));
  assert.equal(sockets.filter(Boolean).length, 32);
  for (const socket of sockets) socket?.destroy();
  let anew: Socket | undefined;
  while (anew === undefined) anew = await open(); // each attempt waits for the system
});

test("W13: one address that reads slowly does not keep another one from the metrics", async (t) => {
  const piece = "x".repeat(1024 * 1024);
  let port = 0;
  const opened = await openPodPorts(
    { ...settings({}), health: undefined, metrics: { type: "socket", address: "127.0.0.1", port: 0 } },
    {
      state: () => "LIVE",
      prometheus: () => ({ body: Array.from({ length: 64 }, () => piece) }),
      log: {
        info: (_: string, { address }: { readonly address: string }) => (port = Number(/:(\d+)$/.exec(address)?.[1])),
        error: () => undefined,
      } as unknown as Log,
    },
  );
  assert.ok(opened.ok);
  t.after(() => opened.value.close());
  /** The status of a scrape of which no more is read than its beginning. */
  const scrape = (localAddress: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", localAddress }, () =>
        socket.write("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n"),
      );
      t.after(() => socket.destroy());
      socket.on("error", reject).once("data", (bytes: Buffer) => {
        socket.pause();
        resolve(bytes.toString("latin1", 9, 12));
      });
    });
  const neighbour = [];
  for (let i = 0; i < 6; i++) neighbour.push(await scrape("127.0.0.1"));
  assert.deepEqual(neighbour, ["200", "200", "503", "503", "503", "503"]);
  assert.equal(await scrape("127.0.0.2"), "200");
});

test("a probe that would have the sidecar ask itself is refused", async () => {
  const probe = { tcpSocket: { port: 15_021 } };
  const opened = await openPodPorts(settings({ "/app-health/web/livez": probe }, 15_021), {
    state: () => "LIVE",
    prometheus: () => ({ body: "" }),
    log: { info: () => undefined } as unknown as Log,
  });
  assert.deepEqual(opened, {
    ok: false,
    error: 'HEDDLE_APP_PROBES: "/app-health/web/livez": port: 15021 is the sidecar\'s own',
  });
});
