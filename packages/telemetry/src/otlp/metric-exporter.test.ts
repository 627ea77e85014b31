import assert from "node:assert/strict";
import { test } from "node:test";
import { DataPointType } from "@opentelemetry/sdk-metrics";
import { defaultBuckets } from "../bucket-settings.ts";
import { MetricsRegistry } from "../metrics-registry.ts";
import { SharedMetrics } from "../shared-metrics.ts";
import { taggedName } from "../stat-names.ts";
import { toMetrics } from "./metric-exporter.ts";

function metricsOf(fill: (metrics: SharedMetrics) => void) {
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(1, message));
  fill(metrics);
  metrics.flush();
  const naming = (name: string, labels: Readonly<Record<string, string>>) => {
    const tagged = taggedName(name, labels);
    return { name: tagged.name, attributes: tagged.labels };
  };
  return toMetrics({ series: registry.collect(), startWallMs: 1000, wallMs: 2500 }, naming, defaultBuckets);
}

test("series of one name are one metric, cumulative from the start until now", () => {
  const [metric, ...more] = metricsOf((metrics) => {
    for (const [code, by] of [["200", 3], ["404", 2]] as const) metrics.counter(`cluster.upstream_rq_${code}`, { envoy_cluster_name: "a" }).add(by);
  }); // biome-ignore format: a table
  assert.deepEqual(more, []);
  assert.equal(metric?.descriptor.name, "cluster.upstream_rq");
  assert.ok(metric?.dataPointType === DataPointType.SUM && metric.isMonotonic);
  assert.deepEqual(
    metric.dataPoints.map(({ attributes, value, startTime, endTime }) => [attributes, value, startTime, endTime]),
    [
      [{ envoy_cluster_name: "a", envoy_response_code: "200" }, 3, [1, 0], [2, 500_000_000]],
      [{ envoy_cluster_name: "a", envoy_response_code: "404" }, 2, [1, 0], [2, 500_000_000]],
    ],
  );
});

test("a histogram has the bounds that Prometheus gets, and one count more than bounds", () => {
  const [metric] = metricsOf((metrics) => {
    for (const value of [0.4, 3, 3, 1e9]) metrics.histogram("http.downstream_rq_time").record(value);
  });
  assert.ok(metric?.dataPointType === DataPointType.HISTOGRAM);
  const { buckets, count, sum } = metric.dataPoints[0]!.value;
  assert.equal(buckets.counts.length, buckets.boundaries.length + 1);
  assert.deepEqual(buckets.counts.slice(0, 3), [1, 0, 2]);
  assert.equal(buckets.counts.at(-1), 1);
  assert.equal(count, 4);
  assert.equal(sum, 1_000_000_006.4);
});

test("a gauge is one", () => {
  const [metric] = metricsOf((metrics) => metrics.gauge("server.live").set(1));
  assert.equal(metric?.dataPointType, DataPointType.GAUGE);
});
