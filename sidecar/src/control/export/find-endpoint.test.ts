import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProxyConfig } from "@heddle/config";
import type { OtlpDestination } from "@heddle/traffic";
import { findEndpoint } from "./find-endpoint.ts";

type Endpoint = readonly [address: string, port: number, health?: string, priority?: number];

function serving(endpoints: readonly Endpoint[]): ProxyConfig {
  const localities = endpoints.map(([address, port, healthStatus = "UNKNOWN", priority = 0]) => ({
    priority,
    endpoints: [{ address: { type: "socket", address, port }, healthStatus }],
  }));
  return {
    listeners: new Map(),
    routeConfigurations: new Map(),
    clusters: new Map([["otel", {}]]),
    endpoints: new Map([["otel", { localities }]]),
  } as unknown as ProxyConfig;
}

const grpc: OtlpDestination = {
  protocol: "grpc",
  target: { type: "cluster", name: "otel" },
  uri: "",
  headers: [["a", "b"]],
  timeoutMs: 1,
};
const http: OtlpDestination = { ...grpc, protocol: "http", uri: "https://collector.example/v1/traces?x=1" };

test("gRPC gets the healthy addresses of a cluster, those of the highest priority first", () => {
  const config = serving([["10.0.0.3", 4317, "UNKNOWN", 1], ["10.0.0.1", 4317], ["10.0.0.2", 4317, "UNHEALTHY"]]); // biome-ignore format: a table
  assert.deepEqual(findEndpoint(config, grpc), {
    ok: true,
    value: {
      endpoint: { protocol: "grpc", target: "ipv4:10.0.0.1:4317,10.0.0.3:4317", tls: false },
      headers: { a: "b" },
    },
  });
});

test("HTTP gets the first address, and the URI's path and host", () => {
  const found = findEndpoint(serving([["::1", 4318]]), http);
  assert.deepEqual(found, {
    ok: true,
    value: {
      endpoint: { protocol: "http", url: "http://[::1]:4318/v1/traces?x=1" },
      headers: { host: "collector.example", a: "b" },
    },
  });
});

test("a place of its own needs no cluster", () => {
  const target = { type: "address", address: "dns:///c:4317" } as const;
  const found = findEndpoint(serving([]), { ...grpc, target });
  assert.deepEqual(found.ok && found.value.endpoint, { protocol: "grpc", target: "dns:///c:4317", tls: false });
});

test("a cluster that is not there, or has no endpoints, is named", () => {
  assert.deepEqual(findEndpoint(serving([]), grpc), { ok: false, error: 'cluster "otel" has no endpoints' });
  const other = { ...grpc, target: { type: "cluster", name: "x" } } as const;
  assert.deepEqual(findEndpoint(serving([]), other), { ok: false, error: 'there is no cluster "x"' });
});
