import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { Log, StatsFilter } from "@heddle/telemetry";
import type { Address } from "@heddle/traffic";
import type { AdminPage } from "./admin-page.ts";
import { AdminServer } from "./admin-server.ts";
import { type ServerState, serverPages } from "./server-pages.ts";
import { statsPages } from "./stats-pages.ts";

const LOOPBACK: Address = { type: "socket", address: "127.0.0.1", port: 0 };

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** A server with these pages on a free loopback port; gone at the end of the test. */
async function serve(t: TestContext, pages: readonly AdminPage[]): Promise<{ port: number; errors: unknown[] }> {
  const errors: unknown[] = [];
  const log = { error: (_: string, fields: { error: unknown }) => errors.push(fields.error) } as unknown as Log;
  const server = new AdminServer(LOOPBACK, pages, log);
  const listening = await server.listen();
  t.after(() => server.close());
  assert.ok(listening.ok && listening.value.type === "socket");
  return { port: listening.value.port, errors };
}

function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, path, agent: false, ...options }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", body }),
      );
    });
    call.on("error", reject);
    call.end();
  });
}

const hello: AdminPage = { path: "/hello", method: "GET", help: "says hello", answer: () => ({ body: "hello\n" }) };

test("answers its pages, lists them at /, and names them where there is none", async (t) => {
  const { port } = await serve(t, [hello]);
  assert.deepEqual(await ask(port, "/hello?x=1"), { status: 200, type: "text/plain; charset=utf-8", body: "hello\n" });
  assert.equal((await ask(port, "/")).body, "/hello  says hello\n");
  const missing = await ask(port, "/helo");
  assert.equal(missing.status, 404);
  assert.match(missing.body, /there is no \/helo\n\n\/hello/);
});

test("a HEAD request gets no body, another method is refused", async (t) => {
  const { port } = await serve(t, [hello]);
  assert.deepEqual(await ask(port, "/hello", { method: "HEAD" }), {
    status: 200,
    type: "text/plain; charset=utf-8",
    body: "",
  });
  assert.equal((await ask(port, "/hello", { method: "POST" })).status, 405);
});

test("what changes something takes POST, and not from another origin", async (t) => {
  let called = 0;
  const page: AdminPage = {
    path: "/quit",
    method: "POST",
    help: "",
    answer: () => {
      called += 1;
      return { body: "OK\n" };
    },
  };
  const { port } = await serve(t, [page]);
  assert.equal((await ask(port, "/quit")).status, 405);
  assert.equal((await ask(port, "/quit", { method: "POST", headers: { origin: "http://evil.test" } })).status, 403);
  assert.equal((await ask(port, "/quit", { method: "POST", headers: { origin: "null" } })).status, 403);
  assert.equal(called, 0);
  assert.equal((await ask(port, "/quit", { method: "POST" })).status, 200);
  const own = { origin: `http://127.0.0.1:${port}` };
  assert.equal((await ask(port, "/quit", { method: "POST", headers: own })).status, 200);
  assert.equal(called, 2);
});

test("a name that somebody else may own is refused as the host (DNS rebinding)", async (t) => {
  const { port } = await serve(t, [hello]);
  for (const host of ["evil.test", "evil.test:80", "127.0.0.1.evil.test", "localhost.evil.test"])
    assert.equal((await ask(port, "/hello", { headers: { host } })).status, 403, host);
  for (const host of ["localhost", "LOCALHOST:15000", "127.0.0.1", "[::1]:15000", "10.0.0.1:1"])
    assert.equal((await ask(port, "/hello", { headers: { host } })).status, 200, host);
});

test("a page that throws answers 500, is logged, and the server goes on", async (t) => {
  const broken: AdminPage = {
    ...hello,
    path: "/broken",
    answer: () => {
      throw new Error("secret detail");
    },
  };
  const { port, errors } = await serve(t, [broken, hello]);
  const answer = await ask(port, "/broken");
  assert.equal(answer.status, 500);
  assert.doesNotMatch(answer.body, /secret/);
  assert.equal(errors.length, 1);
  assert.equal((await ask(port, "/hello")).status, 200);
});

test("bytes that are no HTTP end that connection alone", async (t) => {
  const { port } = await serve(t, [hello]);
  await new Promise<void>((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }, () => socket.write("\0\0\0\r\n\r\n"));
    socket.resume();
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
  });
  assert.equal((await ask(port, "/hello")).status, 200);
});

test("a taken address is named, with the flag that names another", async (t) => {
  const { port } = await serve(t, [hello]);
  const second = new AdminServer({ type: "socket", address: "127.0.0.1", port }, [], {} as Log);
  assert.deepEqual(await second.listen(), {
    ok: false,
    error: `admin cannot listen on 127.0.0.1:${port}: the address is taken; --admin-address names another`,
  });
});

test("ready tells the state: 200 only when live", async (t) => {
  let state: ServerState = "INITIALIZING";
  let quits = 0;
  const clock = new ManualClock();
  const pages = serverPages({
    version: "0.1.0",
    node: { id: "n", cluster: "c", metadata: {}, locality: { region: "", zone: "z", subZone: "" } },
    commandLine: { concurrency: 2 },
    clock,
    state: () => state,
    listeners: () => [{ name: "in", address: { type: "socket", address: "::", port: 80 } }],
    parts: [{ name: "dns", inspect: () => ({ a: 1 }) }],
    quit: () => {
      quits += 1;
    },
  });
  const { port } = await serve(t, pages);
  assert.deepEqual([(await ask(port, "/ready")).status, (await ask(port, "/ready")).body], [503, "INITIALIZING\n"]);
  state = "LIVE";
  assert.deepEqual([(await ask(port, "/ready")).status, (await ask(port, "/ready")).body], [200, "LIVE\n"]);
  clock.advance(61_500);
  assert.deepEqual(JSON.parse((await ask(port, "/server_info")).body), {
    version: "heddle/0.1.0",
    state: "LIVE",
    uptime_current_epoch: "61s",
    uptime_all_epochs: "61s",
    hot_restart_version: "disabled",
    command_line_options: { concurrency: 2 },
    node: { id: "n", cluster: "c", metadata: {}, locality: { region: "", zone: "z", sub_zone: "" } },
  });
  assert.equal((await ask(port, "/listeners")).body, "in::[::]:80\n");
  assert.deepEqual(JSON.parse((await ask(port, "/listeners?format=json")).body).listener_statuses[0].name, "in");
  assert.deepEqual(JSON.parse((await ask(port, "/inspect")).body), { dns: { a: 1 } });
  await ask(port, "/quitquitquit", { method: "POST" });
  assert.equal(quits, 1);
});

test("statistics come as text and for Prometheus, filtered by a pattern found anywhere in the name", async (t) => {
  const names = ["cluster.a.upstream_rq_total", "http.in.downstream_rq_total"];
  const write = (filter: StatsFilter): string =>
    `${filter.usedOnly} ${names.filter(filter.matches ?? (() => true)).join(" ")}`;
  const { port } = await serve(t, statsPages({ text: write, prometheus: (filter) => `prometheus ${write(filter)}` }));
  assert.equal((await ask(port, "/stats")).body, `false ${names.join(" ")}`);
  assert.equal((await ask(port, "/stats?filter=upstream&usedonly")).body, `true ${names[0]}`);
  assert.equal((await ask(port, "/stats?filter=^http")).body, `false ${names[1]}`);
  assert.equal((await ask(port, "/stats?format=prometheus&filter=total$")).body, `prometheus false ${names.join(" ")}`);
  assert.match((await ask(port, "/stats/prometheus")).type, /^text\/plain; version=0\.0\.4/);
  assert.equal((await ask(port, "/stats?filter=(")).status, 400);
});
