import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry, SharedMetrics } from "@heddle/telemetry";
import { defaultTelemetry } from "@heddle/traffic";
import { statsPresentation } from "../export/stats-presentation.ts";
import { statsView } from "./stats-view.ts";

test("series of all threads are summed, and a filter holds for both forms", () => {
  const registry = new MetricsRegistry();
  for (const thread of [0, 1]) {
    const metrics = new SharedMetrics((message) => registry.receive(thread, message));
    metrics.counter("cluster.upstream_rq_total", { cluster: "a" }).add(2);
    metrics.counter("server.idle");
    metrics.flush();
  }
  let looks = 0;
  const collect = () => {
    looks += 1;
    return registry.collect();
  };
  const view = statsView(collect, statsPresentation(defaultTelemetry.stats));
  assert.match(view.text({}), /upstream_rq_total.*: 4\n/);
  const filter = { usedOnly: true, matches: (name: string) => name.includes("upstream") || name.includes("idle") };
  assert.match(view.prometheus(filter), /upstream_rq_total\{.*\} 4\n/);
  assert.doesNotMatch(view.prometheus(filter), /idle/);
  assert.equal(view.text({ matches: () => false }), "");
  assert.equal(looks, 4);
});
