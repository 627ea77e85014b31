import assert from "node:assert/strict";
import { test } from "node:test";
import type { LocalityLoad } from "../../traffic/upstream/load-ledger.ts";
import { LoadDeltas } from "./load-deltas.ts";

const locality = (zone: string, issued: number, succeeded = issued, inProgress = 0): LocalityLoad => {
  return { region: "r", zone, subZone: "", priority: 0, issued, succeeded, failed: 0, inProgress };
};
const load = (cluster: string, localities: readonly LocalityLoad[], dropped = 0) => ({ cluster, dropped, localities });
const same = (): undefined => undefined;

test("statement 79: reports hold what has happened since the last one that was told, over all workers", () => {
  const deltas = new LoadDeltas(0);
  const first = deltas.read(
    [
      { worker: 1, load: [load("c", [locality("a", 5, 4, 1)], 2)] },
      { worker: 2, load: [load("c", [locality("a", 1), locality("b", 3)])] },
    ],
    "all",
    () => "service",
    1000,
  );
  assert.deepEqual(first.clusters, [
    {
      cluster: "c",
      serviceName: "service",
      localities: [locality("a", 6, 5, 1), locality("b", 3)],
      dropped: 2,
      intervalMs: 1000,
    },
  ]);
  first.told();
  const second = deltas.read([{ worker: 1, load: [load("c", [locality("a", 7)], 2)] }], "all", same, 3000);
  assert.deepEqual(second.clusters, [
    { cluster: "c", serviceName: "c", localities: [locality("a", 2, 3)], dropped: 0, intervalMs: 2000 },
  ]);
});

test("statement 79: what could not be told, and what a worker did not say in time, is in the next report", () => {
  const deltas = new LoadDeltas(0);
  const issued = (reading: ReturnType<LoadDeltas["read"]>): number | undefined =>
    reading.clusters[0]?.localities[0]?.issued;
  assert.equal(issued(deltas.read([{ worker: 1, load: [load("c", [locality("a", 5)])] }], "all", same, 1000)), 5);
  const told = deltas.read([{ worker: 1, load: [load("c", [locality("a", 8)])] }], "all", same, 2000);
  assert.equal(issued(told), 8);
  told.told();
  const silent = deltas.read([{ worker: 1, load: undefined }], "all", same, 3000);
  assert.deepEqual(silent.clusters, []);
  silent.told();
  assert.equal(issued(deltas.read([{ worker: 1, load: [load("c", [locality("a", 9)])] }], "all", same, 4000)), 1);
});

test("only the clusters that were asked for, and of those nothing where nothing happened", () => {
  const deltas = new LoadDeltas(0);
  const look = [{ worker: 1, load: [load("c", [locality("a", 1)]), load("d", [locality("a", 1)]), load("e", [])] }];
  const reading = deltas.read(look, ["d", "e"], same, 1000);
  assert.deepEqual(
    reading.clusters.map(({ cluster }) => cluster),
    ["d"],
  );
  reading.told();
  assert.deepEqual(deltas.read(look, ["d", "e"], same, 2000).clusters, []);
});

test("a worker that was replaced counts from nothing again", () => {
  const deltas = new LoadDeltas(0);
  deltas.read([{ worker: 1, load: [load("c", [locality("a", 5)])] }], "all", same, 1000).told();
  const next = deltas.read([{ worker: 2, load: [load("c", [locality("a", 2)])] }], "all", same, 2000);
  assert.equal(next.clusters[0]?.localities[0]?.issued, 2);
});

test("figures of endpoints are told the same way, over all workers, and those that are gone are forgotten", () => {
  const deltas = new LoadDeltas(0);
  const address = { type: "socket", address: "10.0.0.1", port: 80 } as const;
  const counts = (issued: number) => ({ issued, succeeded: issued, failed: 0, inProgress: 0 });
  const withEndpoint = (issued: number) => ({
    ...locality("a", issued),
    endpoints: [{ address, ...counts(issued) }],
  });
  const told = (look: Parameters<LoadDeltas["read"]>[0], nowMs: number): unknown => {
    const reading = deltas.read(look, "all", same, nowMs);
    reading.told();
    return reading.clusters[0]?.localities[0]?.endpoints?.map(({ issued }) => issued);
  };
  const both = [1, 2].map((worker) => ({ worker, load: [load("c", [withEndpoint(worker * 5)])] }));
  assert.deepEqual(told(both, 1000), [15]);
  assert.deepEqual(
    told(
      [
        { worker: 1, load: [load("c", [withEndpoint(7)])] },
        { worker: 2, load: undefined },
      ],
      2000,
    ),
    [2],
  );
  assert.deepEqual(
    told([{ worker: 2, load: [load("c", [withEndpoint(11)])] }], 3000),
    [1],
    "what was silent lost nothing",
  );
  told([{ worker: 2, load: [load("c", [locality("a", 12)])] }], 4000);
  const anew = { ...locality("a", 15), endpoints: [{ address, ...counts(3) }] };
  assert.deepEqual(told([{ worker: 2, load: [load("c", [anew])] }], 5000), [3], "it began anew");
  // In between it was forgotten, in a report that reached nobody.
  deltas.read([{ worker: 2, load: [load("c", [locality("a", 15)])] }], "all", same, 6000);
  const again = { ...locality("a", 17), endpoints: [{ address, ...counts(2) }] };
  assert.deepEqual(told([{ worker: 2, load: [load("c", [again])] }], 7000), [2]);
});

test("metrics of endpoints are told the same way, by name, and one that nobody has said anew is left out", () => {
  const deltas = new LoadDeltas(0);
  const address = { type: "socket", address: "10.0.0.1", port: 80 } as const;
  const metric = (name: string, requests: number, total: number) => ({ name, requests, total });
  const withMetrics = (issued: number, ...metrics: readonly ReturnType<typeof metric>[]): LocalityLoad => {
    const endpoints = [{ address, issued, succeeded: issued, failed: 0, inProgress: 0, metrics }];
    return { ...locality("a", issued), metrics, endpoints };
  };
  const told = (look: Parameters<LoadDeltas["read"]>[0]) => {
    const reading = deltas.read(look, "all", same, 1000);
    reading.told();
    return reading.clusters[0]?.localities[0];
  };
  const first = told([
    { worker: 1, load: [load("c", [withMetrics(2, metric("cpu", 2, 1), metric("x", 1, -3))])] },
    { worker: 2, load: [load("c", [withMetrics(1, metric("cpu", 1, 0.25))])] },
  ]);
  assert.deepEqual(first?.metrics, [metric("cpu", 3, 1.25), metric("x", 1, -3)]);
  assert.deepEqual(first?.endpoints?.[0]?.metrics, first?.metrics);
  const second = told([
    { worker: 1, load: [load("c", [withMetrics(3, metric("cpu", 2, 1), metric("x", 2, -4))])] },
    { worker: 2, load: [load("c", [locality("a", 1)])] },
  ]);
  assert.deepEqual(second?.metrics, [metric("x", 1, -1)]);
  assert.deepEqual(second?.endpoints?.[0]?.metrics, [metric("x", 1, -1)]);
});
