import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry, SharedMetrics, statName } from "@heddle/telemetry";
import { ClientMetrics } from "./client-metrics.ts";

const URL = "type.googleapis.com/envoy.config";

test("updates of listeners and clusters are counted by their outcome, where Envoy has them", () => {
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  const client = new ClientMetrics(metrics);
  client.received(`${URL}.listener.v3.Listener`, false, 1000);
  client.received(`${URL}.listener.v3.Listener`, true, 2000);
  client.received(`${URL}.cluster.v3.Cluster`, false, 3000);
  client.received(`${URL}.endpoint.v3.ClusterLoadAssignment`, true, 3000);
  client.lost(4000);
  metrics.flush();
  const values = Object.fromEntries(registry.collect().map((one) => [statName(one.name, one.labels), one.value]));
  const of = (scope: string): unknown =>
    ["attempt", "success", "rejected", "failure", "time"].map((what) => values[`${scope}.update_${what}`]);
  assert.deepEqual(of("listener_manager.lds"), [3, 1, 1, 1, 1000]);
  assert.deepEqual(of("cluster_manager.cds"), [2, 1, 0, 1, 3000]);
  assert.equal(values["control_plane.rejections.type.endpoints"], 1);
  assert.equal(values["control_plane.pending_requests"], 0);
});
