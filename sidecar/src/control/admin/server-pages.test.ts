import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { type Log, LogLevels, MetricsRegistry, SharedMetrics } from "@heddle/telemetry";
import { type AdminPage, AdminServer } from "@heddle/telemetry/admin";
import type { Address } from "@heddle/traffic";
import { lifecyclePages } from "./lifecycle-pages.ts";
import { listenAdmin } from "./listen-admin.ts";
import { loggingPage } from "./logging-page.ts";
import { processPages } from "./process-pages.ts";
import { type ServerState, serverPages } from "./server-pages.ts";
import { statsPages } from "./stats-pages.ts";
import { StatsView } from "./stats-view.ts";

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
  const clock = new ManualClock();
  const pages = serverPages({
    version: "c0ffee/0.1.0/Clean/RELEASE/TLS",
    node: { id: "n", cluster: "c", metadata: {}, locality: { region: "", zone: "z", subZone: "" } },
    commandLine: { concurrency: 2 },
    clock,
    state: () => state,
    listeners: () => [{ name: "in", address: { type: "socket", address: "::", port: 80 } }],
    parts: [{ name: "dns", inspect: () => ({ a: 1 }) }],
  });
  const { port } = await serve(t, pages);
  assert.deepEqual([(await ask(port, "/ready")).status, (await ask(port, "/ready")).body], [503, "INITIALIZING\n"]);
  state = "LIVE";
  assert.deepEqual([(await ask(port, "/ready")).status, (await ask(port, "/ready")).body], [200, "LIVE\n"]);
  clock.advance(61_500);
  assert.deepEqual(JSON.parse((await ask(port, "/server_info")).body), {
    version: "c0ffee/0.1.0/Clean/RELEASE/TLS",
    state: "LIVE",
    hot_restart_version: "disabled",
    command_line_options: { concurrency: 2 },
    node: {
      id: "n",
      cluster: "c",
      metadata: {},
      locality: { region: "", zone: "z", sub_zone: "" },
      user_agent_name: "heddle",
    },
    uptime_current_epoch: "61s",
    uptime_all_epochs: "61s",
  });
  assert.equal((await ask(port, "/listeners")).body, "in::[::]:80\n");
  assert.deepEqual(JSON.parse((await ask(port, "/listeners?format=json")).body), {
    listener_statuses: [{ name: "in", local_address: { socket_address: { address: "::", port_value: 80 } } }],
  });
  assert.deepEqual(JSON.parse((await ask(port, "/inspect")).body), { dns: { a: 1 } });
});

/** Two counters, a gauge and a histogram of two values. */
function someStats(): StatsView {
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  metrics.counter("cluster.upstream_rq_total", { envoy_cluster_name: "a" }).add(7);
  metrics.counter("http.downstream_rq_total", { envoy_http_conn_manager_prefix: "in" });
  metrics.gauge("server.live").set(1);
  const times = metrics.histogram("cluster.upstream_rq_time", { envoy_cluster_name: "a" });
  times.record(3);
  times.record(700);
  metrics.flush();
  return new StatsView(registry);
}

test("a listener with several addresses is one, with additional ones", async (t) => {
  const place = (name: string, port: number) => ({
    name,
    address: { type: "socket", address: "10.0.0.1", port } as const,
  });
  const pages = serverPages({
    version: "",
    node: { id: "", cluster: "", metadata: {}, locality: { region: "", zone: "", subZone: "" } },
    commandLine: {},
    clock: new ManualClock(),
    state: () => "LIVE",
    listeners: () => [place("a", 1), place("b", 2), place("a", 3)],
    parts: [],
  });
  const { port } = await serve(t, pages);
  const { listener_statuses } = JSON.parse((await ask(port, "/listeners?format=json")).body);
  assert.equal(listener_statuses.length, 2);
  assert.equal(listener_statuses[0].additional_local_addresses[0].socket_address.port_value, 3);
  assert.equal((await ask(port, "/listeners")).body, "a::10.0.0.1:1\nb::10.0.0.1:2\na::10.0.0.1:3\n");
});

test("statistics come as text, filtered by a pattern found anywhere in the name, by kind and by use", async (t) => {
  const { port } = await serve(t, statsPages(someStats()));
  const text = async (query: string) => (await ask(port, `/stats${query}`)).body;
  const counters = "cluster.a.upstream_rq_total: 7\nhttp.in.downstream_rq_total: 0\n";
  assert.ok((await text("")).startsWith(`${counters}server.live: 1\ncluster.a.upstream_rq_time: `));
  assert.equal(await text("?type=Counters"), counters);
  assert.equal(await text("?type=Gauges"), "server.live: 1\n");
  assert.equal(await text("?type=TextReadouts"), "");
  assert.equal(await text("?filter=^http"), "http.in.downstream_rq_total: 0\n");
  assert.equal(await text("?filter=rq_total$&usedonly"), "cluster.a.upstream_rq_total: 7\n");
  assert.match(
    await text("?filter=rq_time&histogram_buckets=cumulative"),
    /^cluster\.a\.upstream_rq_time: B0\.5\(0,0\) B1\(0,0\) B5\(1,1\) .* B1000\(2,2\) /,
  );
  assert.match(
    await text("?filter=rq_time&histogram_buckets=disjoint"),
    / B5\(1,1\) B10\(0,0\) .* B1000\(1,1\) B2500\(0,0\) /,
  );
  assert.match((await ask(port, "/stats?format=html")).type, /^text\/html/);
  for (const query of ["filter=(", "type=Clocks", "format=yaml", "histogram_buckets=some"])
    assert.equal((await ask(port, `/stats?${query}`)).status, 400, query);
});

test("X11: names that a control plane has chosen are text in admin's HTML, and no markup", async (t) => {
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  metrics.counter("cluster.upstream_rq_total", { envoy_cluster_name: "<script>&alert(1)</script>" }).add();
  metrics.flush();
  const { port } = await serve(t, statsPages(new StatsView(registry)));
  const { body } = await ask(port, "/stats?format=html");
  assert.doesNotMatch(body, /<script>/);
  assert.match(body, /&lt;script>&amp;alert/);
});

test("statistics come as JSON in Envoy's shape, the histograms at the end", async (t) => {
  const { port } = await serve(t, statsPages(someStats()));
  const { type, body } = await ask(port, "/stats?format=json");
  assert.equal(type, "application/json");
  const { stats } = JSON.parse(body);
  assert.deepEqual(stats[0], { name: "cluster.a.upstream_rq_total", value: 7 });
  const { histograms } = stats.at(-1);
  assert.deepEqual(histograms.supported_quantiles, [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]);
  const [computed] = histograms.computed_quantiles;
  assert.equal(computed.name, "cluster.a.upstream_rq_time");
  assert.equal(computed.values.length, 10);
  assert.ok(computed.values[9].cumulative >= 700);
  const buckets = JSON.parse((await ask(port, "/stats?format=json&histogram_buckets=cumulative")).body).stats.at(-1);
  assert.deepEqual(buckets.histograms[0].buckets[2], { upper_bound: 5, interval: 1, cumulative: 1 });
  const detailed = JSON.parse((await ask(port, "/stats?format=json&histogram_buckets=detailed")).body).stats.at(-1);
  assert.equal(detailed.histograms.details[0].totals.length, 2);
  assert.deepEqual(JSON.parse((await ask(port, "/stats?format=json&type=Gauges")).body), {
    stats: [{ name: "server.live", value: 1 }],
  });
});

test("Prometheus gets the same series, with the labels that the command line gives all of them", async (t) => {
  const { port } = await serve(t, statsPages(someStats(), { tags: { team: "shop" } }));
  for (const path of ["/stats/prometheus?filter=live", "/stats?format=prometheus&filter=live"]) {
    const { type, body } = await ask(port, path);
    assert.match(type, /^text\/plain; version=0\.0\.4/);
    assert.match(body, /^envoy_server_live\{team="shop"\} 1$/m);
    assert.doesNotMatch(body, /rq_total/);
  }
});

test("counters that were reset count from there on; gauges stay", async (t) => {
  const { port } = await serve(t, statsPages(someStats()));
  assert.equal((await ask(port, "/reset_counters")).status, 405);
  assert.equal((await ask(port, "/reset_counters", { method: "POST" })).body, "OK\n");
  const { body } = await ask(port, "/stats?type=All&filter=rq_total|live");
  assert.equal(body, "cluster.a.upstream_rq_total: 0\nhttp.in.downstream_rq_total: 0\nserver.live: 1\n");
});

test("listeners are drained as the parameters say", async (t) => {
  const done: unknown[] = [];
  const actions = {
    quit: () => done.push("quit"),
    failHealthChecks: (failing: boolean) => done.push(failing),
    reopenLogs: () => done.push("reopen"),
  };
  const { port } = await serve(t, lifecyclePages({ ...actions, drainListeners: (how) => done.push(how) }));
  const post = async (path: string) => (await ask(port, path, { method: "POST" })).status;
  assert.equal(await post("/drain_listeners"), 200);
  assert.equal(await post("/drain_listeners?graceful&skip_exit"), 200);
  assert.equal(await post("/drain_listeners?skip_exit"), 400);
  assert.equal(await post("/drain_listeners?inboundonly"), 200);
  for (const path of ["/healthcheck/fail", "/healthcheck/ok", "/reopen_logs", "/quitquitquit"])
    assert.equal(await post(path), 200);
  assert.deepEqual(done, [
    { graceful: false, skipExit: false, inboundOnly: false },
    { graceful: true, skipExit: true, inboundOnly: false },
    { graceful: false, skipExit: false, inboundOnly: true },
    true,
    false,
    "reopen",
    "quit",
  ]);
});

test("levels of loggers are shown and changed: all, one of ours or of Envoy's, or some", async (t) => {
  const levels = new LogLevels("info");
  let changes = 0;
  const { port } = await serve(t, [
    loggingPage(levels, () => {
      changes += 1;
    }),
  ]);
  const post = (query: string) => ask(port, `/logging${query}`, { method: "POST" });
  const shown = (main: string, xds: string, report: string, traffic: string): string =>
    `active loggers:\n  main: ${main}\n  xds: ${xds}\n  report: ${report}\n  traffic: ${traffic}\n`;
  assert.equal((await ask(port, "/logging")).body, shown("info", "info", "info", "info"));
  assert.equal((await post("?level=warning")).body, shown("warning", "warning", "warning", "warning"));
  assert.equal((await post("?xds=trace")).body, shown("warning", "trace", "warning", "warning"));
  assert.equal((await post("?router=debug")).body, shown("warning", "trace", "warning", "debug"));
  assert.equal((await post("?paths=main:error,config:off")).body, shown("error", "off", "warning", "debug"));
  assert.equal((await post("?level=&paths=report:info")).body, shown("error", "off", "info", "debug"), "the form at /");
  assert.equal(changes, 5);
  for (const query of [
    "?nobody=info",
    "?level=loud",
    "?paths=main:loud",
    "?paths=nobody:info",
    "?xds=info&main=info",
  ]) {
    const { status, body } = await post(query);
    assert.equal(status, 400, query);
    assert.match(body, /usage: \/logging/);
  }
  assert.equal((await ask(port, "/logging?level=debug")).status, 405);
  assert.equal((await post("")).body, shown("error", "off", "info", "debug"));
});

test("memory, runtime and what is waited for come under Envoy's names; what a sidecar has not says so", async (t) => {
  const modified: Readonly<Record<string, string>>[] = [];
  const waiting = {
    source: "dynamic",
    active: undefined,
    warming: { config: {}, version: "1", acceptedMs: 0 },
  } as const;
  const pages = processPages({
    memory: () => ({ usedBytes: 10, heapBytes: 30, residentBytes: 100 }),
    resources: () => [{ kind: "cluster", name: "orders", ...waiting, waitingFor: ["endpoints/orders"] }],
    runtimeLayers: () => [
      { name: "base", values: { "a.b": 1, c: "x" } },
      { name: "top", values: { "a.b": 2 } },
    ],
    modifyRuntime: (changes) => {
      modified.push(changes);
      return !("refused" in changes);
    },
  });
  const { port } = await serve(t, pages);
  const json = async (path: string) => JSON.parse((await ask(port, path)).body);
  assert.deepEqual(await json("/memory"), {
    allocated: "10",
    heap_size: "30",
    pageheap_unmapped: "0",
    pageheap_free: "20",
    total_thread_cache: "0",
    total_physical_bytes: "100",
  });
  assert.deepEqual(await json("/init_dump"), {
    unready_targets_dumps: [{ name: "cluster orders", target_names: ["endpoints/orders"] }],
  });
  assert.deepEqual(await json("/runtime"), {
    layers: ["base", "top"],
    entries: {
      "a.b": { layer_values: ["1", "2"], final_value: "2" },
      c: { layer_values: ["x", ""], final_value: "x" },
    },
  });
  assert.equal((await ask(port, "/hot_restart_version")).body, "disabled");
  const modify = async (query: string) => (await ask(port, `/runtime_modify${query}`, { method: "POST" })).status;
  assert.deepEqual([await modify("?a=b&c="), await modify("?refused=1"), await modify("")], [200, 503, 400]);
  assert.deepEqual(modified, [{ a: "b", c: "" }, { refused: "1" }]);
  for (const path of ["/cpuprofiler?enable=y", "/heapprofiler"])
    assert.equal((await ask(port, path, { method: "POST" })).status, 501);
});
