import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_BUCKETS } from "@heddle/telemetry";
import { defaultTelemetry, type StatsConfig } from "@heddle/traffic";
import { statsPresentation } from "./stats-presentation.ts";

const LABELS = { envoy_cluster_name: "orders.prod" };

function present(change: Partial<StatsConfig>) {
  return statsPresentation({ ...defaultTelemetry.stats, ...change });
}

test("by default names are as Envoy's default tags divide them", () => {
  assert.deepEqual(present({}).nameOf("cluster.upstream_rq_2xx", LABELS), {
    dotted: "cluster.orders.prod.upstream_rq_2xx",
    tagless: "cluster.upstream_rq_xx",
    labels: { envoy_cluster_name: "orders.prod", envoy_response_code_class: "2" },
  });
});

test("a fixed tag is everywhere; a regex takes its first group out of the name and its second as value", () => {
  const { nameOf } = present({
    tags: [
      { name: "pod", value: { type: "fixed", value: "a" } },
      { name: "my.kind", value: { type: "regex", regex: "_((rq|cx)_)" } },
    ],
  });
  assert.deepEqual(nameOf("cluster.upstream_rq_total", LABELS), {
    dotted: "cluster.orders.prod.upstream_rq_total",
    tagless: "cluster.upstream_total",
    labels: { envoy_cluster_name: "orders.prod", my_kind: "rq", pod: "a" },
  });
});

test("without the default tags the name keeps their values, but for those that are named", () => {
  assert.deepEqual(present({ useAllDefaultTags: false }).nameOf("cluster.upstream_rq_2xx", LABELS), {
    dotted: "cluster.orders.prod.upstream_rq_2xx",
    tagless: "cluster.orders.prod.upstream_rq_2xx",
    labels: {},
  });
  const tags = [{ name: "envoy.cluster_name", value: { type: "default" } }] as const;
  assert.deepEqual(present({ useAllDefaultTags: false, tags }).nameOf("cluster.upstream_rq_2xx", LABELS), {
    dotted: "cluster.orders.prod.upstream_rq_2xx",
    tagless: "cluster.upstream_rq_2xx",
    labels: LABELS,
  });
});

test("the matcher decides by the dotted name", () => {
  const patterns = [{ type: "prefix", value: "cluster.orders", ignoreCase: false }] as const;
  const inclusion = present({ matcher: { type: "inclusion", patterns } });
  const exclusion = present({ matcher: { type: "exclusion", patterns } });
  assert.deepEqual(
    [inclusion, exclusion, present({}), present({ matcher: { type: "none" } })].map(({ accepts }) => [
      accepts("cluster.upstream_rq_total", LABELS),
      accepts("server.live", {}),
    ]),
    [[true, false], [false, true], [true, true], [false, false]],
  ); // biome-ignore format: a table
});

test("the first bucket setting that matches counts", () => {
  const { buckets } = present({
    histogramBuckets: [
      { match: { type: "suffix", value: "rq_time", ignoreCase: false }, buckets: [1, 2] },
      { match: { type: "prefix", value: "cluster.", ignoreCase: false }, buckets: [5] },
    ],
  });
  assert.deepEqual(buckets("cluster.a.upstream_rq_time"), [1, 2]);
  assert.deepEqual(buckets("cluster.a.upstream_cx_length_ms"), [5]);
  assert.deepEqual(buckets("http.a.downstream_cx_length_ms"), DEFAULT_BUCKETS);
});
