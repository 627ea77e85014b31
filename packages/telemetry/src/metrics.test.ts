import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { BUCKET_BOUNDS, BUCKET_COUNT, bucketOf, quantile } from "./histogram-buckets.ts";
import type { MetricsMessage } from "./metric-table.ts";
import { MetricsRegistry } from "./metrics-registry.ts";
import { formatPrometheus } from "./prometheus.ts";
import { seriesGroup } from "./series-group.ts";
import { SharedMetrics } from "./shared-metrics.ts";
import { prometheusName, statName, taggedName } from "./stat-names.ts";
import { type SeriesSource, type StatsFilter, selectStats, statsText } from "./stats-text.ts";

function formatStats(source: SeriesSource, filter: StatsFilter = {}): string {
  return [...statsText({ walk: (order, options) => selectStats(source.walk(order, options), filter) })].join("");
}

function thread(registry: MetricsRegistry, id: number): SharedMetrics {
  return new SharedMetrics((message) => registry.receive(id, structuredClone(message)));
}

describe("metrics of a thread", () => {
  test("are read elsewhere as they are written, without a further message", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    const requests = metrics.counter("requests");
    metrics.flush();
    requests.add();
    requests.add(2);
    assert.deepEqual(
      registry.collect().map(({ name, kind, value }) => [name, kind, value]),
      [["requests", "counter", 3]],
    );
  });

  test("the same name and labels are the same series, in whatever order the labels stand", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    metrics.counter("x", { a: "1", b: "2" }).add();
    metrics.counter("x", { b: "2", a: "1" }).add();
    metrics.scope("y", { a: "1" }).counter("z", { b: "2" }).add();
    metrics.counter("y.z", { a: "1", b: "2" }).add();
    metrics.flush();
    assert.deepEqual(
      registry.collect().map(({ name, value }) => [name, value]),
      [["x", 2], ["y.z", 2]],
    ); // biome-ignore format: a table
  });

  test("one name cannot be two kinds", () => {
    const metrics = new SharedMetrics(() => undefined);
    metrics.counter("x");
    assert.throws(() => metrics.gauge("x"), /x is a counter, and was asked for as a gauge/);
  });

  test("add up over threads, and counters survive the thread that counted", () => {
    const registry = new MetricsRegistry();
    const threads = [thread(registry, 1), thread(registry, 2)];
    for (const metrics of threads) {
      metrics.counter("requests").add(5);
      metrics.gauge("open").set(2);
      metrics.histogram("time").record(7);
      metrics.flush();
    }
    const values = (): unknown => registry.collect().map(({ name, value, sum }) => [name, value, sum]);
    assert.deepEqual(values(), [["open", 4, 0], ["requests", 10, 0], ["time", 2, 14]]); // biome-ignore format: a table
    registry.remove(1);
    assert.deepEqual(values(), [["open", 2, 0], ["requests", 10, 0], ["time", 2, 14]]); // biome-ignore format: a table
  });

  test("spill into further blocks when one is full", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    const histograms = Array.from({ length: 60 }, (_, i) => metrics.histogram(`time${i}`));
    const counters = Array.from({ length: 5000 }, (_, i) => metrics.counter(`count${i}`));
    metrics.flush();
    histograms.forEach((histogram, i) => {
      histogram.record(i);
    });
    counters.forEach((counter, i) => {
      counter.add(i);
    });
    const values = new Map(registry.collect().map((series) => [series.name, series]));
    assert.equal(values.size, 5060);
    for (let i = 0; i < 60; i++) assert.equal(values.get(`time${i}`)?.sum, i);
    for (let i = 0; i < 5000; i++) assert.equal(values.get(`count${i}`)?.value, i);
  });

  test("tell of new series on the next tick, all at once", async () => {
    const messages: MetricsMessage[] = [];
    const metrics = new SharedMetrics((message) => messages.push(message));
    metrics.counter("a");
    metrics.counter("b");
    assert.equal(messages.length, 0);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(messages.length, 1);
    assert.equal(messages[0]?.added.length, 2);
  });

  test("a retired series is gone, and its slot is used again only after its handle", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage = runInNewContext("gc") as () => void;
    const registry = new MetricsRegistry();
    const slots: number[] = [];
    const metrics = new SharedMetrics((message) => {
      slots.push(...message.added.map(({ slot }) => slot));
      registry.receive(1, message);
    });
    let held: { add(by?: number): void } | undefined = metrics.counter("rq", { envoy_cluster_name: "old" });
    metrics.counter("rq", { envoy_cluster_name: "other" }).add(1);
    metrics.flush();
    metrics.retire({ envoy_cluster_name: "old" });
    metrics.flush();
    held.add(100); // a draining connection still counts
    const next = metrics.counter("rq", { envoy_cluster_name: "next" });
    metrics.flush();
    next.add(1);
    assert.deepEqual(
      registry.collect().map(({ labels, value }) => [labels["envoy_cluster_name"], value]),
      [["next", 1], ["other", 1]],
    ); // biome-ignore format: a table
    assert.deepEqual(slots, [0, 1, 2]);
    held = undefined;
    for (let i = 0; i < 10; i++) {
      collectGarbage();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const reused = metrics.counter("rq", { envoy_cluster_name: "late" });
    metrics.flush();
    assert.deepEqual(slots, [0, 1, 2, 0]);
    reused.add(3);
    assert.equal(registry.collect().find(({ labels }) => labels["envoy_cluster_name"] === "late")?.value, 3);
  });
});

describe("a group of series", () => {
  const group = seriesGroup("cluster", (scope) => [
    scope.counter("rq_total"),
    scope.counter("rq_error"),
    scope.gauge("active"),
    scope.histogram("time"),
  ]);
  const values = (registry: MetricsRegistry): unknown =>
    registry.collect().map((s) => [s.name, s.labels["c"], s.value]);

  test("is one entry in the table, and a series for each name", () => {
    const registry = new MetricsRegistry();
    const messages: MetricsMessage[] = [];
    const metrics = new SharedMetrics((message) => {
      messages.push(message);
      registry.receive(1, structuredClone(message));
    });
    const scope = metrics.group(group, { c: "a" });
    scope.counter("rq_error").add(2);
    scope.gauge("active").set(5);
    metrics.group(group, { c: "a" }).counter("rq_error").add(1);
    metrics.flush();
    assert.equal(messages.flatMap(({ added }) => added).length, 1);
    assert.deepEqual(values(registry), [
      ["cluster.active", "a", 5], ["cluster.rq_error", "a", 3], ["cluster.rq_total", "a", 0], ["cluster.time", "a", 0],
    ]); // biome-ignore format: a table
    assert.equal(registry.sum("cluster.rq_error"), 3);
    assert.match(formatStats(registry), /^cluster\.time\.c\.a: No recorded values$/m);
  });

  test("its histograms take their slots with the first value, and what it does not name comes beside it", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    const scope = metrics.group(group, { c: "a" });
    scope.histogram("time").record(7);
    scope.counter("rq_200").add();
    metrics.flush();
    assert.deepEqual(values(registry), [
      ["cluster.active", "a", 0], ["cluster.rq_200", "a", 1], ["cluster.rq_error", "a", 0], ["cluster.rq_total", "a", 0],
      ["cluster.time", "a", 1],
    ]); // biome-ignore format: a table
    assert.throws(() => scope.gauge("rq_total"), /rq_total is not one of the group's series/);
  });

  test("adds up over threads, and its counters survive the thread that counted", () => {
    const registry = new MetricsRegistry();
    for (const id of [1, 2]) {
      const metrics = thread(registry, id);
      const scope = metrics.group(group, { c: "a" });
      scope.counter("rq_total").add(id);
      scope.gauge("active").set(1);
      metrics.flush();
    }
    registry.remove(2);
    assert.deepEqual(values(registry), [
      ["cluster.active", "a", 1], ["cluster.rq_error", "a", 0], ["cluster.rq_total", "a", 3], ["cluster.time", "a", 0],
    ]); // biome-ignore format: a table
  });

  test("that is retired is gone, and its slots are used again only after its handles", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage = runInNewContext("gc") as () => void;
    const registry = new MetricsRegistry();
    const slots: number[] = [];
    const metrics = new SharedMetrics((message) => {
      slots.push(...message.added.map(({ slot }) => slot));
      registry.receive(1, message);
    });
    let draining: { add(by?: number): void } | undefined = metrics.group(group, { c: "old" }).counter("rq_total");
    metrics.flush();
    metrics.retire({ c: "old" });
    metrics.flush();
    assert.deepEqual(values(registry), []);
    const next = metrics.group(group, { c: "next" }).counter("rq_total");
    draining.add(100);
    next.add();
    metrics.flush();
    assert.equal(registry.sum("cluster.rq_total"), 1);
    draining = undefined;
    for (let i = 0; i < 10; i++) {
      collectGarbage();
      await new Promise((resolve) => setImmediate(resolve));
    }
    metrics.group(group, { c: "late" }).counter("rq_total").add(7);
    metrics.flush();
    assert.deepEqual(slots, [0, 3, 0]);
    assert.equal(registry.sum("cluster.rq_total"), 8);
  });

  test("that ends before anybody has heard of it is never told of", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    metrics.group(group, { c: "a" });
    metrics.counter("single", { c: "a" });
    metrics.retire({ c: "a" });
    metrics.group(group, { c: "b" });
    metrics.flush();
    assert.equal(
      registry.collect().every(({ labels }) => labels["c"] === "b"),
      true,
    );
  });

  test("a histogram that is first recorded in after the end leaves nothing behind", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    const scope = metrics.group(group, { c: "a" });
    const time = scope.histogram("time");
    metrics.retire({ c: "a" });
    time.record(1);
    scope.counter("rq_503").add();
    metrics.flush();
    assert.deepEqual(values(registry), []);
  });

  test("a scope of the group has its name and labels, and makes nothing after its end", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    const methods = metrics.group(group, { c: "a" }).scope("grpc", { method: "m" });
    methods.counter("total").add(2);
    metrics.flush();
    const found = registry.collect().find(({ name }) => name === "cluster.grpc.total");
    assert.deepEqual([found?.labels, found?.value], [{ c: "a", method: "m" }, 2]);
    metrics.retire({ c: "a" });
    methods.counter("late").add();
    methods.histogram("late_time").record(1);
    methods.scope("deeper").gauge("late").set(1);
    metrics.flush();
    assert.deepEqual(values(registry), []);
  });

  test("series that are not wanted are not shown, and can be asked for", () => {
    const registry = new MetricsRegistry((name) => name.endsWith("rq_total") || name.endsWith("time"));
    const metrics = thread(registry, 1);
    metrics.group(group, { c: "a" });
    metrics.counter("other").add();
    metrics.flush();
    assert.deepEqual(values(registry), [["cluster.rq_total", "a", 0], ["cluster.time", "a", 0]]); // biome-ignore format: a table
    assert.equal(registry.collect({ all: true }).length, 5);
  });
});

describe("histogram buckets", () => {
  test("every value lies between its bucket's bounds", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e8, noNaN: true }), (value) => {
        const bucket = bucketOf(value);
        assert.ok(bucket < BUCKET_COUNT);
        if (bucket > 0) assert.ok(value > BUCKET_BOUNDS[bucket - 1]!);
        if (bucket < BUCKET_BOUNDS.length) assert.ok(value <= BUCKET_BOUNDS[bucket]!);
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  test("rise, and no bucket from 0.01 on is wider than a quarter of its lower bound", () => {
    for (let i = 1; i < BUCKET_BOUNDS.length; i++) {
      const [low, high] = [BUCKET_BOUNDS[i - 1]!, BUCKET_BOUNDS[i]!];
      assert.ok(high > low && high <= low * 1.25, `${low} to ${high}`);
    }
  });

  test("quantiles come back to within a bucket", () => {
    const buckets = new Float64Array(BUCKET_COUNT);
    for (let i = 1; i <= 1000; i++) buckets[bucketOf(i)]! += 1;
    assert.ok(Math.abs(quantile(buckets, 0.5)! - 500) < 50);
    assert.ok(Math.abs(quantile(buckets, 0.99)! - 990) < 50);
    assert.equal(quantile(new Float64Array(BUCKET_COUNT), 0.5), undefined);
  });
});

describe("names as Envoy has them", () => {
  for (const [name, labels, dotted, prometheus] of [
    ["cluster.upstream_rq_total", { envoy_cluster_name: "outbound/80/a.b" }, "cluster.outbound/80/a.b.upstream_rq_total",
      'envoy_cluster_upstream_rq_total{envoy_cluster_name="outbound/80/a.b"} 1'],
    ["cluster.upstream_rq_2xx", { envoy_cluster_name: "x" }, "cluster.x.upstream_rq_2xx",
      'envoy_cluster_upstream_rq_xx{envoy_cluster_name="x",envoy_response_code_class="2"} 1'],
    ["cluster.upstream_rq_503", { envoy_cluster_name: "x" }, "cluster.x.upstream_rq_503",
      'envoy_cluster_upstream_rq{envoy_cluster_name="x",envoy_response_code="503"} 1'],
    ["http.downstream_cx_active", { envoy_http_conn_manager_prefix: "ingress" }, "http.ingress.downstream_cx_active",
      'envoy_http_downstream_cx_active{envoy_http_conn_manager_prefix="ingress"} 1'],
    ["listener.downstream_cx_total", { envoy_listener_address: "0.0.0.0:80" }, "listener.0.0.0.0_80.downstream_cx_total",
      'envoy_listener_downstream_cx_total{envoy_listener_address="0.0.0.0_80"} 1'],
    ["xds_server.requests", { type: "Cluster" }, "xds_server.requests.type.Cluster",
      'envoy_xds_server_requests{type="Cluster"} 1'],
    ["cluster.upstream_rq_total", { envoy_cluster_name: "outbound:80" }, "cluster.outbound_80.upstream_rq_total",
      'envoy_cluster_upstream_rq_total{envoy_cluster_name="outbound_80"} 1'],
    ["vhost.vcluster.upstream_rq_4xx", { envoy_virtual_host: "shop", envoy_virtual_cluster: "users" },
      "vhost.shop.vcluster.users.upstream_rq_4xx",
      'envoy_vhost_vcluster_upstream_rq_xx{envoy_virtual_host="shop",envoy_virtual_cluster="users",envoy_response_code_class="4"} 1'],
    ["http.rds.update_success", { envoy_http_conn_manager_prefix: "in", envoy_rds_route_config: "routes" },
      "http.in.rds.routes.update_success",
      'envoy_http_rds_update_success{envoy_http_conn_manager_prefix="in",envoy_rds_route_config="routes"} 1'],
    ["cluster.grpc.success",
      { envoy_cluster_name: "x", envoy_grpc_bridge_service: "shop.Cart", envoy_grpc_bridge_method: "Add" },
      "cluster.x.grpc.shop.Cart.Add.success",
      'envoy_cluster_grpc_success{envoy_cluster_name="x",envoy_grpc_bridge_service="shop.Cart",envoy_grpc_bridge_method="Add"} 1'],
    ["cluster.grpc-web.14", { envoy_cluster_name: "x" }, "cluster.x.grpc-web.14",
      'envoy_cluster_grpc_web_14{envoy_cluster_name="x"} 1'],
    ["server.live", {}, "server.live", "envoy_server_live 1"],
  ] as const /* biome-ignore format: a table */) {
    test(`${dotted}`, () => {
      const registry = new MetricsRegistry();
      const metrics = thread(registry, 1);
      metrics.gauge(name, labels).set(1);
      metrics.flush();
      const series = registry.collect();
      assert.equal(statName(name, labels), dotted);
      assert.equal(formatStats(registry), `${dotted}: 1\n`);
      const family = prometheusName(taggedName(name, labels).name);
      assert.match(formatPrometheus(series), new RegExp(`^# HELP ${family} Envoy's .+\n# TYPE ${family} gauge\n`));
      assert.ok(formatPrometheus(series).endsWith(`\n${prometheus}\n`));
    });
  }

  test("label values are escaped in the exposition", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    metrics.counter("x", { name: 'a"b\\c\nd' }).add();
    metrics.flush();
    assert.match(formatPrometheus(registry.collect()), /^envoy_x\{name="a\\"b\\\\c\\nd"\} 1$/m);
  });

  test("a histogram's buckets are cumulative, end in +Inf, and agree with its count", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    const time = metrics.histogram("time");
    metrics.flush();
    for (const value of [0.4, 0.5, 0.6, 26, 1e9]) time.record(value);
    const text = formatPrometheus(registry.collect());
    const at = (le: string): number =>
      Number(new RegExp(`^envoy_time_bucket\\{le="${le}"\\} (\\d+)$`, "m").exec(text)?.[1]);
    assert.deepEqual(["0\\.5", "1", "25", "50", "3600000", "\\+Inf"].map(at), [2, 3, 3, 4, 4, 5]);
    assert.match(text, /^# TYPE envoy_time histogram$/m);
    assert.match(text, /^envoy_time_count 5$/m);
    assert.match(text, /^envoy_time_sum 1000000027.5$/m);
  });

  test("families stand together, however their series are named", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    for (const name of ["c.rq_2xx", "c.rq_total", "c.rq_5xx"]) metrics.counter(name).add();
    metrics.flush();
    const text = formatPrometheus(registry.collect());
    assert.equal(text.match(/# TYPE envoy_c_rq_xx counter/g)?.length, 1);
    const names = [...text.matchAll(/^(?:# TYPE |# HELP )?(envoy_\w+)/gm)].map(([, name]) => name);
    assert.deepEqual(names, [...names].sort());
  });

  test("/stats shows quantiles, and can be filtered", () => {
    const registry = new MetricsRegistry();
    const metrics = thread(registry, 1);
    metrics.histogram("time").record(10);
    metrics.histogram("empty");
    metrics.counter("a").add();
    metrics.counter("b");
    metrics.flush();
    const text = formatStats(registry);
    assert.match(text, /^a: 1\nb: 0\nempty: No recorded values\ntime: P0\(.*P99\.9\(.*P100\(10,10\)\n$/);
    assert.match(formatStats(registry, { usedOnly: true }), /^a: 1\ntime: .*\n$/);
    assert.equal(formatStats(registry, { matches: (name) => name === "b" }), "b: 0\n");
  });
});
