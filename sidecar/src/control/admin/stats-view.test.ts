import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry, type SeriesSource, type SeriesValue, SharedMetrics } from "@heddle/telemetry";
import { StatsView } from "./stats-view.ts";

const values = (view: StatsView): number[] => [...view.walk("name")].flatMap((one) => (one ? [one.value] : []));

test("series of all threads are summed when somebody looks", () => {
  const registry = new MetricsRegistry();
  for (const thread of [0, 1]) {
    const metrics = new SharedMetrics((message) => registry.receive(thread, message));
    metrics.counter("cluster.upstream_rq_total", { cluster: "a" }).add(2);
    metrics.flush();
  }
  assert.deepEqual(values(new StatsView(registry)), [4]);
});

test("a counter that was reset counts on from zero, and one that begins anew is not taken below zero", async () => {
  let total = 5;
  const series = (kind: SeriesValue["kind"]): SeriesValue => ({
    kind,
    name: kind,
    labels: { a: "b" },
    value: total,
    buckets: undefined,
    sum: 0,
  });
  const source: SeriesSource = {
    *walk(_, { kinds } = {}) {
      for (const kind of kinds ?? (["counter", "gauge"] as const)) yield series(kind);
    },
  };
  const view = new StatsView(source);
  await view.resetCounters();
  assert.deepEqual(values(view), [0, 5]);
  total = 8;
  assert.deepEqual(values(view), [3, 8]);
  total = 1; // the series was retired, and made again
  assert.deepEqual(values(view), [1, 1]);
  total = 6;
  assert.deepEqual(values(view), [6, 6]);
});
