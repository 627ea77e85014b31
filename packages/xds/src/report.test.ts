import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { ManualClock, systemClock } from "@heddle/base";
import { xdsDial } from "./client.ts";
import { decodeSidecarReport, encodeSidecarReport, type SidecarReport } from "./report.ts";
import { ReportClient } from "./report-client.ts";
import { ReportServer } from "./report-server.ts";
import { eventually, quietLog } from "./testing.ts";

const REPORT: SidecarReport = {
  nodeId: "default/web/1",
  nodeCluster: "web",
  timeMs: 1_795_000_000_123,
  version: "0.1.0",
  uptimeMs: 61_500,
  resources: [
    {
      typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
      name: "outbound/80/orders.default",
      version: "abc",
      state: "NACKED",
      errors: ["lb_policy: one", "lb_policy: two"],
      rejectedVersion: "def",
      unhonoured: [{ path: "alt_stat_name", note: "statistics keep the name" }],
      waitsFor: ["endpoints/orders"],
      updatedAtMs: 1_795_000_000_000,
    },
    {
      typeUrl: "type.googleapis.com/envoy.config.listener.v3.Listener",
      name: "outbound",
      version: "",
      state: "REQUESTED",
      errors: [],
      rejectedVersion: "",
      unhonoured: [],
      waitsFor: [],
      updatedAtMs: undefined,
    },
  ],
  health: {
    ready: true,
    workers: 2,
    downstreamConnections: 3,
    upstreamConnections: 4,
    requests: 5_000_000_000,
    requests5xx: 6,
    workerRestarts: 1,
    residentBytes: 90_000_000,
  },
};

test("a report comes back as it was", () => {
  assert.deepEqual(decodeSidecarReport(encodeSidecarReport(REPORT)), { ok: true, value: REPORT });
  const spiffeId = "spiffe://cluster.local/ns/default/sa/web";
  for (const identity of [
    { spiffeId, expiresMs: 1_795_000_086_400, state: "renewing", lastError: "no answer" },
    { spiffeId: "", expiresMs: undefined, state: "none", lastError: "" },
  ]) {
    const value = { ...REPORT, identity };
    assert.deepEqual(decodeSidecarReport(encodeSidecarReport(value)), { ok: true, value });
  }
});

test("a sidecar reports when it connects, after changes gathered to one a second, and every interval", async () => {
  const server = await serve();
  const clock = new ManualClock();
  let version = 0;
  const client = new ReportClient({
    report: () => ({ ...REPORT, version: String((version += 1)) }),
    clock,
    log: quietLog,
  });
  const channel = xdsDial(`127.0.0.1:${server.port}`)();
  cleanups.push(() => channel.close());
  cleanups.push(() => client.close());
  client.attach(channel);
  await server.heard("1");
  for (let i = 0; i < 10; i += 1) client.changed();
  clock.advance(999);
  assert.equal(version, 1);
  clock.advance(1);
  await server.heard("2");
  clock.advance(29_999);
  assert.equal(version, 2);
  clock.advance(1);
  await server.heard("3");
  client.close();
  assert.equal(clock.pending, 0);
  await server.until(() => server.reports.states().length === 0);
});

test("a control plane without the service is not asked again", async () => {
  const server = await serve(false);
  const clock = new ManualClock();
  let reports = 0;
  const client = new ReportClient({
    report: () => {
      reports += 1;
      return REPORT;
    },
    clock,
    log: quietLog,
  });
  const channel = xdsDial(`127.0.0.1:${server.port}`)();
  cleanups.push(() => channel.close());
  client.attach(channel);
  await server.until(() => clock.pending === 0);
  client.changed();
  clock.advance(600_000);
  assert.equal(reports, 1);
});

test("a report stream that ends is opened again after an interval, but not on a connection that is gone", async () => {
  const server = await serve();
  const clock = new ManualClock();
  let ends = 0;
  const log = { ...quietLog, debug: () => (ends += 1) };
  let reports = 0;
  const report = (): SidecarReport => ({ ...REPORT, version: String((reports += 1)) });
  const client = new ReportClient({ report, clock, log });
  const channel = xdsDial(`127.0.0.1:${server.port}`)();
  cleanups.push(() => channel.close());
  cleanups.push(() => client.close());
  client.attach(channel);
  await server.heard("1");
  server.reports.close();
  await server.until(() => ends === 1);
  clock.advance(30_000);
  await server.heard("2");
  server.reports.close();
  await server.until(() => ends === 2);
  channel.close();
  clock.advance(30_000);
  assert.equal(reports, 2);
  assert.equal(clock.pending, 0);
});

test("a stream that speaks for another node than before is refused", async () => {
  const server = await serve();
  let nodeId = "default/web/1";
  const clock = new ManualClock();
  const client = new ReportClient({ report: () => ({ ...REPORT, nodeId }), clock, log: quietLog });
  const channel = xdsDial(`127.0.0.1:${server.port}`)();
  cleanups.push(() => channel.close());
  cleanups.push(() => client.close());
  client.attach(channel);
  await server.until(() => server.reports.stateOf({ id: "default/web/1" }) !== undefined);
  nodeId = "default/web/2";
  client.changed();
  clock.advance(1000);
  await server.until(() => server.reports.states().length === 0);
});

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(offered = true) {
  const reports = new ReportServer({ clock: systemClock, log: quietLog });
  const server = new Server();
  if (offered) reports.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  cleanups.push(async () => {
    reports.close();
    await new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error ? reject(error) : resolve())));
    assert.equal(reports.states().length, 0);
  });
  return {
    reports,
    port,
    until: eventually,
    heard: (version: string) => eventually(() => reports.stateOf({ id: "default/web/1" })?.report.version === version),
  };
}
