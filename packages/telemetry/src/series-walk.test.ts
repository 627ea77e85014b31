import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MetricsRegistry } from "./metrics-registry.ts";
import { seriesGroup } from "./series-group.ts";
import type { SeriesOrder, SeriesValue } from "./series-walk.ts";
import { SharedMetrics } from "./shared-metrics.ts";
import { sortInSlices } from "./sort-in-slices.ts";
import { statName } from "./stat-names.ts";

const GROUP = seriesGroup("cluster", (scope) => [scope.counter("rq"), scope.gauge("cx"), scope.histogram("time")]);

function walked(registry: MetricsRegistry, order: SeriesOrder): SeriesValue[] {
  return [...registry.walk(order)].filter((one) => one !== undefined);
}

test("a walk in the order of shown names gives the series of a walk by name, sorted and each once", () => {
  // Names that begin with each other, where sorting cluster by cluster would go wrong.
  const clusters = fc.uniqueArray(fc.constantFrom("a", "a.b", "a.cx", "a.rq", "b", "a b", "z"), { minLength: 1 });
  fc.assert(
    fc.property(fc.array(clusters, { minLength: 1, maxLength: 3 }), fc.boolean(), (threads, oneEnds) => {
      const registry = new MetricsRegistry();
      for (const [id, names] of threads.entries()) {
        const metrics = new SharedMetrics((message) => registry.receive(id, structuredClone(message)));
        for (const name of names) {
          const scope = metrics.group(GROUP, { envoy_cluster_name: name });
          scope.counter("rq").add(id + 1);
          if (name.length > 1) scope.histogram("time").record(5);
          metrics.counter("cluster.rq.total", { envoy_cluster_name: name, x: "y" }).add();
        }
        metrics.counter("server.live").add();
        metrics.flush();
      }
      if (oneEnds) registry.remove(0);
      const shown = walked(registry, "shown");
      const names = shown.map(({ name, labels }) => statName(name, labels));
      assert.deepEqual(names, [...new Set(names)].sort());
      const text = ({ name, labels, kind, value, sum }: SeriesValue): string =>
        JSON.stringify([statName(name, labels), kind, value, sum]);
      assert.deepEqual(shown.map(text).sort(), registry.collect().map(text).sort());
      const total = threads.reduce((sum, of, id) => sum + of.length * (id + 1), 0);
      assert.equal(registry.sum("cluster.rq"), total);
    }),
  );
});

test("a walk sees what there was when it began, whichever threads end meanwhile", () => {
  const registry = new MetricsRegistry();
  for (const id of [1, 2]) {
    const metrics = new SharedMetrics((message) => registry.receive(id, message));
    for (const name of ["a", "b", "c"]) metrics.counter(name).add(id);
    metrics.flush();
  }
  const seen: [string, number][] = [];
  for (const one of registry.walk("name")) {
    if (one === undefined) continue;
    seen.push([one.name, one.value]);
    if (one.name === "a") registry.remove(1);
    if (one.name === "b") registry.remove(2);
  }
  assert.deepEqual(seen, [["a", 3], ["b", 3], ["c", 3]]); // biome-ignore format: a table
  assert.deepEqual(registry.collect().map(({ value }) => value), [3, 3, 3]); // biome-ignore format: short
});

test("what is retired while a walk goes on is not shown with what has its slot by then", () => {
  for (const order of ["name", "shown"] as const) {
    const registry = new MetricsRegistry();
    const counter = (name: string, slot: number) => ({ kind: "counter" as const, name, labels: {}, slot });
    const block = new SharedArrayBuffer(8 * 1024);
    new Float64Array(block).set([1, 2, 3]);
    const none = { blocks: [], retired: [], added: [], groups: [] };
    const names = ["a", "b", "c"];
    registry.receive(1, { ...none, blocks: [block], added: names.map(counter) });
    const seen: [string, number][] = [];
    for (const one of registry.walk(order)) {
      if (one === undefined) continue;
      seen.push([one.name, one.value]);
      if (seen.length > 1) continue;
      registry.receive(1, { ...none, retired: [2], added: [counter("x", 2)] });
      new Float64Array(block)[2] = 1e9;
    }
    assert.deepEqual(seen, [["a", 1], ["b", 2]], order); // biome-ignore format: a table
    assert.equal(registry.sum("x"), 1e9);
  }
});

test("only the kinds that are asked for, and families together where somebody says what is of one", () => {
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(1, message));
  for (const name of ["rq_200", "rq", "rq_active", "rq_404"]) metrics.counter(name);
  metrics.gauge("open");
  metrics.flush();
  const names = (options: Parameters<MetricsRegistry["walk"]>[1]): string[] =>
    [...registry.walk("name", options)].flatMap((one) => (one === undefined ? [] : [one.name]));
  assert.deepEqual(names({ kinds: ["gauge"] }), ["open"]);
  const familyOf = (name: string): string => name.replace(/_\d+$/, "");
  assert.deepEqual(names({ kinds: ["counter"], familyOf }), ["rq", "rq_200", "rq_404", "rq_active"]);
});

test("sorting in slices sorts like sort", () => {
  const items = Array.from({ length: 5000 }, (_, i) => `n${(i * 7919) % 4999}`);
  const sorting = sortInSlices(items, (item) => item);
  let pauses = 0;
  let step = sorting.next();
  for (; step.done !== true; step = sorting.next()) pauses += 1;
  assert.deepEqual(step.value, [...items].sort());
  assert.ok(pauses > 20, `${pauses} places to pause`);
});
