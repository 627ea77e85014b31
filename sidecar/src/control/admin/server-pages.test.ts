import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { Log, StatsFilter } from "@heddle/telemetry";
import { type AdminPage, AdminServer } from "@heddle/telemetry/admin";
import type { Address } from "@heddle/traffic";
import { listenAdmin } from "./listen-admin.ts";
import { type ServerState, serverPages } from "./server-pages.ts";
import { statsPages } from "./stats-pages.ts";

const LOOPBACK = { type: "socket", address: "127.0.0.1", port: 0 } as const satisfies Address;

/** A server with these pages on a free loopback port; gone at the end of the test. */
async function serve(t: TestContext, pages: readonly AdminPage[]): Promise<{ port: number }> {
  const server = new AdminServer(pages, {} as Log);
  const listening = await listenAdmin(server, LOOPBACK);
  t.after(() => server.close());
  assert.ok(listening.ok && listening.value.type === "socket");
  return { port: listening.value.port };
}

async function ask(port: number, path: string, options: { method?: string } = {}) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { ...options, headers: { connection: "close" } });
  return { status: response.status, type: response.headers.get("content-type") ?? "", body: await response.text() };
}

test("a taken address is named, with the flag that names another", async (t) => {
  const { port } = await serve(t, []);
  assert.deepEqual(await listenAdmin(new AdminServer([], {} as Log), { ...LOOPBACK, port }), {
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
    reopenLogs: () => undefined,
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
