import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import { HeaderMap, RequestHead } from "@heddle/http";
import { type MetricsMessage, SharedMetrics } from "@heddle/telemetry";
import { LiveRuntime } from "@heddle/traffic";
import { clusterConfig, endpointsConfig, Harness } from "../http/testing-harness.ts";
import { Cluster } from "./cluster.ts";

const HEAD = new RequestHead("GET", "http", "a", "/", new HeaderMap());

function makeCluster() {
  const harness = new Harness();
  return { harness, cluster: new Cluster(clusterConfig("late"), harness.env) };
}

test("a cluster whose endpoints have not come makes requests wait, and tells when to ask again", () => {
  const { cluster } = makeCluster();
  assert.equal(cluster.pick(HEAD).type, "wait");
  let told = 0;
  cluster.nextPicker(() => told++);
  const leave = cluster.nextPicker(() => assert.fail("it has left"));
  leave();
  cluster.setEndpoints(endpointsConfig("late", ["10.0.0.1:80"]), "1");
  assert.equal(told, 1);
  assert.equal(cluster.pick(HEAD).type, "endpoint");
});

test("endpoints with the hash that it has change nothing", () => {
  const { cluster } = makeCluster();
  cluster.setEndpoints(endpointsConfig("late", ["10.0.0.1:80"]), "1");
  const before = cluster.endpoints;
  cluster.setEndpoints(endpointsConfig("late", ["10.0.0.2:80"]), "1");
  assert.equal(cluster.endpoints, before);
  assert.deepEqual([...(cluster.endpoints?.byKey.keys() ?? [])], ["10.0.0.1:80"]);
});

test("an endpoint that stays is the same object", () => {
  const { cluster } = makeCluster();
  cluster.setEndpoints(endpointsConfig("late", ["10.0.0.1:80"]), "1");
  const before = cluster.endpoints?.byKey.get("10.0.0.1:80");
  cluster.setEndpoints(endpointsConfig("late", ["10.0.0.2:80", "10.0.0.1:80"]), "2");
  assert.equal(cluster.endpoints?.byKey.get("10.0.0.1:80"), before);
});

test("the series of a cluster that nothing has gone to are told of", () => {
  const told: MetricsMessage[] = [];
  const metrics = new SharedMetrics((message) => told.push(message));
  const cluster = new Cluster(clusterConfig("late"), { ...new Harness().env, metrics });
  metrics.flush();
  assert.deepEqual(
    told.flatMap(({ added }) => added.map(({ kind, labels }) => [kind, labels])),
    [["group", { envoy_cluster_name: "late" }]],
  );
  assert.equal(cluster.stats, cluster.stats);
});

test("without endpoints every pick fails", () => {
  const { cluster } = makeCluster();
  cluster.clearEndpoints();
  const pick = cluster.pick(HEAD);
  assert.equal(pick.type === "fail" && pick.failure.kind, "no-healthy-upstream");
});

test("when all endpoints go, so do their connections, but not those to an address that a filter chose", () => {
  const { cluster } = makeCluster();
  cluster.setEndpoints(endpointsConfig("late", ["10.0.0.1:80", "10.0.0.2:80"]), "1");
  const endpoint = cluster.endpoints?.byKey.get("10.0.0.2:80");
  assert.ok(endpoint);
  const stray = cluster.endpointAt({ type: "socket", address: "10.9.9.9", port: 1 });
  const [gone, stays] = [cluster.pool(endpoint, HEAD), cluster.pool(stray, HEAD)];
  cluster.clearEndpoints();
  assert.notEqual(cluster.pool(endpoint, HEAD), gone);
  assert.equal(cluster.pool(stray, HEAD), stays);
});

test("an address that a filter chose is one endpoint as long as it has a connection", () => {
  const { cluster } = makeCluster();
  const address = { type: "socket", address: "10.9.9.9", port: 1 } as const;
  const stray = cluster.endpointAt(address);
  assert.equal(cluster.endpointAt(address), stray);
  const pool = cluster.pool(stray, HEAD);
  pool.drain();
  assert.notEqual(cluster.endpointAt(address), stray);
});

test("connections that tell whom they are for have a pool for each telling, which goes when it is empty", () => {
  const harness = new Harness();
  const proxyProtocol = { version: 1, passThroughTlvs: [] } as const;
  const cluster = new Cluster(clusterConfig("told", { proxyProtocol }), harness.env);
  cluster.setEndpoints(endpointsConfig("told", ["10.0.0.1:80"]), "1");
  const endpoint = cluster.endpoints?.byKey.get("10.0.0.1:80");
  assert.ok(endpoint);
  const client = (remotePort: number): DownstreamInfo => ({
    directRemoteAddress: "192.0.2.1",
    remoteAddress: "192.0.2.1",
    remotePort,
    localAddress: "192.0.2.9",
    localPort: 80,
    connectionId: remotePort,
    listener: "l",
    filterChain: "",
  });
  assert.equal(
    cluster.connectionIdentity(endpoint, client(4000)).preface,
    "PROXY TCP4 192.0.2.1 192.0.2.9 4000 80\r\n",
  );
  // An address that a header says is not the network's.
  const forwarded = { ...client(0), remoteAddress: "203.0.113.5", connection: client(4000) };
  assert.equal(cluster.pool(endpoint, HEAD, forwarded), cluster.pool(endpoint, HEAD, client(4000)));
  assert.notEqual(cluster.pool(endpoint, HEAD, client(4001)), cluster.pool(endpoint, HEAD, client(4000)));
  assert.equal(cluster.connectionIdentity(endpoint).preface, "PROXY UNKNOWN\r\n");

  const pool = cluster.pool(endpoint, HEAD, client(4000));
  let failed = 0;
  harness.dialFailures.push(failure("connect-refused", "upstream", "ECONNREFUSED", "safe"));
  pool.wait({ onConnection: () => assert.fail("it was refused"), onNoConnection: () => failed++ });
  harness.run();
  assert.equal(failed, 1);
  assert.notEqual(cluster.pool(endpoint, HEAD, client(4000)), pool);
  cluster.destroy();
});

test("the panic threshold of the runtime stands above the cluster's, for the endpoints that are there", () => {
  const runtimeValues = new LiveRuntime();
  const harness = new Harness({ runtimeValues });
  const cluster = new Cluster(clusterConfig("late"), harness.env);
  const { localities, ...rest } = endpointsConfig("late", ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
  const sick = localities.map((locality) => ({
    ...locality,
    endpoints: locality.endpoints.map((one) => ({ ...one, healthStatus: "UNHEALTHY" as const })),
  }));
  cluster.setEndpoints({ ...rest, localities: sick }, "1");
  assert.equal(cluster.pick(HEAD).type, "endpoint", "panic: health counts for nothing");
  runtimeValues.publish({ "upstream.healthy_panic_threshold": 0 });
  assert.equal(cluster.pick(HEAD).type, "endpoint", "no request looks through the endpoints");
  cluster.followRuntime();
  assert.equal(cluster.pick(HEAD).type, "fail");
  runtimeValues.publish({ other: 1 });
  cluster.followRuntime();
  assert.equal(cluster.pick(HEAD).type, "endpoint");
});
