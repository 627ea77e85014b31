import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry, type SeriesValue, SharedMetrics } from "@heddle/telemetry";
import { StatsView } from "./stats-view.ts";

test("series of all threads are summed when somebody looks", () => {
  const registry = new MetricsRegistry();
  for (const thread of [0, 1]) {
    const metrics = new SharedMetrics((message) => registry.receive(thread, message));
    metrics.counter("cluster.upstream_rq_total", { cluster: "a" }).add(2);
    metrics.flush();
  }
  let looks = 0;
  const view = new StatsView(() => {
    looks += 1;
    return registry.collect();
  });
  assert.equal(view.collect()[0]?.value, 4);
  assert.equal(looks, 1);
});

test("a counter that was reset counts on from zero, and one that begins anew is not taken below zero", () => {
  let total = 5;
  const series = (kind: SeriesValue["kind"]): SeriesValue => ({
    kind,
    name: kind,
    labels: { a: "b" },
    value: total,
    buckets: undefined,
    sum: 0,
  });
  const view = new StatsView(() => [series("counter"), series("gauge")]);
  const values = () => view.collect().map(({ value }) => value);
  view.resetCounters();
  assert.deepEqual(values(), [0, 5]);
  total = 8;
  assert.deepEqual(values(), [3, 8]);
  total = 1; // the series was retired, and made again
  assert.deepEqual(values(), [1, 1]);
  total = 6;
  assert.deepEqual(values(), [6, 6]);
});
