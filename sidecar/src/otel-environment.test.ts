import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultTelemetry } from "@heddle/traffic";
import { withOtelEnvironment } from "./otel-environment.ts";

function read(environment: Record<string, string>) {
  const result = withOtelEnvironment(undefined, environment);
  assert.ok(result.ok, result.ok ? "" : result.error.join("\n"));
  return result.value;
}

function errors(environment: Record<string, string>): readonly string[] {
  const result = withOtelEnvironment(undefined, environment);
  return result.ok ? [] : result.error;
}

test("without the variables nothing is exported", () => {
  assert.deepEqual(read({}), defaultTelemetry);
  assert.deepEqual(read({ OTEL_SERVICE_NAME: "shop" }), defaultTelemetry);
});

test("one endpoint is for spans and metrics, each with its path", () => {
  const { tracingEverywhere, statsSinks } = read({
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318/",
    OTEL_SERVICE_NAME: "shop",
    OTEL_RESOURCE_ATTRIBUTES: "service.name=other,team=a%20b",
    OTEL_EXPORTER_OTLP_HEADERS: "api-key=secret%3D",
    OTEL_EXPORTER_OTLP_TIMEOUT: "2000",
  });
  assert.deepEqual(tracingEverywhere?.provider, {
    type: "opentelemetry",
    serviceName: "shop",
    propagators: ["w3c"],
    exporter: {
      protocol: "http",
      target: { type: "address", address: "collector:4318" },
      uri: "http://collector:4318/v1/traces",
      headers: [["api-key", "secret="]],
      timeoutMs: 2000,
    },
  });
  assert.equal(statsSinks[0]?.destination.uri, "http://collector:4318/v1/metrics");
  assert.equal(statsSinks[0]?.intervalMs, 60_000);
});

test("a signal's own endpoint is taken as it is, and a signal can be left out", () => {
  const telemetry = read({
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://collector/spans",
    OTEL_METRICS_EXPORTER: "none",
  });
  const provider = telemetry.tracingEverywhere?.provider;
  assert.equal(provider?.type === "opentelemetry" && provider.exporter?.uri, "http://collector/spans");
  assert.deepEqual(telemetry.statsSinks, []);
});

test("a service that is not named is the workload", () => {
  const result = withOtelEnvironment(undefined, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318" }, "orders");
  assert.equal(result.ok && result.value.statsSinks[0]?.serviceName, "orders");
});

test("gRPC, propagators and samplers", () => {
  const { tracingEverywhere } = read({
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4317",
    OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    OTEL_PROPAGATORS: "b3multi,tracecontext,baggage",
    OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
    OTEL_TRACES_SAMPLER_ARG: "0.25",
  });
  const provider = tracingEverywhere?.provider;
  assert.ok(provider?.type === "opentelemetry");
  assert.deepEqual(provider.exporter?.target, { type: "address", address: "dns:///collector:4317" });
  assert.deepEqual(provider.propagators, ["b3multi", "w3c"]);
  assert.deepEqual(tracingEverywhere?.sampling.random, { numerator: 250_000, denominator: 1_000_000 });
});

test("OTEL_SDK_DISABLED turns all of it off", () => {
  assert.deepEqual(read({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318", OTEL_SDK_DISABLED: "TRUE" }), defaultTelemetry);
});

test("every mistake is named by its variable, and no header is shown", () => {
  const faults = errors({
    OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318",
    OTEL_EXPORTER_OTLP_HEADERS: "my-secret",
    OTEL_METRIC_EXPORT_INTERVAL: "soon",
  });
  assert.ok(faults.some((fault) => fault.startsWith('OTEL_EXPORTER_OTLP_ENDPOINT: found "collector:4318"')));
  assert.doesNotMatch(faults.join("\n"), /my-secret/);
  const more = errors({
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://c",
    OTEL_EXPORTER_OTLP_HEADERS: "my-secret",
    OTEL_METRIC_EXPORT_INTERVAL: "0",
    OTEL_TRACES_SAMPLER: "jaeger_remote",
    OTEL_PROPAGATORS: "xray",
    OTEL_TRACES_EXPORTER: "console",
  });
  const named = new Set(more.map((fault) => fault.slice(0, fault.indexOf(":"))));
  assert.deepEqual([...named].sort(), [
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
  ]);
  assert.doesNotMatch(more.join("\n"), /my-secret/);
});
