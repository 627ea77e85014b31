import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import type { MetricScope } from "@heddle/telemetry";
import { Harness } from "../http/testing-harness.ts";
import { MemoryMetrics } from "../http/testing-telemetry.ts";
import { GrpcClusterStats } from "../upstream/grpc-cluster-stats.ts";
import { grpcStatsType } from "./grpc-stats-type.ts";
import { routerType } from "./router-type.ts";

const TWO_MESSAGES = "\0\0\0\0\u0002hi\0\0\0\0\0";

function request(path: string, type = "application/grpc"): string {
  return `POST ${path} HTTP/1.1\r\nhost: shop\r\ncontent-type: ${type}\r\ncontent-length: 12\r\n\r\n${TWO_MESSAGES}`;
}

function answer(trailer: string): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\nc\r\n${TWO_MESSAGES}\r\n0\r\n${trailer}\r\n\r\n`;
}

/** What is counted of requests, each with its answer, by the name below the cluster. */
function count(
  config: Json,
  exchanges: readonly (readonly [request: string, answer: string])[],
): Record<string, number> {
  const place = (name: string, type: string, json: Json) => ({
    name,
    config: { name, type, config: json },
    disabled: false,
  });
  const harness = new Harness({
    filters: { stats: { ...grpcStatsType } },
    manager: { httpFilters: [place("stats", "test.stats", config), place("router", routerType.configType, {})] },
  });
  const client = harness.connect();
  for (const [asked, answered] of exchanges) {
    client.send(asked);
    harness.run();
    harness.clock.advance(5);
    harness.upstream().send(answered);
    harness.run();
  }
  client.sendEnd();
  harness.run();
  assert.equal(harness.leaks(), "");
  return Object.fromEntries(
    [...harness.metrics.values]
      .filter(([name]) => name.startsWith("cluster.grpc"))
      .map(([name, value]) => [name.slice(8), value]),
  );
}

const ADD: readonly [string, string] = [request("/shop.Cart/Add?x=1"), answer("grpc-status: 0")];

test("calls, how they ended, and their messages are counted for the cluster, without the method unless it is asked for", () => {
  assert.deepEqual(count({}, [ADD, [request("/shop.Cart/Add"), answer("grpc-status: 14")]]), {
    "grpc.request_message_count": 4,
    "grpc.response_message_count": 4,
    "grpc.0": 1,
    "grpc.success": 1,
    "grpc.14": 1,
    "grpc.failure": 1,
    "grpc.total": 2,
  });
});

test("a trailers-only answer counts, of whomever; a status that gRPC does not have is a failure without a name", () => {
  const only = "HTTP/1.1 200 OK\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n";
  const odd = "HTTP/1.1 200 OK\r\ngrpc-status: 4711\r\ncontent-length: 0\r\n\r\n";
  assert.deepEqual(count({}, [[request("/shop.Cart/Add"), only], [request("/shop.Cart/Add"), odd]]), {
    "grpc.request_message_count": 4,
    "grpc.5": 1,
    "grpc.failure": 2,
    "grpc.total": 2,
  }); // biome-ignore format: a table
});

test("what is no call is not counted: another type, another form of path, an answer that says nothing", () => {
  const plain = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
  const exchanges = [
    [request("/shop.Cart/Add", "text/plain"), answer("grpc-status: 0")],
    [request("/shop.Cart"), answer("grpc-status: 0")],
  ] as const;
  assert.deepEqual(count({ statsForAllMethods: true }, exchanges), {});
  assert.deepEqual(count({}, [[request("/shop.Cart/Add"), plain]]), { "grpc.request_message_count": 2 });
});

test("the upstream's time is recorded where it is asked for", () => {
  const counted = count({ enableUpstreamStats: true }, [ADD]);
  assert.equal(counted["grpc.upstream_rq_time.count"], 1);
});

/** Notes the labels, which `MemoryMetrics` does not. */
class LabelledMetrics extends MemoryMetrics {
  readonly labels: Record<string, string>[] = [];

  override scope(prefix: string, labels: Record<string, string> = {}): MetricScope {
    this.labels.push(labels);
    return super.scope(prefix, labels);
  }
}

test("each method has series of its own, but callers cannot make as many as they like", () => {
  const metrics = new LabelledMetrics();
  const stats = new GrpcClusterStats(metrics);
  assert.equal(stats.ofMethod("grpc", "shop.Cart", "Add"), stats.ofMethod("grpc", "shop.Cart", "Add"));
  assert.deepEqual(metrics.labels, [{ envoy_grpc_bridge_service: "shop.Cart", envoy_grpc_bridge_method: "Add" }]);
  assert.equal(stats.ofMethod("grpc", "x".repeat(300), "Add"), stats.ofAll("grpc"));
  for (let i = 0; i < 1000; i++) stats.ofMethod("grpc", "shop.Cart", `Guess${i}`);
  assert.equal(metrics.labels.length, 501, "500 methods, and all the others together");
});

test("which methods: of a list, or all; dots of a service may be replaced", () => {
  const parse = (config: Json): unknown => {
    const parsed = grpcStatsType.parse(config);
    assert.ok(parsed.ok);
    return parsed.value;
  };
  const services = [{ name: "shop.Cart", methodNames: ["Add", "Remove"] }];
  assert.deepEqual(parse({ individualMethodStatsAllowlist: { services } }), {
    named: new Set(["shop.Cart/Add", "shop.Cart/Remove"]),
    upstreamTime: false,
    replaceDots: false,
  });
  assert.deepEqual(parse({ statsForAllMethods: true, replaceDotsInGrpcServiceName: true, enableUpstreamStats: true }), {
    named: "all",
    upstreamTime: true,
    replaceDots: true,
  });
});
