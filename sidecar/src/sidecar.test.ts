import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { type Json, ok, systemClock } from "@heddle/base";
import type { ConfigLaneUpdate } from "@heddle/config";
import { contentHash, decodeLane } from "@heddle/config/lanes";
import { type LogLevel, LogLevels } from "@heddle/telemetry";
import type { ClusterConfig, EndpointsConfig } from "@heddle/traffic";
import {
  type EncodedResource,
  httpFilterRegistry,
  makeResourceTypes,
  resourceFromJson,
  type Snapshot,
} from "@heddle/xds";
import { ReportServer, XdsServer, xdsServerOptions } from "@heddle/xds/server";
import { eventually, quietLog, quietMetrics, SettableSource } from "@heddle/xds/testing";
import { sidecarBootstrap } from "./bootstrap.ts";
import type { TrafficWorkers } from "./control/traffic-workers.ts";
import { parseSidecarFlags } from "./flags.ts";
import { type Sidecar, startSidecar } from "./sidecar.ts";

const ROUTER = "envoy.extensions.filters.http.router.v3.Router";
const types = makeResourceTypes({
  httpFilters: httpFilterRegistry([
    { name: "router", configType: ROUTER, terminal: true, parse: (config) => ok(config) },
  ]),
});

/** Workers that serve a configuration when told to and remember what they were given. */
class RecordedWorkers implements TrafficWorkers {
  readonly name = "workers";
  readonly listeners = [];
  readonly running = 1;
  readonly restarts = 0;
  readonly held = new Map<string, unknown>();
  readonly stopped: number[] = [];
  readonly drained: object[] = [];
  logLevel: LogLevel = "info";
  acknowledged = 0;
  generation = 0;

  async start(): Promise<void> {}

  apply({ generation, changed, removed }: ConfigLaneUpdate): void {
    assert.equal(generation, this.generation + 1, "no step is left out");
    this.generation = generation;
    for (const { key, bytes } of changed) this.held.set(key, decodeLane(key, bytes));
    for (const key of removed) this.held.delete(key);
  }

  serveAll(): void {
    this.acknowledged = this.generation;
  }

  async inspectWorkers(): Promise<readonly []> {
    return [];
  }

  healthCheckFailed = false;

  setHealthCheckFailed(failed: boolean): void {
    this.healthCheckFailed = failed;
  }

  drainListeners(how: object): void {
    this.drained.push(how);
  }

  setLogLevel(level: LogLevel): void {
    this.logLevel = level;
  }

  answerDemands(): void {}

  reopenLogs(): void {}

  async stop(drainMs: number): Promise<void> {
    this.stopped.push(drainMs);
  }

  inspect(): Json {
    return { generation: this.generation };
  }
}

interface Started {
  readonly sidecar: Sidecar;
  readonly workers: RecordedWorkers;
  readonly adminPort: number;
  quits: number;
}

async function start(t: TestContext, ...words: string[]): Promise<Started> {
  const flags = parseSidecarFlags(["--admin-address", "127.0.0.1:0", ...words]);
  assert.ok(flags.ok && flags.value.type === "run");
  const from = sidecarBootstrap(flags.value.flags, undefined, types);
  assert.ok(from.ok, from.ok ? "" : from.error.join("\n"));
  const workers = new RecordedWorkers();
  const result = await startSidecar({
    start: from.value,
    types,
    drainTimeMs: 5000,
    commandLine: {},
    statsTags: {},
    clock: systemClock,
    log: quietLog,
    logLevels: new LogLevels("info"),
    random: () => 0,
    onReady: () => undefined,
    resolve: async () => ({ type: "found", addresses: ["127.0.0.7"], ttlMs: undefined }),
    makeWorkers: () => workers,
    onQuit: () => {
      started.quits += 1;
    },
  });
  assert.ok(result.ok, result.ok ? "" : result.error);
  const sidecar = result.value;
  t.after(() => sidecar.stop());
  assert.ok(sidecar.admin?.type === "socket");
  const started: Started = { sidecar, workers, adminPort: sidecar.admin.port, quits: 0 };
  return started;
}

async function admin({ adminPort }: Started, path: string, method = "GET"): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${adminPort}${path}`, { method, headers: { connection: "close" } });
  return { status: response.status, body: await response.text() };
}

async function controlPlane(
  t: TestContext,
  snapshot: Snapshot,
): Promise<{ source: SettableSource; port: number; xds: XdsServer; reports: ReportServer }> {
  const source = new SettableSource(snapshot);
  const xds = new XdsServer({ source, log: quietLog, metrics: quietMetrics, clock: systemClock, identifier: "test" });
  const reports = new ReportServer({ log: quietLog, clock: systemClock });
  const server = new Server(xdsServerOptions);
  xds.addTo(server);
  reports.addTo(server);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  t.after(() => {
    xds.close();
    server.forceShutdown();
  });
  return { source, port, xds, reports };
}

const cluster = (timeout: string): Json => ({
  "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  name: "orders",
  type: "EDS",
  connect_timeout: timeout,
  eds_cluster_config: { eds_config: { ads: {}, resource_api_version: "V3" } },
});
const assignment = (port: number): Json => ({
  "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  cluster_name: "orders",
  endpoints: [
    { lb_endpoints: [{ endpoint: { address: { socket_address: { address: "10.0.0.1", port_value: port } } } }] },
  ],
});
const listener: Json = {
  "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
  name: "outbound",
  address: { socket_address: { address: "127.0.0.1", port_value: 15001 } },
  filter_chains: [
    {
      filters: [
        {
          name: "http",
          typed_config: {
            "@type":
              "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix: "outbound",
            rds: { route_config_name: "routes", config_source: { ads: {}, resource_api_version: "V3" } },
            http_filters: [{ name: "router", typed_config: { "@type": `type.googleapis.com/${ROUTER}` } }],
          },
        },
      ],
    },
  ],
};
const routes: Json = {
  "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  name: "routes",
  virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "orders" } }] }],
};

function snapshotOf(...resources: Json[]): Snapshot {
  const byType = new Map<string, Map<string, EncodedResource>>();
  for (const json of resources) {
    const read = resourceFromJson(json);
    assert.ok(read.ok, JSON.stringify(read));
    const { type, name, bytes } = read.value;
    const ofType = byType.get(type) ?? new Map<string, EncodedResource>();
    byType.set(type, ofType.set(name, { name, version: contentHash(bytes), bytes }));
  }
  return { resources: byType };
}

for (const variant of ["GRPC", "DELTA_GRPC"] as const) {
  test(`${variant}: a sidecar serves what its control plane says, as complete configurations, and follows changes`, async (t) => {
    const { source, port, xds, reports } = await controlPlane(
      t,
      snapshotOf(cluster("1s"), assignment(1), listener, routes),
    );
    const bootstrap = `
      node: { id: shop/web/1, cluster: web }
      dynamic_resources:
        ads_config: { api_type: ${variant}, transport_api_version: V3, grpc_services: [{ envoy_grpc: { cluster_name: xds } }] }
        lds_config: { ads: {}, resource_api_version: V3 }
        cds_config: { ads: {}, resource_api_version: V3 }
      static_resources:
        clusters:
          - name: xds
            load_assignment:
              cluster_name: xds
              endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } } }] }]`;
    const started = await start(t, "--config-yaml", bootstrap);
    const { workers, sidecar } = started;
    const keys = [
      "cluster/xds",
      "endpoints/xds",
      "cluster/orders",
      "endpoints/orders",
      "listener/outbound",
      "route-configuration/routes",
    ];
    await eventually(() => keys.every((key) => workers.held.has(key)), "the configuration");

    assert.equal(sidecar.state, "INITIALIZING", "the workers have not said that they serve it");
    assert.equal((await admin(started, "/ready")).status, 503);
    workers.serveAll();
    await eventually(() => sidecar.state === "LIVE", "readiness");
    assert.deepEqual(await admin(started, "/ready"), { status: 200, body: "LIVE\n" });

    // A cluster that changes with its endpoints is one step: never one without the other.
    source.set(snapshotOf(cluster("2s"), assignment(2), listener, routes));
    await eventually(
      () => (workers.held.get("cluster/orders") as ClusterConfig).connectTimeoutMs === 2000,
      "the change",
    );
    const endpoints = workers.held.get("endpoints/orders") as EndpointsConfig;
    assert.deepEqual(endpoints.localities[0]?.endpoints[0]?.address, { type: "socket", address: "10.0.0.1", port: 2 });

    // What the control plane sees, and what admin shows.
    await eventually(() => xds.nodes()[0]?.types.length === 4, "the control plane's view");
    const reported = () => reports.stateOf({ id: "shop/web/1" })?.report;
    await eventually(() => reported()?.health.ready === true && reported()?.resources.length === 4, "the report");
    assert.match((await admin(started, "/clusters")).body, /orders::10\.0\.0\.1:2::health_flags::healthy/);
    assert.match((await admin(started, "/config_dump")).body, /"route_config_name": "routes"/);
    assert.match((await admin(started, "/stats?filter=cluster_manager")).body, /cluster_manager\.active_clusters: 2\n/);
    assert.match((await admin(started, "/inspect")).body, /"state": "SYNCED"/);
  });
}

test("a sidecar without anything to serve is ready as soon as its control plane has said so", async (t) => {
  const { port } = await controlPlane(t, snapshotOf());
  const started = await start(t, "--node-id", "shop/web/1", "--control-plane", `127.0.0.1:${port}`);
  await eventually(() => started.sidecar.state === "LIVE", "readiness");
});

test("a static sidecar is ready at once, and resolves its DNS clusters", async (t) => {
  const bootstrap = `static_resources: { clusters: [ { name: a, type: STRICT_DNS, load_assignment: { cluster_name: a, endpoints: [
    { lb_endpoints: [ { endpoint: { address: { socket_address: { address: a.test, port_value: 80 } } } } ] } ] } } ] }`;
  const started = await start(t, "--config-yaml", bootstrap);
  await eventually(() => started.workers.held.has("endpoints/a"), "the addresses");
  assert.match((await admin(started, "/clusters")).body, /a::127\.0\.0\.7:80::hostname::a\.test/);
  started.workers.serveAll();
  await eventually(() => started.sidecar.state === "LIVE", "readiness");
});

test("what an operator does on admin reaches the workers", async (t) => {
  const started = await start(t, "--config-yaml", "node: {}");
  const { workers } = started;
  workers.serveAll();
  await eventually(() => started.sidecar.state === "LIVE");
  const post = (path: string) => admin(started, path, "POST");
  assert.equal((await post("/healthcheck/fail")).body, "OK\n");
  assert.deepEqual(await admin(started, "/ready"), { status: 503, body: "DRAINING\n" });
  await post("/healthcheck/ok");
  assert.equal((await admin(started, "/ready")).status, 200);
  await post("/drain_listeners?graceful&inboundonly");
  assert.deepEqual(workers.drained, [{ graceful: true, inboundOnly: true, skipExit: false }]);
  assert.match((await post("/logging?http=debug")).body, /^ {2}traffic: debug$/m);
  assert.equal(workers.logLevel, "debug");
  for (const path of [
    "/certs",
    "/memory",
    "/init_dump",
    "/runtime",
    "/contention",
    "/hot_restart_version",
    "/config_dump",
  ])
    assert.equal((await admin(started, path)).status, 200, path);
  assert.equal((await admin(started, "/tap")).status, 404);
  assert.equal((await admin(started, "/healthcheck/fail")).status, 405);
});

test("quitquitquit asks for the end; stopping drains, and asked twice drains no longer", async (t) => {
  const started = await start(t, "--config-yaml", "node: {}");
  assert.equal((await admin(started, "/quitquitquit", "POST")).status, 200);
  assert.equal(started.quits, 1);
  const first = started.sidecar.stop();
  assert.equal(started.sidecar.state, "DRAINING");
  await Promise.all([first, started.sidecar.stop()]);
  assert.deepEqual(started.workers.stopped, [5000, 0]);
});

test("a taken admin address is the reason why a sidecar does not start", async (t) => {
  const { adminPort } = await start(t, "--config-yaml", "node: {}");
  const flags = parseSidecarFlags(["--config-yaml", "node: {}", "--admin-address", `127.0.0.1:${adminPort}`]);
  assert.ok(flags.ok && flags.value.type === "run");
  const from = sidecarBootstrap(flags.value.flags, undefined, types);
  assert.ok(from.ok);
  const result = await startSidecar({
    start: from.value,
    types,
    drainTimeMs: 0,
    commandLine: {},
    statsTags: {},
    clock: systemClock,
    log: quietLog,
    logLevels: new LogLevels("info"),
    random: () => 0,
    onReady: () => undefined,
    resolve: async () => ({ type: "not-found" }),
    makeWorkers: () => new RecordedWorkers(),
    onQuit: () => undefined,
  });
  assert.ok(!result.ok);
  assert.match(result.error, /is taken/);
});
