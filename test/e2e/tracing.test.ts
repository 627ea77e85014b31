import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { grpcReceiver, httpReceiver, type OtlpReceiver, type ReceivedSpan } from "../harness/otlp-receiver.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarOptions, type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

const OTEL = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig";

/** Exports by gRPC to the cluster "otel". */
function overGrpc(serviceName: string, more: Json = {}): Json {
  const grpc_service = { envoy_grpc: { cluster_name: "otel" }, initial_metadata: [{ key: "x-tenant", value: "t" }] };
  return tracing({ "@type": OTEL, grpc_service, service_name: serviceName }, more);
}

function tracing(provider: Json, more: Json): Json {
  return { tracing: { provider: { name: "tracer", typed_config: provider }, ...more } };
}

interface World {
  readonly upstreamPort: number;
  /** The heads that reached the upstream. */
  readonly seen: IncomingHttpHeaders[];
  readonly receiver: OtlpReceiver;
  sidecar(http: Json, port: number, more?: WorldOptions): Promise<SidecarProcess>;
}

interface WorldOptions extends SidecarOptions {
  readonly direction?: "INBOUND" | "OUTBOUND";
  readonly route?: Json;
  readonly bootstrap?: Json;
}

async function makeWorld(
  t: TestContext,
  receiverOf: (owner: Owner) => Promise<OtlpReceiver> = grpcReceiver,
): Promise<World> {
  const owner = lastFirst(t);
  const receiver = await receiverOf(owner);
  const seen: IncomingHttpHeaders[] = [];
  const upstream = createServer((request, response) => {
    seen.push(request.headers);
    response.writeHead(request.url?.startsWith("/fail") ? 503 : 200).end("ok");
  });
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  owner.after(() => {
    upstream.closeAllConnections();
    upstream.close();
  });
  return {
    upstreamPort: (upstream.address() as AddressInfo).port,
    seen,
    receiver,
    sidecar(http, port, { direction, route = {}, bootstrap = {}, ...options } = {}) {
      const host = virtualHost("*", "next") as { routes: Json[] };
      const routes = inlineRoutes([{ ...host, routes: [{ ...host.routes[0], ...route }] }]);
      const entry = listener({ name: "in", routes, http });
      const listeners = [{ ...entry, ...(direction !== undefined && { traffic_direction: direction }) }];
      const clusters = [cluster("next", [port]), cluster("otel", [receiver.port])];
      return startSidecar({ ...staticBootstrap(listeners, clusters), ...bootstrap }, owner, options);
    },
  };
}

async function call(sidecar: SidecarProcess, path = "/", headers: Record<string, string> = {}): Promise<Response> {
  const port = await sidecar.port("in");
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
  await response.arrayBuffer();
  return response;
}

/** Five spans go at once; fewer wait for five seconds. */
async function callFiveTimes(sidecar: SidecarProcess, headers: Record<string, string> = {}): Promise<void> {
  for (let i = 0; i < 5; i++) await call(sidecar, `/call/${i}`, headers);
}

async function spansOf(receiver: OtlpReceiver, count: number): Promise<readonly ReceivedSpan[]> {
  await eventually(`${count} spans have come`, () => receiver.spans.length >= count);
  return receiver.spans;
}

test("a request through two sidecars is one trace: the first's span is the parent of the second's", async (t) => {
  const world = await makeWorld(t);
  const inner = await world.sidecar(overGrpc("inner"), world.upstreamPort, { direction: "INBOUND" });
  const outer = await world.sidecar(overGrpc("outer", { spawn_upstream_span: true }), await inner.port("in"), {
    direction: "OUTBOUND",
  });
  await callFiveTimes(outer);
  const spans = await spansOf(world.receiver, 15);
  assert.equal(spans.length, 15, "three for each request");
  assert.equal(world.receiver.headers["x-tenant"], "t");

  const traces = new Set(spans.map(({ traceId }) => traceId));
  assert.equal(traces.size, 5);
  for (const traceId of traces) {
    const of = spans.filter((span) => span.traceId === traceId);
    const [root, attempt, leaf] = [
      of.find(({ parentSpanId }) => parentSpanId === ""),
      of.find(({ name }) => name === "router next egress"),
      of.find(({ resource }) => resource["service.name"] === "inner"),
    ];
    assert.ok(root !== undefined && attempt !== undefined && leaf !== undefined);
    assert.equal(root.resource["service.name"], "outer");
    assert.equal(root.resource["telemetry.sdk.language"], "nodejs");
    assert.equal(root.kind, "server");
    assert.match(root.name, /^egress 127\.0\.0\.1:\d+$/);
    assert.equal(attempt.kind, "client");
    assert.equal(attempt.parentSpanId, root.spanId);
    assert.equal(leaf.parentSpanId, attempt.spanId);
    assert.equal(leaf.kind, "server");
    assert.equal(leaf.name, "ingress");
    assert.ok(root.startMs <= attempt.startMs && attempt.startMs <= attempt.endMs && attempt.endMs <= root.endMs + 1);
  }
  const parent = /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(world.seen[0]?.["traceparent"] as string);
  const leaf = spans.find(({ spanId }) => spanId === parent?.[2]);
  assert.equal(leaf?.traceId, parent?.[1], "the application's parent is the inner sidecar's span");
});

test("a span has the tags of Envoy's tracer", async (t) => {
  const { sidecar: start, upstreamPort, receiver } = await makeWorld(t);
  const tags = [
    { tag: "lit", literal: { value: "eral" } },
    { tag: "pod", environment: { name: "POD_NAME", default_value: "none" } },
    { tag: "unset", environment: { name: "NOBODY_SETS_THIS", default_value: "default" } },
    { tag: "user", request_header: { name: "x-user", default_value: "nobody" } },
  ];
  const sidecar = await start(overGrpc("shop", { custom_tags: tags, max_path_tag_length: 10 }), upstreamPort, {
    environment: { POD_NAME: "shop-1" },
  });
  for (let i = 0; i < 4; i++)
    await call(sidecar, "/ok", { "x-user": "ann", "user-agent": "test", "x-client-trace-id": "c" });
  await call(sidecar, "/fail/with/a/long/path");
  const spans = await spansOf(receiver, 5);
  const { attributes, isError } = spans[0]!;
  const expected = {
    node_id: "default/test/1",
    "http.method": "GET",
    "http.status_code": "200",
    "http.protocol": "HTTP/1.1",
    user_agent: "test",
    downstream_cluster: "-",
    upstream_cluster: "next",
    "upstream_cluster.name": "next",
    response_flags: "-",
    response_size: "2",
    request_size: "0",
    component: "proxy",
    "peer.address": "127.0.0.1",
    "guid:x-client-trace-id": "c",
    lit: "eral",
    pod: "shop-1",
    unset: "default",
    user: "ann",
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(attributes[name], value, name);
  assert.match(attributes["http.url"] ?? "", /^http:\/\/127\.0\.0\.1:\d+\/ok$/);
  // Forced by the client: the third group of the request id begins with "b".
  assert.match(attributes["guid:x-request-id"] ?? "", /^[0-9a-f]{8}-[0-9a-f]{4}-b/);
  assert.equal(isError, false);

  const failed = spans.find((span) => span.attributes["http.status_code"] === "503");
  assert.ok(failed !== undefined);
  assert.equal(failed.isError, true);
  assert.equal(failed.attributes["error"], "true");
  assert.match(failed.attributes["http.url"] ?? "", /:\d+\/fail\/with$/);
  assert.equal(failed.attributes["user"], "nobody");
});

test("the caller's decision is followed, both ways", async (t) => {
  const { sidecar: start, upstreamPort, receiver, seen } = await makeWorld(t);
  const sidecar = await start(overGrpc("shop", { random_sampling: { value: 0 } }), upstreamPort);
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const caller = (flags: string): Record<string, string> => ({
    traceparent: `00-${trace}-b7ad6b7169203331-${flags}`,
    tracestate: "vendor=1",
  });
  await call(sidecar, "/not", caller("00"));
  await call(sidecar, "/not-either");
  await callFiveTimes(sidecar, caller("01"));
  const spans = await spansOf(receiver, 5);
  assert.deepEqual(new Set(spans.map(({ traceId }) => traceId)), new Set([trace]));
  assert.ok(spans.every(({ parentSpanId }) => parentSpanId === "b7ad6b7169203331"));
  assert.match(String(seen[0]?.["traceparent"]), new RegExp(`^00-${trace}-[0-9a-f]{16}-00$`));
  assert.notEqual(String(seen[0]?.["traceparent"]).slice(36, 52), "b7ad6b7169203331");
  assert.match(String(seen[1]?.["traceparent"]), /-00$/);
  assert.equal(seen[2]?.["tracestate"], "vendor=1");
  const sent = (): Promise<number> => sidecar.stat("tracing.opentelemetry.spans_sent");
  await eventually("the receiver's answer is counted", async () => (await sent()) >= 5);
  assert.equal(await sent(), 5);
  assert.equal(await sidecar.stat("http.in.tracing.not_traceable"), 7);
});

test("OTLP over HTTP, with the URI's host and path and the headers that were asked for", async (t) => {
  const { sidecar: start, upstreamPort, receiver } = await makeWorld(t, httpReceiver);
  const http_service = {
    http_uri: { uri: "http://collector.example/v1/traces", cluster: "otel", timeout: "20s" },
    request_headers_to_add: [{ header: { key: "authorization", value: "Bearer t" } }],
  };
  const sidecar = await start(tracing({ "@type": OTEL, http_service }, {}), upstreamPort);
  await callFiveTimes(sidecar);
  const [span] = await spansOf(receiver, 5);
  assert.equal(span?.resource["service.name"], "unknown_service:heddle");
  assert.equal(receiver.headers["host"], "collector.example");
  assert.equal(receiver.headers["authorization"], "Bearer t");
});

test("the environment alone is enough for spans and metrics", async (t) => {
  const { sidecar: start, upstreamPort, receiver } = await makeWorld(t, httpReceiver);
  const sidecar = await start({}, upstreamPort, {
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${receiver.port}`,
      OTEL_EXPORTER_OTLP_HEADERS: "api-key=secret",
      OTEL_SERVICE_NAME: "by-environment",
      OTEL_RESOURCE_ATTRIBUTES: "team=web",
      OTEL_METRIC_EXPORT_INTERVAL: "200",
    },
  });
  await callFiveTimes(sidecar);
  const [span] = await spansOf(receiver, 5);
  assert.equal(span?.resource["service.name"], "by-environment");
  assert.equal(span?.resource["team"], "web");
  assert.equal(receiver.headers["api-key"], "secret");

  const total = (): number | undefined =>
    receiver.metrics.get("cluster.upstream_rq_total")?.points.find((p) => p.attributes["envoy.cluster_name"] === "next")
      ?.value;
  await eventually("the metrics have come", () => total() === 5);
  const metric = receiver.metrics.get("cluster.upstream_rq_total");
  assert.equal(metric?.kind, "sum");
  assert.equal(metric?.resource["service.name"], "by-environment");
  const time = receiver.metrics.get("http.downstream_rq_time");
  assert.equal(time?.kind, "histogram");
  const point = time?.points.find((p) => p.attributes["envoy.http_conn_manager_prefix"] === "in");
  assert.equal(
    point?.bucketCounts.reduce((a, b) => a + b, 0),
    point?.value,
  );
  assert.doesNotMatch(sidecar.log, /secret/);
});

test("the bootstrap's sink gets metrics by gRPC, its tracer is that of managers that name none", async (t) => {
  const { sidecar: start, upstreamPort, receiver } = await makeWorld(t);
  const grpc_service = { envoy_grpc: { cluster_name: "otel" } };
  const sidecar = await start({ tracing: {} }, upstreamPort, {
    bootstrap: {
      stats_flush_interval: "0.2s",
      stats_sinks: [
        {
          name: "envoy.stat_sinks.open_telemetry",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig",
            grpc_service,
            prefix: "mesh",
            use_tag_extracted_name: false,
            emit_tags_as_attributes: false,
          },
        },
      ],
      tracing: { http: { name: "t", typed_config: { "@type": OTEL, grpc_service, service_name: "bootstrap" } } },
    },
  });
  await callFiveTimes(sidecar);
  const [span] = await spansOf(receiver, 5);
  assert.equal(span?.resource["service.name"], "bootstrap");
  const total = (): unknown => receiver.metrics.get("mesh.cluster.next.upstream_rq_total")?.points[0];
  await eventually("the metrics have come", () => (total() as { value: number } | undefined)?.value === 5);
  assert.deepEqual((total() as { attributes: object }).attributes, {});
});

test("while the receiver is away spans are dropped and counted, and requests do not notice", async (t) => {
  const world = await makeWorld(t, httpReceiver);
  const http_service = { http_uri: { uri: "http://c/v1/traces", cluster: "nobody", timeout: "0.5s" } };
  const sidecar = await world.sidecar(tracing({ "@type": OTEL, http_service }, {}), world.upstreamPort, {
    expectedErrors: /^$/,
  });
  for (let i = 0; i < 20; i++) assert.equal((await call(sidecar)).status, 200);
  await eventually("they are dropped", async () => (await sidecar.stat("tracing.opentelemetry.spans_dropped")) === 20);
  assert.equal(await sidecar.stat("tracing.opentelemetry.spans_sent"), 0);
  assert.equal(sidecar.log.match(/spans cannot be exported/g)?.length, 1);
});
