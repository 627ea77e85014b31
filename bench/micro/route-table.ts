/**
 * What it costs to find a route and to pick an endpoint, in nanoseconds a call: run this file with Node. Bytes are what a
 * call leaves for the garbage collector.
 */
import { HeaderMap, RequestHead } from "@heddle/http";
import {
  buildEndpointSet,
  compileRouteConfiguration,
  type LbPolicy,
  makePicker,
  normalizeTarget,
  type RouteEntry,
} from "@heddle/traffic";
import {
  endpointConfig,
  endpointsConfig,
  forward,
  locality,
  route,
  routeConfiguration,
  virtualHost,
} from "@heddle/traffic/testing";

const HEADERS = new HeaderMap(["user-agent", "bench", "accept", "*/*", "x-request-id", "7", "x-version", "2"]);

function head(path: string): RequestHead {
  return new RequestHead("GET", "http", "shop.example.com", path, HEADERS);
}

function routes(count: number, kind: "prefix" | "path" | "regex"): RouteEntry[] {
  return Array.from({ length: count }, (_, i) => {
    const value = `/service-${i}/items`;
    return route(
      { path: kind === "regex" ? { type: "safe-regex", regex: `/service-${i}/.*` } : { type: kind, value } },
      forward(`cluster-${i}`),
    );
  });
}

function table(entries: readonly RouteEntry[]) {
  return compileRouteConfiguration(routeConfiguration([virtualHost(["shop.example.com"], entries)]));
}

function measure(name: string, call: () => unknown): void {
  const calls = 200_000;
  for (let i = 0; i < calls; i++) call(); // once for the compiler
  let best = Infinity;
  for (let round = 0; round < 5; round++) {
    const begin = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) call();
    best = Math.min(best, Number(process.hrtime.bigint() - begin) / calls);
  }
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 10_000; i++) call();
  const bytes = Math.max(0, (process.memoryUsage().heapUsed - before) / 10_000);
  console.log(`${name.padEnd(60)} ${best.toFixed(0).padStart(7)} ns ${bytes.toFixed(0).padStart(6)} bytes`);
}

for (const count of [1, 100, 1000]) {
  const last = head(`/service-${count - 1}/items?page=2`);
  for (const kind of ["prefix", "path"] as const) {
    const compiled = table(routes(count, kind));
    measure(`${count} routes by ${kind}, the last one`, () => compiled.match(last, 7));
  }
}
const byRegex = table(routes(10, "regex"));
const last = head("/service-9/items");
measure("10 routes by regular expression, the last one", () => byRegex.match(last, 7));
const options = { normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: "KEEP_UNCHANGED" } as const;
measure("path normalisation, nothing to do", () => normalizeTarget("/service-9/items?page=2", options));
measure("path normalisation, dot segments", () => normalizeTarget("/service-9/./a/../items?page=2", options));

const policies: readonly LbPolicy[] = [
  { type: "round-robin" },
  { type: "least-request", choiceCount: 2, activeRequestBias: 1 },
  { type: "random" },
];
for (const lbPolicy of policies) {
  for (const weight of [1, 2]) {
    const endpoints = Array.from({ length: 100 }, (_, i) =>
      endpointConfig(`10.0.0.${i}`, { loadBalancingWeight: i % 2 === 0 ? weight : 1 }),
    );
    const set = buildEndpointSet(endpointsConfig([locality(endpoints)]));
    const picker = makePicker(set, { clusterName: "c", lbPolicy, healthyPanicThresholdPercent: 50 });
    const name = `${lbPolicy.type} of 100 endpoints, ${weight === 1 ? "equal" : "different"} weights`;
    measure(name, () => picker.pick(last));
  }
}
