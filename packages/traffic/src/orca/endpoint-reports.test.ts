import assert from "node:assert/strict";
import { test } from "node:test";
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

test("an answer without a report leaves nothing behind", () => {
  const [endpoint] = makeEndpoints([1]);
  const intake = new EndpointReports(["cpu_utilization"], undefined, open);
  for (const fields of [[], ["endpoint-load-metrics", "TEXT cpu=1"]])
    assert.equal(intake.take(endpoint, new HeaderMap(fields)), false);
  assert.equal(endpoint.reportedLoad, undefined);
});
