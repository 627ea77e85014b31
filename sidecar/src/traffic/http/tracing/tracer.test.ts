import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "@heddle/base";
import type { SpanRecord } from "@heddle/telemetry";
import {
  type CustomTagConfig,
  defaultManners,
  type HttpManners,
  LiveRuntime,
  type TracingConfig,
  type TracingProvider,
} from "@heddle/traffic";
import {
  clusterConfig,
  Harness,
  type HarnessOptions,
  type MemoryConnection,
  retryPolicy,
  routeTo,
} from "../testing-harness.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

const openTelemetry: TracingProvider = {
  type: "opentelemetry",
  serviceName: "s",
  exporter: { protocol: "grpc", target: { type: "cluster", name: "otel" }, uri: "", headers: [], timeoutMs: 1000 },
  propagators: ["w3c"],
};
const zipkin: TracingProvider = {
  type: "zipkin",
  collectorCluster: "z",
  collectorEndpoint: "/",
  collectorHostname: "",
};
const all = { numerator: 100, denominator: 100 };

function config(change: Partial<TracingConfig> = {}): TracingConfig {
  return {
    provider: openTelemetry,
    sampling: { client: all, random: { numerator: 10_000, denominator: 10_000 }, overall: all },
    maxPathTagLength: 256,
    spawnUpstreamSpan: false,
    customTags: [],
    ...change,
  };
}

interface Traced {
  readonly harness: Harness;
  readonly client: MemoryConnection;
  readonly spans: SpanRecord[];
  /** Sends a request, lets the upstream answer OK, and gives the head that reached the upstream. */
  get(headers?: string): string;
}

function traced(tracing: TracingConfig, options: HarnessOptions = {}): Traced {
  const spans: SpanRecord[] = [];
  const env = {
    sink: { add: (_provider: string, span: SpanRecord) => void spans.push(span) },
    node: { id: "n", zone: "z1" },
    environment: { POD: "p" },
  };
  const harness = new Harness({ tracing: env, ...options, manager: { tracing, ...options.manager } });
  const client = harness.connect();
  return {
    harness,
    client,
    spans,
    get(headers = "") {
      client.send(`GET /a HTTP/1.1\r\nhost: a\r\n${headers}\r\n`);
      harness.run();
      const head = harness.upstream().take();
      harness.upstream().send(OK);
      harness.run();
      return head;
    },
  };
}

function id(first: number): string {
  return `x-request-id: ${first.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000\r\n`;
}

for (const share of [0, 50, 100]) {
  test(`with random sampling of ${share} % so many of a hundred requests make spans`, () => {
    const { get, spans, harness } = traced(
      config({ sampling: { ...config().sampling, random: { numerator: share, denominator: 100 } } }),
    );
    for (let i = 0; i < 100; i++) get(id(i));
    assert.equal(spans.length, share);
    assert.equal(harness.value("http.tracing.random_sampling"), share);
    assert.equal(harness.value("http.tracing.not_traceable"), 100 - share);
    assert.equal(harness.leaks(), "");
  });
}

test("what overall sampling takes away is not traced here, and the id says so to nobody", () => {
  const { get, spans } = traced(
    config({ sampling: { ...config().sampling, overall: { numerator: 0, denominator: 100 } } }),
  );
  const head = get(id(1));
  assert.equal(spans.length, 0);
  assert.match(head, /x-request-id: 00000001-0000-9000-/, "sampled, for those behind");
  assert.match(head, /traceparent: 00-\w{32}-\w{16}-00\r\n/);
});

test("the runtime's sampling stands above that of the connection manager, from the next request on", () => {
  const runtimeValues = new LiveRuntime();
  const none = { numerator: 0, denominator: 100 };
  const { get, spans } = traced(config({ sampling: { client: all, random: none, overall: all } }), { runtimeValues });
  get(id(3));
  assert.equal(spans.length, 0);
  runtimeValues.publish({ "tracing.random_sampling": { numerator: 10_000, denominator: "TEN_THOUSAND" } });
  get(id(3));
  assert.equal(spans.length, 1);
  runtimeValues.publish({ "tracing.random_sampling": 100, "tracing.global_enabled": 0 });
  get(id(3));
  assert.equal(spans.length, 1);
  runtimeValues.publish({ "tracing.client_enabled": 0 });
  get(`x-client-trace-id: 1\r\n${id(3)}`);
  assert.equal(spans.length, 1);
});

test("a client's trace id forces a span, and the upstream sees why", () => {
  const { get, spans } = traced(
    config({ sampling: { ...config().sampling, random: { numerator: 0, denominator: 100 } } }),
  );
  assert.match(get(`${id(1)}x-client-trace-id: mine\r\n`), /x-request-id: 00000001-0000-b000-/);
  assert.equal(spans.length, 1);
});

test("a connection manager without tracing passes the caller's context on as it is", () => {
  const harness = new Harness();
  const client = harness.connect();
  client.send(`GET / HTTP/1.1\r\nhost: a\r\ntraceparent: 00-${TRACE}-${SPAN}-01\r\n\r\n`);
  harness.run();
  assert.match(harness.upstream().take(), new RegExp(`traceparent: 00-${TRACE}-${SPAN}-01\\r\\n`));
});

test("without a provider context is continued and no span is made", () => {
  const { get, spans } = traced(config({ provider: undefined }));
  assert.match(
    get(`traceparent: 00-${TRACE}-${SPAN}-01\r\n`),
    new RegExp(`traceparent: 00-${TRACE}-(?:ab){8}-01\\r\\n`),
  );
  assert.equal(spans.length, 0);
});

test("Zipkin's provider speaks B3: four headers come and go", () => {
  const { get, spans } = traced(config({ provider: zipkin }));
  const head = get(`x-b3-traceid: ${TRACE}\r\nx-b3-spanid: ${SPAN}\r\nx-b3-sampled: 1\r\n`);
  assert.match(head, new RegExp(`x-b3-traceid: ${TRACE}\\r\\n`));
  assert.match(head, /x-b3-spanid: (ab){8}\r\n/);
  assert.match(head, new RegExp(`x-b3-parentspanid: ${SPAN}\\r\\n`));
  assert.equal(spans[0]?.parentSpanId, SPAN);
});

test("each attempt is a span of its own, with the retries counted", () => {
  const retrying = routeTo("app", { retryPolicy });
  const { harness, client, spans } = traced(config({ spawnUpstreamSpan: true }), { routes: retrying });
  client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n");
  harness.run();
  harness.upstream().send("HTTP/1.1 503 no\r\ncontent-length: 0\r\n\r\n");
  harness.advance(500);
  const upstream = harness.upstreams.at(-1)!;
  upstream.send(OK);
  harness.run();
  assert.deepEqual(
    spans.map((span) => [span.name, span.kind, tag(span, "http.status_code"), tag(span, "retry.count"), span.isError]),
    [
      ["router app egress", "client", "503", undefined, true],
      ["router app egress", "client", "200", "1", false],
      ["ingress", "server", "200", undefined, false],
    ],
  );
  const [first, second, root] = spans;
  assert.equal(first?.parentSpanId, root?.spanId);
  assert.equal(second?.parentSpanId, root?.spanId);
  assert.equal(tag(first!, "peer.address"), "10.0.0.1:80");
  assert.equal(harness.leaks(), "");
});

test("the router's start_child_span makes a span of each attempt too", () => {
  const { get, spans } = traced(config(), { router: { startChildSpan: true } });
  get();
  assert.deepEqual(
    spans.map(({ name }) => name),
    ["router app egress", "ingress"],
  );
});

test("a connection that cannot be made is an attempt that failed", () => {
  const { harness, client, spans } = traced(config({ spawnUpstreamSpan: true }));
  harness.dialFailures.push(failure("connect-refused", "upstream", "refused"));
  client.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n");
  harness.run();
  assert.deepEqual(
    spans.map((span) => [span.kind, tag(span, "http.status_code"), tag(span, "error")]),
    [["client", "0", "true"], ["server", "503", "true"]],
  ); // biome-ignore format: a table
  assert.equal(tag(spans[1]!, "response_flags"), "UF");
});

test("a decorator names the span and tells the client; on the way out it tells the upstream", () => {
  const routes = routeTo("app", {}, { decorator: { operation: "op", propagate: true } });
  const inbound = traced(config(), { routes });
  assert.doesNotMatch(inbound.get(), /x-envoy-decorator-operation/);
  assert.match(inbound.client.take(), /x-envoy-decorator-operation: op\r\n/);
  assert.equal(inbound.spans[0]?.name, "op");

  const named = traced(config(), { routes });
  assert.doesNotMatch(named.get("x-envoy-decorator-operation: theirs\r\n"), /decorator/);
  assert.equal(named.spans[0]?.name, "theirs");
  assert.doesNotMatch(named.client.take(), /decorator/);

  const outbound = traced(config(), { routes, direction: "OUTBOUND" });
  assert.match(outbound.get(), /x-envoy-decorator-operation: op\r\n/);
  assert.equal(outbound.spans[0]?.kind, "client");
});

test("custom tags of the route take the place of the listener's of that name", () => {
  const tags = [
    { tag: "a", source: { type: "literal", value: "listener" } },
    { tag: "b", source: { type: "environment", name: "POD", defaultValue: "" } },
    { tag: "gone", source: { type: "request-header", name: "x-none", defaultValue: "" } },
  ] as const;
  const routeTags = [{ tag: "a", source: { type: "request-header", name: "x-a", defaultValue: "none" } }] as const;
  const routes = routeTo("app", {}, { tracing: { sampling: config().sampling, customTags: routeTags } });
  const { get, spans } = traced(config({ customTags: tags }), { routes });
  get("x-a: route\r\n");
  assert.deepEqual([tag(spans[0]!, "a"), tag(spans[0]!, "b"), tag(spans[0]!, "gone")], ["route", "p", undefined]);
});

test("custom tags show the metadata of the route and of the cluster, or their default", () => {
  const of = (name: string, kind: "route" | "cluster" | "host", path: readonly string[]): CustomTagConfig => ({
    tag: name,
    source: { type: "metadata", kind, namespace: "ns", path, defaultValue: "none" },
  });
  const customTags = [of("a", "route", ["owner", "team"]), of("b", "cluster", ["tier"]), of("c", "host", ["x"])];
  const routes = routeTo("app", {}, { metadata: { ns: { owner: { team: "web" } } } });
  const clusters = [clusterConfig("app", { metadata: { ns: { tier: 1 } } })];
  const { get, spans } = traced(config({ customTags }), { routes, clusters });
  get();
  assert.deepEqual(["a", "b", "c"].map((name) => tag(spans[0]!, name)), ["web", "1", "none"]); // biome-ignore format: short
});

test("a request that is refused before routing has no span", () => {
  const { client, harness, spans } = traced(config(), { manager: { acceptHttp10: false } });
  client.send("GET / HTTP/1.0\r\n\r\n");
  harness.run();
  assert.match(client.take(), /^HTTP\/1\.1 426/);
  assert.equal(spans.length, 0);
});

function tag({ attributes }: SpanRecord, name: string): string | undefined {
  for (let i = 0; i < attributes.length; i += 2) if (attributes[i] === name) return attributes[i + 1];
  return undefined;
}

test("ids that shall not decide, or not tell, whether a request is traced do not", () => {
  const none = { numerator: 0, denominator: 100 };
  const sampling = { client: none, random: none, overall: none };
  const manners = (requestId: HttpManners["requestId"]) => ({ manager: { manners: { ...defaultManners, requestId } } });
  const always = traced(config({ sampling }), manners({ packsTraceReason: true, decidesTrace: false }));
  assert.match(always.get(id(9999)), /x-request-id: 0000270f-0000-4000-/);
  assert.equal(always.spans.length, 1);
  const silent = traced(config(), manners({ packsTraceReason: false, decidesTrace: true }));
  assert.match(silent.get(id(1)), /x-request-id: 00000001-0000-4000-/);
  assert.equal(silent.spans.length, 1);
});

for (const [trailer, tags, isError] of [
  ["grpc-status: 14\r\ngrpc-message: gone", { "grpc.status_code": "14", "grpc.message": "gone", error: "true" }, true],
  ["grpc-status: 5", { "grpc.status_code": "5" }, false],
  ["x-other: 1", {}, false],
] as const) {
  test(`the span of a gRPC call tells how it went: ${JSON.stringify(trailer)}`, () => {
    const { client, harness, spans } = traced(config());
    const head = "POST /shop.Cart/Add HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ngrpc-timeout: 1S\r\n";
    client.send(`${head}content-length: 5\r\n\r\n\0\0\0\0\0`);
    harness.run();
    const answer = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n";
    harness.upstream().send(`${answer}0\r\n${trailer}\r\n\r\n`);
    harness.run();
    const { attributes = [], isError: failed } = spans[0] ?? {};
    const told: Record<string, string> = {};
    for (let i = 0; i < attributes.length; i += 2) {
      const name = attributes[i]!;
      if (name.startsWith("grpc.") || name === "error") told[name] = attributes[i + 1]!;
    }
    assert.deepEqual(told, {
      "grpc.path": "/shop.Cart/Add",
      "grpc.authority": "a",
      "grpc.content_type": "application/grpc",
      "grpc.timeout": "1S",
      ...tags,
    });
    assert.equal(failed, isError);
  });
}
