import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { ManualClock } from "@heddle/base";
import { encodeMessage } from "@heddle/proto";
import { MetricsRegistry, SharedMetrics } from "@heddle/telemetry";
import { xdsDial } from "../dial.ts";
import type { XdsNode } from "../snapshot.ts";
import { eventually, quietLog } from "../testing.ts";
import {
  type ClusterLoadReport,
  decodeLoadStatsRequest,
  decodeLoadStatsResponse,
  encodeLoadStatsRequest,
  encodeLoadStatsResponse,
} from "./load-report.ts";
import { LoadReportClient } from "./load-report-client.ts";
import { LoadReportServer, type LoadReportServerOptions } from "./load-report-server.ts";

const NODE: XdsNode = {
  id: "default/web/1",
  cluster: "web",
  metadata: {},
  locality: { region: "r", zone: "z", subZone: "" },
  userAgentName: "heddle",
  userAgentVersion: "1",
  clientFeatures: ["a"],
};

const COUNTS = { issued: 4, succeeded: 3, failed: 1, inProgress: 2 };

function report(issued: number): ClusterLoadReport {
  const counts = { issued, succeeded: issued - 1, failed: 1, inProgress: 2 };
  return {
    cluster: "c",
    serviceName: "s",
    localities: [{ region: "r", zone: "z", subZone: "q", priority: 1, ...counts }],
    dropped: 3,
    intervalMs: 1500,
  };
}

test("requests and responses come back as they were", () => {
  const request = { node: NODE, clusters: [report(5_000_000_000)] };
  assert.deepEqual(decodeLoadStatsRequest(encodeLoadStatsRequest(request)), { ok: true, value: request });
  const endpoint = { address: { type: "socket", address: "10.0.0.1", port: 80 }, ...COUNTS } as const;
  const pipe = { address: { type: "pipe", path: "/run/x", mode: undefined }, ...COUNTS } as const;
  const [locality] = report(1).localities;
  const byEndpoint = {
    node: NODE,
    clusters: [{ ...report(1), localities: [{ ...locality!, endpoints: [endpoint, pipe] }] }],
  };
  assert.deepEqual(decodeLoadStatsRequest(encodeLoadStatsRequest(byEndpoint)), { ok: true, value: byEndpoint });
  const metrics = [
    { name: "cpu_utilization", requests: 3, total: 1.5 },
    { name: "named_metrics.x", requests: 1, total: -2 },
  ];
  const withMetrics = { ...locality!, metrics, endpoints: [{ ...endpoint, metrics }] };
  const told = { node: NODE, clusters: [{ ...report(1), localities: [withMetrics] }] };
  assert.deepEqual(decodeLoadStatsRequest(encodeLoadStatsRequest(told)), { ok: true, value: told });
  for (const clusters of ["all", ["a", "b"]] as const) {
    const response = { clusters, intervalMs: 250, byEndpoint: clusters === "all" };
    assert.deepEqual(decodeLoadStatsResponse(encodeLoadStatsResponse(response)), { ok: true, value: response });
  }
});

test("statement 79: the node comes first, then a report at each interval that the server asked for", async () => {
  const { server, client, clock, told } = await meet();
  client.start();
  await eventually(() => server.loads().length === 1);
  assert.equal(server.loads()[0]?.nodeId, NODE.id);
  await eventually(() => clock.pending === 1);
  clock.advance(9_999);
  assert.equal(told(), 0);
  clock.advance(1);
  await eventually(() => server.loads()[0]?.reports === 1 && told() === 1);
  await eventually(() => clock.pending === 1);
  clock.advance(10_000);
  await eventually(() => server.loads()[0]?.reports === 2);
  const [sum] = server.loads()[0]?.clusters ?? [];
  assert.deepEqual(sum?.localities, [
    { region: "r", zone: "z", subZone: "q", priority: 1, issued: 20, succeeded: 18, failed: 2, inProgress: 2 },
  ]);
  assert.equal(sum?.dropped, 6);
});

test("a server that wants figures by endpoint asks for them, and adds them up", async () => {
  const asked: unknown[] = [];
  const address = { type: "socket", address: "10.0.0.1", port: 80 } as const;
  const other = { ...address, port: 81 };
  const reports = [[address, other], [address]].map((addresses) => ({
    ...report(10),
    localities: report(10).localities.map((locality) => ({
      ...locality,
      endpoints: addresses.map((one) => ({ address: one, ...COUNTS })),
    })),
  }));
  const { server, client, clock } = await meet({ byEndpoint: true }, (wanted) => {
    asked.push(wanted.byEndpoint);
    return [reports.shift()!];
  });
  client.start();
  for (const count of [1, 2]) {
    await eventually(() => clock.pending === 1);
    clock.advance(10_000);
    await eventually(() => server.loads()[0]?.reports === count);
  }
  assert.deepEqual(asked, [true, true]);
  assert.deepEqual(server.loads()[0]?.clusters[0]?.localities[0]?.endpoints, [
    { address: other, ...COUNTS, inProgress: 0 },
    { address, issued: 8, succeeded: 6, failed: 2, inProgress: 2 },
  ]);
  assert.match(JSON.stringify(server.inspect()), /\{"address":"10\.0\.0\.1:80","issued":8/);
});

test("metrics of endpoints are added up by name, in whichever field they come, and what is no number is dropped", async () => {
  const bytes = encodeMessage("envoy.service.load_stats.v3.LoadStatsRequest", {
    cluster_stats: [
      {
        cluster_name: "c",
        upstream_locality_stats: [
          {
            cpu_utilization: { num_requests_finished_with_metric: 2, total_metric_value: 1 },
            load_metric_stats: [
              { metric_name: "named_metrics.x", num_requests_finished_with_metric: 1, total_metric_value: 4 },
              { metric_name: "nan", num_requests_finished_with_metric: 1, total_metric_value: Number.NaN },
              { metric_name: "a".repeat(257), num_requests_finished_with_metric: 1, total_metric_value: 1 },
            ],
          },
        ],
      },
    ],
  });
  const decoded = decodeLoadStatsRequest(bytes);
  assert.ok(decoded.ok);
  const { server, client, clock } = await meet({}, () => [...decoded.value.clusters]);
  client.start();
  for (const count of [1, 2]) {
    await eventually(() => clock.pending === 1);
    clock.advance(10_000);
    await eventually(() => server.loads()[0]?.reports === count);
  }
  assert.deepEqual(server.loads()[0]?.clusters[0]?.localities[0]?.metrics, [
    { name: "named_metrics.x", requests: 2, total: 8 },
    { name: "cpu_utilization", requests: 4, total: 2 },
  ]);
  assert.match(JSON.stringify(server.inspect()), /"metrics":\[\{"name":"named_metrics.x","requests":2,"total":8\}/);
});

test("of a client that reports ever more places the last ones are kept, and no more than there may be", async () => {
  const endpoints = (count: number) =>
    Array.from({ length: count }, (_, port) => ({
      address: { type: "socket", address: "10.0.0.1", port } as const,
      ...COUNTS,
    }));
  const [place] = report(1).localities;
  const inZones = (from: number, count: number, ports: number): ClusterLoadReport["localities"] =>
    Array.from({ length: count }, (_, i) => ({ ...place!, zone: `${from + i}`, endpoints: endpoints(ports) }));
  const reports = [
    [{ ...report(1), localities: inZones(0, 200, 1) }],
    [{ ...report(1), localities: inZones(200, 200, 1) }],
    [{ ...report(1), cluster: "wide", localities: inZones(0, 1, 1010) }],
    ["x", "y"].map((cluster) => ({ ...report(1), cluster, localities: inZones(0, 1, 1000) })),
  ];
  const kept: unknown[] = [];
  const { server, client, clock } = await meet({ maxRows: 2003 }, () => reports[kept.length]!);
  client.start();
  while (kept.length < reports.length) {
    await eventually(() => clock.pending === 1);
    clock.advance(10_000);
    await eventually(() => server.loads()[0]?.reports === kept.length + 1);
    const clusters = server.loads()[0]!.clusters.map(({ cluster, localities }) => {
      return [cluster, localities.length, localities[0]?.zone, localities[0]?.endpoints?.[0]?.address];
    });
    kept.push(clusters);
  }
  const at = (port: number): object => ({ type: "socket", address: "10.0.0.1", port });
  const c = ["c", 256, "144", at(0)];
  assert.deepEqual(kept, [[["c", 200, "0", at(0)]], [c], [c, ["wide", 1, "0", at(10)]], [["y", 1, "0", at(0)]]]);
});

test("a stream that ends is opened again after a while, and is told who it is anew", async () => {
  const { server, client, clock, registry } = await meet();
  client.start();
  await eventually(() => server.loads().length === 1 && clock.pending === 1);
  server.close();
  await eventually(() => registry.sum("load_reporter.errors") === 1);
  clock.advance(30_000);
  await eventually(() => server.loads().length === 1);
});

test("closing leaves no timer and no stream", async () => {
  const { server, client, clock } = await meet();
  client.start();
  await eventually(() => clock.pending === 1);
  client.close();
  assert.equal(clock.pending, 0);
  await eventually(() => server.loads().length === 0);
});

test("a stream that does not say who it is is refused", async () => {
  const { dial } = await meet();
  const channel = dial();
  cleanups.push(() => channel.close());
  const path = "/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats";
  const asIs = (bytes: Buffer): Buffer => bytes;
  const stream = channel.makeBidiStreamRequest<Buffer, Buffer>(path, asIs, asIs);
  stream.on("error", () => undefined);
  const ended = new Promise<{ code: status }>((resolve) => stream.on("status", resolve));
  stream.resume();
  stream.write(Buffer.from(encodeLoadStatsRequest({ node: undefined, clusters: [] })));
  assert.equal((await ended).code, status.INVALID_ARGUMENT);
});

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function meet(
  more: Partial<LoadReportServerOptions> = {},
  read: (asked: { byEndpoint: boolean }) => ClusterLoadReport[] = () => [report(10)],
) {
  const clock = new ManualClock();
  const server = new LoadReportServer({ clock, log: quietLog, ...more });
  const grpc = new Server();
  server.addTo(grpc);
  const port = await new Promise<number>((resolve, reject) => {
    grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  cleanups.push(async () => {
    server.close();
    await new Promise<void>((resolve, reject) => grpc.tryShutdown((error) => (error ? reject(error) : resolve())));
  });
  let told = 0;
  const registry = new MetricsRegistry();
  const dial = xdsDial(`127.0.0.1:${port}`);
  const client = new LoadReportClient({
    dial,
    node: NODE,
    read: (asked) => Promise.resolve({ clusters: read(asked), told: () => (told += 1) }),
    clock,
    log: quietLog,
    metrics: new SharedMetrics((message) => registry.receive(0, message)),
    random: () => 0.5,
  });
  cleanups.push(() => client.close());
  return { server, client, clock, dial, registry, told: () => told };
}
