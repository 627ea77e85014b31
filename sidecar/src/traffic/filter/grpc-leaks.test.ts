import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, type Json } from "@heddle/base";
import type { HttpFilterConfig } from "@heddle/traffic";
import fc from "fast-check";
import { Harness, type MemoryConnection, retryPolicy, routeTo } from "../http/testing-harness.ts";
import { SERVING } from "../listener/serving-state.ts";
import { grpcHttp1BridgeType } from "./grpc-http1-bridge-type.ts";
import { grpcStatsType } from "./grpc-stats-type.ts";
import { grpcWebType } from "./grpc-web-type.ts";
import { healthCheckType } from "./health-check-type.ts";
import { routerType } from "./router-type.ts";

const HEAD = "POST /shop.Cart/Add HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ngrpc-timeout: 100m\r\n";
const CHECK = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n";

/** What clients send, in any order: whole requests and parts of them. */
const REQUESTS = [
  `${HEAD}content-type: application/grpc\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\n\r\n`,
  `${HEAD}content-type: application/grpc\r\n\r\n3\r\n\0\0\0\r\n`,
  "2\r\n\0\0\r\n0\r\nx-trailer: 1\r\n\r\n",
  `${HEAD}content-type: application/grpc-web+proto\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\n\r\n`,
  `${HEAD}content-type: application/grpc-web-text\r\naccept: application/grpc-web-text\r\n\r\n8\r\nAAAAAAA=\r\n0\r\n\r\n`,
  `${HEAD}content-type: application/grpc-web-text\r\n\r\n3\r\nAAA\r\n`,
  "3\r\nA*=\r\n0\r\n\r\n",
  `${CHECK}content-length: 5\r\n\r\n\0\0\0\0\0`,
  `${CHECK}content-length: 9\r\n\r\n\0\0`,
  "\0\0\x02\x0a\0",
  "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
  "nonsense\r\n\r\n",
] as const;

const GRPC = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n";
const ANSWERS = [
  `${GRPC}transfer-encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 0\r\n\r\n`,
  `${GRPC}transfer-encoding: chunked\r\n\r\n7\r\n\0\0\0\0\x09ab\r\n`,
  "7\r\ncdefghi\r\n0\r\ngrpc-status: 13\r\ngrpc-message: no\r\n\r\n",
  `${GRPC}grpc-status: 14\r\ncontent-length: 0\r\n\r\n`,
  `${GRPC}content-length: 20\r\n\r\n\0\0\0\0\0`,
  "HTTP/1.1 503 Busy\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\r\nbusy",
  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
  "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
  "garbage\r\n\r\n",
] as const;

const step = fc.oneof(
  { arbitrary: fc.record({ do: fc.constant("client sends" as const), what: fc.nat({ max: REQUESTS.length - 1 }) }), weight: 5 },
  { arbitrary: fc.record({ do: fc.constant("upstream sends" as const), what: fc.nat({ max: ANSWERS.length - 1 }) }), weight: 5 },
  fc.record({
    do: fc.constantFrom("client ends", "client breaks", "upstream ends", "upstream breaks", "dial fails", "health check fails", "time passes"),
    what: fc.nat({ max: 9 }),
  }),
); // biome-ignore format: a table

function place(name: string, type: string, config: Json): HttpFilterConfig {
  return { name, config: { name, type, config }, disabled: false };
}

const FILTERS = [
  place("health", "test.health", {
    passThroughMode: false,
    headers: [{ name: ":path", stringMatch: { prefix: "/grpc.health" } }],
  }),
  place("stats", "test.stats", { statsForAllMethods: true, enableUpstreamStats: true }),
  place("web", "test.web", {}),
  place("bridge", "test.bridge", {}),
  place("router", routerType.configType, {}),
];

test("gRPC and its filters leave nothing behind, and throw nothing, whatever happens", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 8, maxLength: 40, size: "max" }), fc.boolean(), (steps, bridged) => {
      const harness = new Harness({
        routes: routeTo("app", {
          timeoutMs: 300,
          maxGrpcTimeoutMs: 200,
          retryPolicy: { ...retryPolicy, retryOn: ["unavailable", "5xx"], perTryTimeoutMs: 60 },
        }),
        filters: { health: healthCheckType, stats: grpcStatsType, web: grpcWebType, bridge: grpcHttp1BridgeType },
        manager: {
          httpFilters: FILTERS.filter(({ name }) => bridged || name !== "bridge"),
          streamIdleTimeoutMs: 400,
          idleTimeoutMs: 1000,
          drainTimeoutMs: 300,
        },
        bufferLimitBytes: 100,
      });
      const clients = [harness.connect(), harness.connect()];
      for (const [i, { do: what, what: n }] of steps.entries()) {
        const client = clients[i % 2]!; // there are two
        const upstream: MemoryConnection | undefined = harness.upstreams[n % Math.max(1, harness.upstreams.length)];
        if (what === "client sends")
          client.send(REQUESTS[n]!); // the arbitrary stays below the lengths of both lists
        else if (what === "upstream sends") harness.upstreams.at(-1)?.send(ANSWERS[n]!);
        else if (what === "client ends") client.sendEnd();
        else if (what === "client breaks") client.break(failure("downstream-reset", "downstream", "ECONNRESET"));
        else if (what === "upstream ends") upstream?.sendEnd();
        else if (what === "upstream breaks") upstream?.break();
        else if (what === "dial fails") harness.dialFailures.push(failure("connect-refused", "upstream", "", "safe"));
        else if (what === "health check fails") harness.serving.publish({ ...SERVING, healthCheckFailed: n % 2 === 0 });
        else harness.advance(25 + n * 20);
        harness.run();
      }
      for (let i = 0; i < 50; i++) {
        harness.clock.advance(100);
        harness.run();
      }
      for (const client of clients) assert.ok(client.closed, "it has not ended");
      assert.deepEqual([harness.leaks(), harness.value("http.internal_error"), harness.problems], ["", 0, []]);
      assert.equal(harness.value("http.downstream_rq_total"), harness.logged.length);
    }),
    { seed: 4, numRuns: 300 },
  );
});
