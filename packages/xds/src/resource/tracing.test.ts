import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpConnectionManagerConfig, RouteEntry } from "@heddle/traffic";
import { makeListenerType } from "./listener.ts";
import { accept, errorsOf, httpFilters, MANAGER, ROUTER, reportsOf } from "./testing.ts";

const type = makeListenerType({ httpFilters });
const OTEL = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig";
const ZIPKIN = "type.googleapis.com/envoy.config.trace.v3.ZipkinConfig";
const HCM = "filter_chains[0].filters[0].typed_config";

function listener(tracing: object, route: object = {}): object {
  const manager = {
    "@type": MANAGER,
    stat_prefix: "s",
    tracing,
    http_filters: [{ name: "router", typed_config: { "@type": ROUTER } }],
    route_config: {
      virtual_hosts: [
        { name: "v", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "c" }, ...route }] },
      ],
    },
  };
  const address = { socket_address: { address: "0.0.0.0", port_value: 80 } };
  return { name: "l", address, filter_chains: [{ filters: [{ name: "hcm", typed_config: manager }] }] };
}

function managerOf(json: object): HttpConnectionManagerConfig {
  const filter = accept(type, json).filterChains[0]?.filters[0];
  assert.equal(filter?.type, "http-connection-manager");
  return filter.config;
}

function provider(config: object, name = "envoy.tracers.opentelemetry"): object {
  return { provider: { name, typed_config: config } };
}

test("tracing that says nothing samples everything, and makes no span of its own for an attempt", () => {
  assert.deepEqual(managerOf(listener({})).tracing, {
    provider: undefined,
    sampling: {
      client: { numerator: 100, denominator: 100 },
      random: { numerator: 10_000, denominator: 10_000 },
      overall: { numerator: 100, denominator: 100 },
    },
    maxPathTagLength: 256,
    spawnUpstreamSpan: false,
    customTags: [],
  });
});

test("of client and overall sampling whole percents count, of random sampling hundredths", () => {
  const percents = {
    client_sampling: { value: 1.9 },
    random_sampling: { value: 0.25 },
    overall_sampling: { value: 0 },
  };
  assert.deepEqual(managerOf(listener(percents)).tracing?.sampling, {
    client: { numerator: 1, denominator: 100 },
    random: { numerator: 25, denominator: 10_000 },
    overall: { numerator: 0, denominator: 100 },
  });
});

test("an OpenTelemetry provider says where spans go: a gRPC service", () => {
  const service = {
    envoy_grpc: { cluster_name: "otel" },
    timeout: "0.5s",
    initial_metadata: [{ key: "X-Tenant", value: "a" }],
  };
  const { tracing } = managerOf(listener(provider({ "@type": OTEL, grpc_service: service, service_name: "shop" })));
  assert.deepEqual(tracing?.provider, {
    type: "opentelemetry",
    serviceName: "shop",
    propagators: ["w3c"],
    exporter: {
      protocol: "grpc",
      target: { type: "cluster", name: "otel" },
      uri: "",
      headers: [["x-tenant", "a"]],
      timeoutMs: 500,
    },
  });
});

test("or an HTTP service", () => {
  const service = {
    http_uri: { uri: "http://collector.example/v1/traces", cluster: "otel", timeout: "1s" },
    request_headers_to_add: [{ header: { key: "Authorization", value: "Bearer t" } }],
  };
  const { tracing } = managerOf(listener(provider({ "@type": OTEL, http_service: service })));
  assert.ok(tracing?.provider?.type === "opentelemetry");
  assert.equal(tracing.provider.serviceName, "unknown_service:heddle");
  assert.deepEqual(tracing.provider.exporter, {
    protocol: "http",
    target: { type: "cluster", name: "otel" },
    uri: "http://collector.example/v1/traces",
    headers: [["authorization", "Bearer t"]],
    timeoutMs: 1000,
  });
});

test("a Zipkin provider", () => {
  const config = {
    "@type": ZIPKIN,
    collector_cluster: "zipkin",
    collector_endpoint: "/api/v2/spans",
    collector_endpoint_version: "HTTP_JSON",
    shared_span_context: false,
    trace_id_128bit: true,
  };
  assert.deepEqual(managerOf(listener(provider(config, "envoy.tracers.zipkin"))).tracing?.provider, {
    type: "zipkin",
    collectorCluster: "zipkin",
    collectorEndpoint: "/api/v2/spans",
    collectorHostname: "",
  });
});

test("a tracer that there is not makes no spans, and is reported", () => {
  const datadog = {
    "@type": "type.googleapis.com/envoy.config.trace.v3.DatadogConfig",
    collector_cluster: "c",
    service_name: "s",
  };
  assert.deepEqual(reportsOf(type, listener(provider(datadog, "envoy.tracers.datadog"))), [
    `${HCM}.tracing.provider.typed_config`,
  ]);
});

test("a custom tag that a format makes is reported and left out", () => {
  const json = listener({ custom_tags: [{ tag: "a", value: "%PROTOCOL%" }] });
  assert.deepEqual(reportsOf(type, json), [`${HCM}.tracing.custom_tags[0].value`]);
  assert.deepEqual(managerOf(json).tracing?.customTags, []);
});

test("custom tags of all kinds; a route's sampling is 100 % where it says nothing; a decorator", () => {
  const tags = [
    { tag: "a", literal: { value: "1" } },
    { tag: "b", environment: { name: "POD", default_value: "none" } },
    { tag: "c", request_header: { name: "X-User" } },
    { tag: "d", metadata: { kind: { route: {} }, metadata_key: { key: "n", path: [{ key: "p" }] } } },
  ];
  const route = {
    tracing: { random_sampling: { numerator: 5, denominator: "MILLION" }, custom_tags: tags },
    decorator: { operation: "checkout", propagate: false },
  };
  const { routes } = managerOf(listener({ custom_tags: tags }, route));
  assert.ok(routes.type === "inline");
  const entry = routes.routeConfig.virtualHosts[0]?.routes[0] as RouteEntry;
  assert.deepEqual(entry.decorator, { operation: "checkout", propagate: false });
  assert.deepEqual(entry.tracing?.sampling, {
    client: { numerator: 100, denominator: 100 },
    random: { numerator: 5, denominator: 1_000_000 },
    overall: { numerator: 100, denominator: 100 },
  });
  assert.deepEqual(entry.tracing?.customTags, [
    { tag: "a", source: { type: "literal", value: "1" } },
    { tag: "b", source: { type: "environment", name: "POD", defaultValue: "none" } },
    { tag: "c", source: { type: "request-header", name: "x-user", defaultValue: "" } },
    { tag: "d", source: { type: "metadata", kind: "route", namespace: "n", path: ["p"], defaultValue: "" } },
  ]);
});

test("what cannot be is refused by its path", () => {
  const both = {
    "@type": OTEL,
    grpc_service: { envoy_grpc: { cluster_name: "a" } },
    http_service: { http_uri: { uri: "ftp://b", cluster: "b", timeout: "1s" } },
  };
  assert.deepEqual(errorsOf(type, listener({ ...provider(both), custom_tags: [{ tag: "x" }] })), [
    `${HCM}.tracing.custom_tags[0].type: one must be set of literal, environment, request_header, metadata, value`,
    `${HCM}.tracing.provider.typed_config.http_service.http_uri.uri: found "ftp://b", allowed is an http URL`,
    `${HCM}.tracing.provider.typed_config.http_service: excludes "grpc_service", which is set as well`,
  ]);
});
