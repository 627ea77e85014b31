import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { HeaderMap, ProtobufReader } from "@heddle/http";
import { makeEndpoints } from "../balance/picker-contract.ts";
import { metricLoads } from "../endpoint/reported-load.ts";
import { EndpointReports } from "./endpoint-reports.ts";

const open = (message: Uint8Array) => new ProtobufReader(message);

function taken(names: readonly string[], ...reports: readonly string[]): Record<string, string> {
  const [endpoint] = makeEndpoints([1]);
  const intake = new EndpointReports(names, undefined, open);
  for (const report of reports) assert.ok(intake.take(endpoint, new HeaderMap(["endpoint-load-metrics", report])));
  const loads = metricLoads(endpoint.reportedLoad?.metrics ?? new Map());
  return Object.fromEntries(loads.map(({ name, requests, total }) => [name, `${requests}: ${total}`]));
}

const REPORT = 'JSON {"cpuUtilization": 0.5, "namedMetrics": {"a": 1, "b": 2}, "requestCost": {"a": 3}}';

test("only the metrics that are named are added up, and a plain field is 0 where it is not said", () => {
  assert.deepEqual(taken(["cpu_utilization", "eps", "named_metrics.b", "named_metrics.c"], REPORT, "TEXT eps=1"), {
    cpu_utilization: "2: 0.5",
    eps: "2: 1",
    "named_metrics.b": "1: 2",
  });
});

test("a wildcard is every entry of its map, once", () => {
  const names = [
    "named_metrics.a",
    "named_metrics.*",
    "named_metrics.*",
    "utilization.*",
    "request_cost.a",
    "*",
    "cpu",
  ];
  assert.deepEqual(taken(names, REPORT, REPORT), {
    "named_metrics.a": "2: 2",
    "named_metrics.b": "2: 4",
    "request_cost.a": "2: 6",
  });
});

test("an endpoint that invents names has so many kept, and no more", () => {
  const reports = Array.from({ length: 300 }, (_, i) => `TEXT named_metrics.n${i}=1`);
  const kept = Object.keys(taken(["named_metrics.*"], ...reports));
  assert.equal(kept.length, 256);
  assert.equal(kept[0], "named_metrics.n0");
});

test("of a field whose name is kept no more is kept", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const [endpoint] = makeEndpoints([1]);
  const intake = new EndpointReports(["named_metrics.*"], undefined, open);
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 256; i++)
    intake.take(
      endpoint,
      new HeaderMap(["endpoint-load-metrics", `TEXT named_metrics.of.invention.${i}=1${",".repeat(8000)}`]),
    );
  collect();
  const grown = process.memoryUsage().heapUsed - before;
  assert.equal(endpoint.reportedLoad?.metrics.size, 256);
  assert.ok(grown < 1_000_000, `${grown} bytes for 256 names`); // 2 MB where all of it is
});

test("an answer without a report leaves nothing behind", () => {
  const [endpoint] = makeEndpoints([1]);
  const intake = new EndpointReports(["cpu_utilization"], undefined, open);
  for (const fields of [[], ["endpoint-load-metrics", "TEXT cpu=1"]])
    assert.equal(intake.take(endpoint, new HeaderMap(fields)), false);
  assert.equal(endpoint.reportedLoad, undefined);
});
