import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigDelta, ProxyConfig } from "@heddle/config";
import { MetricsRegistry, SharedMetrics, statName } from "@heddle/telemetry";
import type { ClusterConfig, EndpointConfig, EndpointsConfig, ListenerConfig } from "@heddle/traffic";
import type { ResourceUpdate } from "@heddle/xds";
import { ConfigStats } from "./config-stats.ts";

const thresholds = { maxConnections: 2, maxPendingRequests: 10, maxRequests: 10, maxRetries: 3 };

function cluster(name: string, discovery: object = { type: "EDS", serviceName: name }): ClusterConfig {
  return { name, statName: name, discovery, circuitBreakers: { default: thresholds } } as unknown as ClusterConfig;
}

function endpoints(...health: readonly EndpointConfig["healthStatus"][]): EndpointsConfig {
  const lb = health.map((healthStatus, port) => ({
    address: { type: "socket", address: "10.0.0.1", port },
    healthStatus,
    loadBalancingWeight: port + 1,
  }));
  return { localities: [{ endpoints: lb }] } as unknown as EndpointsConfig;
}

function delta(changed: Record<string, unknown>, removed: readonly string[] = []): ConfigDelta {
  return { changed: new Map(Object.entries(changed)), removed } as unknown as ConfigDelta;
}

function serving(change: Partial<ProxyConfig>): ProxyConfig {
  return {
    listeners: new Map(),
    routeConfigurations: new Map(),
    clusters: new Map(),
    endpoints: new Map(),
    secrets: new Map(),
    runtime: {},
    extensions: new Map(),
    ...change,
  };
}

function world() {
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  const stats = new ConfigStats(metrics, () => 1000);
  const values = (): Readonly<Record<string, number>> => {
    metrics.flush();
    return Object.fromEntries(registry.collect().map((one) => [statName(one.name, one.labels), one.value]));
  };
  return { stats, values };
}

test("a cluster's members are counted once, whatever the number of workers and the order of a step", () => {
  const { stats, values } = world();
  stats.applied(delta({ "endpoints/a": endpoints("UNKNOWN", "UNHEALTHY", "DEGRADED"), "cluster/a": cluster("a") }));
  const now = values();
  assert.deepEqual(
    ["total", "healthy", "degraded", "change"].map((name) => now[`cluster.a.membership_${name}`]),
    [3, 1, 1, 1],
  );
  assert.equal(now["cluster.a.max_host_weight"], 3);
  stats.applied(delta({ "endpoints/a": endpoints("HEALTHY", "HEALTHY", "HEALTHY") }));
  assert.equal(values()["cluster.a.membership_healthy"], 3);
  assert.equal(values()["cluster.a.membership_change"], 1, "the same members with another health");
  stats.applied(delta({}, ["endpoints/a"]));
  assert.equal(values()["cluster.a.membership_total"], 0);
});

test("what is added, modified and removed is counted, and a cluster that is gone has no series", () => {
  const { stats, values } = world();
  stats.applied(delta({ "cluster/a": cluster("a"), "listener/l": {} }));
  stats.applied(delta({ "cluster/a": cluster("a"), "listener/l": {} }));
  stats.applied(delta({}, ["cluster/a", "listener/l"]));
  const now = values();
  for (const scope of ["cluster_manager.cluster", "listener_manager.listener"]) {
    assert.deepEqual(
      ["added", "modified", "removed"].map((what) => now[`${scope}_${what}`]),
      [1, 1, 1],
    );
  }
  assert.deepEqual(
    Object.keys(now).filter((name) => name.startsWith("cluster.a.")),
    [],
  );
});

test("a circuit breaker is open while its count is at the limit, and then it is closed again", () => {
  const { stats, values } = world();
  const config = serving({ clusters: new Map([["a", cluster("a")]]) });
  stats.applied(delta({ "cluster/a": cluster("a") }));
  for (const _ of stats.look(config, [], () => [2, 0, 3, 0]));
  const open = values();
  assert.deepEqual(
    [open["cluster.a.circuit_breakers.default.cx_open"], open["cluster.a.circuit_breakers.default.rq_open"]],
    [1, 0],
  );
  assert.equal(open["cluster.a.circuit_breakers.default.remaining_rq"], 7);
  for (const _ of stats.look(config, [], () => [0, 0, 0, 0]));
  const closed = values();
  assert.equal(closed["cluster.a.circuit_breakers.default.cx_open"], 0);
  assert.equal(closed["cluster.a.circuit_breakers.default.remaining_cx"], 2);
});

test("updates of endpoints count for the clusters that take them, those of routes for the managers", () => {
  const { stats, values } = world();
  stats.applied(delta({ "cluster/a": cluster("a", { type: "EDS", serviceName: "svc" }) }));
  const hcm = {
    type: "http-connection-manager",
    config: {
      statPrefix: "in",
      routes: { type: "rds", routeConfigName: "r" },
      httpFilters: [{ name: "auth", discovery: {} }],
      upgradeConfigs: [],
    },
  };
  const listener = { listenerFilters: [], filterChains: [{ filters: [hcm] }] } as unknown as ListenerConfig;
  stats.applied(delta({ "listener/l": listener }));
  const update = (kind: ResourceUpdate["kind"], changed: readonly string[], refreshed: readonly string[] = []): void =>
    stats.received({
      kind,
      changed: new Map(changed.map((name) => [name, { config: {} } as never])),
      removed: [],
      absent: [],
      refreshed,
    });
  update("endpoints", ["svc"]);
  update("endpoints", [], ["svc"]);
  update("endpoints", ["other"]);
  update("route-configuration", ["r"]);
  update("route-configuration", [], ["r"]);
  const now = values();
  assert.deepEqual(
    ["attempt", "success", "no_rebuild"].map((what) => now[`cluster.a.update_${what}`]),
    [2, 2, 1],
  );
  assert.deepEqual(
    ["update_success", "config_reload"].map((what) => now[`http.in.rds.r.${what}`]),
    [2, 1],
  );
  update("extension-config", ["auth"]);
  assert.equal(values()["extension_config_discovery.http_filter.auth.config_reload"], 1);
  stats.applied(delta({ "cluster/a": cluster("a", { type: "EDS", serviceName: "other" }) }));
  update("endpoints", ["svc"]);
  assert.equal(values()["cluster.a.update_attempt"], 2, "it takes another service by now");
  update("endpoints", [], ["other"]);
  assert.equal(values()["cluster.a.update_no_rebuild"], 2);
  stats.applied(delta({}, ["extension-config/auth@abcdefghijklmnopqrst"]));
  update("extension-config", ["auth"]);
  const reloads = values()["extension_config_discovery.http_filter.auth.config_reload"];
  assert.equal(reloads, 2, "what was taken away and came again goes on");
  stats.applied(delta({}, ["route-configuration/r", "cluster/a", "listener/l"]));
  const left = Object.keys(values()).filter((name) => /rds|extension|^cluster\.a/.test(name));
  assert.deepEqual(left, [], "nothing grows with names that come and go");
  update("endpoints", ["other"]);
});

test("lookups of names count for their cluster and for the resolver", () => {
  const { stats, values } = world();
  stats.applied(delta({ "cluster/a": cluster("a") }));
  for (const outcome of ["found", "not-found", "failed"] as const) stats.resolved("a", outcome);
  const now = values();
  assert.deepEqual(
    ["attempt", "success", "empty", "failure"].map((what) => now[`cluster.a.update_${what}`]),
    [3, 2, 1, 1],
  );
  assert.equal(now["dns.cares.resolve_total"], 3);
});

test("the runtime's keys are counted with each of its versions", () => {
  const { stats, values } = world();
  stats.applied(delta({ "runtime/values": { a: 1, b: 2 } }));
  assert.deepEqual([values()["runtime.load_success"], values()["runtime.num_keys"]], [1, 2]);
  stats.applied(delta({ "runtime/values": {}, "cluster/a": cluster("a") }));
  assert.deepEqual([values()["runtime.load_success"], values()["runtime.num_keys"]], [2, 0]);
});
