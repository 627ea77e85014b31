import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure, GrpcStatus, ok } from "@heddle/base";
import { defineFilter, formatResponseFlags, type HttpFilter } from "@heddle/filter";
import { grpcStatusOfCall } from "@heddle/telemetry";
import type { ResponseMapperConfig } from "@heddle/traffic";
import {
  clusterConfig,
  Harness,
  type HarnessOptions,
  type MemoryConnection,
  routeEntry,
  routesOf,
  routeTo,
} from "./testing-harness.ts";

const CALL =
  "POST /shop.Cart/Add HTTP/1.1\r\nhost: shop\r\nte: trailers\r\ncontent-type: application/grpc+proto\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0";

interface Answer {
  readonly head: string;
  readonly body: string;
  readonly harness: Harness;
}

function field({ head }: Answer, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)\r$`, "m").exec(`${head}\r\n`)?.[1];
}

/** What a gRPC client is told: HTTP status, gRPC status, message. */
function told(answer: Answer): readonly unknown[] {
  assert.equal(field(answer, "content-type"), "application/grpc");
  assert.equal(answer.body, "");
  return [Number(answer.head.slice(9, 12)), Number(field(answer, "grpc-status")), field(answer, "grpc-message")];
}

/** The answer to a call. `play` does what happens between it and its answer. */
function call(
  options: HarnessOptions = {},
  play: (harness: Harness) => void = () => undefined,
  request = CALL,
): Answer {
  const harness = new Harness(options);
  const client: MemoryConnection = harness.connect();
  client.send(request);
  harness.run();
  play(harness);
  harness.run();
  const [head = "", body = ""] = client.take().split("\r\n\r\n");
  client.sendEnd();
  harness.run();
  assert.equal(harness.leaks(), "");
  return { head, body, harness };
}

function filter(make: () => HttpFilter): ReturnType<typeof defineFilter> {
  return defineFilter({ parse: (config) => ok(config), create: () => ({ create: make }) });
}

describe("an answer of ours to a gRPC call is a gRPC status, trailers-only", () => {
  test("no route: UNIMPLEMENTED", () => {
    const answer = call({ routes: routesOf([]) });
    assert.deepEqual(told(answer), [200, GrpcStatus.Unimplemented, undefined]);
    const [exchange] = answer.harness.logged;
    assert.equal(exchange?.responseCodeDetails, "route_not_found");
    assert.equal(formatResponseFlags(exchange?.responseFlags ?? 0), "NR");
  });

  test("no cluster, no endpoint, no connection: UNAVAILABLE", () => {
    assert.deepEqual(told(call({ routes: routeTo("nobody") })), [200, GrpcStatus.Unavailable, undefined]);
    const unhealthy = call({ endpoints: { app: [] } });
    assert.deepEqual(told(unhealthy), [200, GrpcStatus.Unavailable, "no healthy upstream"]);
    const refusing = new Harness();
    refusing.dialFailures.push(failure("connect-refused", "upstream", "", "safe"));
    const client = refusing.connect();
    client.send(CALL);
    refusing.run();
    const head = client.take();
    assert.match(head, /^HTTP\/1\.1 200 .*grpc-status: 14\r\n.*grpc-message: upstream connect error /s);
    client.sendEnd();
    refusing.run();
    assert.equal(refusing.leaks(), "");
  });

  test("a circuit breaker is open: UNAVAILABLE, and clients that know of it hear of the overload", () => {
    const none = { maxConnections: 1, maxPendingRequests: 1, maxRequests: 0, maxRetries: 0 };
    const clusters = [clusterConfig("app", { circuitBreakers: { default: none, high: none } })];
    const answer = call({ clusters, router: { suppressEnvoyHeaders: false } });
    assert.equal(told(answer)[1], GrpcStatus.Unavailable);
    assert.equal(field(answer, "x-envoy-overloaded"), "true");
    assert.equal(formatResponseFlags(answer.harness.logged[0]?.responseFlags ?? 0), "UO");
  });

  test("the route's timeout: DEADLINE_EXCEEDED, while the cluster's counters and the log tell of 504 and UT", () => {
    const answer = call({ routes: routeTo("app", { timeoutMs: 50 }) }, (harness) => harness.advance(60));
    assert.deepEqual(told(answer), [200, GrpcStatus.DeadlineExceeded, "upstream request timeout"]);
    assert.equal(answer.harness.value("cluster.upstream_rq_504"), 1);
    assert.equal(answer.harness.value("cluster.upstream_rq_200"), 0);
    assert.equal(formatResponseFlags(answer.harness.logged[0]?.responseFlags ?? 0), "UT");
  });

  test("it lasts longer than it may: DEADLINE_EXCEEDED", () => {
    const routes = routeTo("app", { maxStreamDuration: { durationMs: 50 } });
    const answer = call({ routes }, (harness) => harness.advance(60));
    assert.deepEqual(told(answer), [200, GrpcStatus.DeadlineExceeded, "downstream duration timeout"]);
  });

  test("a stalled stream: UNAVAILABLE", () => {
    const answer = call({ manager: { streamIdleTimeoutMs: 50 } }, (harness) => harness.advance(60));
    assert.deepEqual(told(answer), [200, GrpcStatus.Unavailable, "stream timeout"]);
  });

  test("what the upstream does to HTTP: UNAVAILABLE", () => {
    const closed = call({}, (harness) => harness.upstream().sendEnd());
    assert.equal(told(closed)[1], GrpcStatus.Unavailable);
    const broken = call({}, (harness) => harness.upstream().send("nonsense\r\n\r\n"));
    assert.equal(told(broken)[1], GrpcStatus.Unavailable);
    assert.equal(broken.harness.value("cluster.upstream_rq_502"), 1);
  });

  test("a direct response and a redirect: what their status stands for", () => {
    const direct = routesOf([routeEntry({ action: { type: "direct-response", status: 403, body: "go away" } })]);
    assert.deepEqual(told(call({ routes: direct })), [200, GrpcStatus.PermissionDenied, "go away"]);
    const path = { type: "path", value: "/b" } as const;
    const redirect = {
      scheme: undefined,
      host: undefined,
      port: undefined,
      path,
      responseCode: 301,
      stripQuery: false,
    };
    const answer = call({ routes: routesOf([routeEntry({ action: { type: "redirect", redirect } as never })]) });
    assert.deepEqual(told(answer), [200, GrpcStatus.Unknown, undefined]);
    assert.equal(field(answer, "location"), "http://shop/b");
  });

  test("a request that is too large to be held: UNKNOWN, as Envoy's 413", () => {
    const holds = filter(() => ({ requestHead: () => "pause", requestData: () => "buffer" }));
    const answer = call({ filters: { holds }, bufferLimitBytes: 4 });
    assert.deepEqual(told(answer), [200, GrpcStatus.Unknown, "Payload Too Large"]);
  });

  test("an exception in a filter: UNKNOWN", () => {
    const throws = filter(() => ({
      requestHead() {
        throw new Error("boom");
      },
    }));
    assert.deepEqual(told(call({ filters: { throws } })), [200, GrpcStatus.Unknown, "Internal Server Error"]);
  });

  test("a filter that refuses may name the status, and its message is percent-encoded", () => {
    const refuses = filter(() => ({
      requestHead(exchange) {
        exchange.reply({
          status: 429,
          body: "zu viel, 100%\n☺",
          details: "limited",
          grpcStatus: GrpcStatus.ResourceExhausted,
        });
        return "pause";
      },
    }));
    const answer = call({ filters: { refuses } });
    assert.deepEqual(told(answer), [200, GrpcStatus.ResourceExhausted, "zu viel, 100%25%0A%E2%98%BA"]);
    assert.equal(answer.harness.logged[0]?.localReplyBody, "zu viel, 100%\n☺");
  });

  test("local_reply_config: the mapped status counts, a grpc-status among its headers more, and the body is the message", () => {
    const mapper: ResponseMapperConfig = {
      filter: { type: "status-code", op: "EQ", value: 404 },
      statusCode: 401,
      body: "who are you?",
      bodyFormatOverride: undefined,
      headersToAdd: [],
    };
    const manager = (more: Partial<ResponseMapperConfig>) => ({
      localReply: { mappers: [{ ...mapper, ...more }], bodyFormat: undefined },
    });
    const routes = routesOf([]);
    assert.deepEqual(told(call({ routes, manager: manager({}) })), [200, GrpcStatus.Unauthenticated, "who are you?"]);
    const header = (value: string) => ({
      name: "grpc-status",
      value,
      appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" as const,
      keepEmptyValue: false,
    });
    const chosen = call({ routes, manager: manager({ headersToAdd: [header("5")] }) });
    assert.deepEqual(told(chosen), [200, GrpcStatus.NotFound, "who are you?"]);
    const json = { type: "json", json: { code: "%RESPONSE_CODE%" }, omitEmptyValues: false } as const;
    const formatted = call({ routes, manager: manager({ bodyFormatOverride: { format: json, contentType: "" } }) });
    assert.deepEqual(told(formatted), [200, GrpcStatus.Unauthenticated, '{"code":401}']);
  });

  test("the log tells the status of a call that we have answered", () => {
    const statuses: (number | undefined)[] = [];
    const harness = new Harness({ routes: routesOf([]) });
    harness.onLog = (exchange) => statuses.push(grpcStatusOfCall(exchange.logSource));
    const client = harness.connect();
    client.send(CALL);
    client.send("GET / HTTP/1.1\r\nhost: shop\r\n\r\n");
    harness.run();
    client.sendEnd();
    harness.run();
    assert.deepEqual(statuses, [GrpcStatus.Unimplemented, undefined]);
  });
});

test("a request that is not gRPC is answered as before, one of gRPC-Web too", () => {
  const web = call({ routes: routesOf([]) }, undefined, CALL.replace("grpc+proto", "grpc-web+proto"));
  assert.match(web.head, /^HTTP\/1\.1 404 /);
  assert.equal(field(web, "grpc-status"), undefined);
});

test("an answer of the upstream's is not touched: trailers with the status, and a head that has it", () => {
  const { head, body } = call({}, (harness) => {
    assert.match(harness.upstream().take(), /\r\nte: trailers\r\n/);
    harness
      .upstream()
      .send(
        "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 9\r\ngrpc-message: no\r\n\r\n",
      );
  });
  assert.match(head, /^HTTP\/1\.1 200 /);
  assert.match(body, /0\r\ngrpc-status: 9\r\ngrpc-message: no$/);
  const only = call({}, (harness) =>
    harness
      .upstream()
      .send("HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ncontent-length: 0\r\n\r\n"),
  );
  assert.equal(field(only, "grpc-status"), "5");
});

test("an answer that has begun and cannot be completed is broken off, not given a status", () => {
  const answer = call({}, (harness) => {
    harness
      .upstream()
      .send(
        "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n",
      );
    harness.run();
    harness.upstream().sendEnd();
  });
  assert.equal(field(answer, "grpc-status"), undefined);
  assert.doesNotMatch(answer.body, /\r\n0\r\n/);
  assert.equal(formatResponseFlags(answer.harness.logged[0]?.responseFlags ?? 0), "UC");
});

test("how a call went counts for its endpoint: a failure of the server's is an error, though HTTP says 200", () => {
  const figures = (status: number, inHead: boolean): readonly (number | undefined)[] => {
    const { harness } = call({}, (playing) => {
      const head = "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\n";
      const fields = `grpc-status: ${status}\r\n`;
      playing
        .upstream()
        .send(
          inHead
            ? `${head}${fields}content-length: 0\r\n\r\n`
            : `${head}transfer-encoding: chunked\r\n\r\n0\r\n${fields}\r\n`,
        );
    });
    const [endpoint] = [...(harness.runtime.current.clusters.get("app")?.endpoints?.byKey.values() ?? [])];
    return [endpoint?.requestsAnswered, endpoint?.requestsFailed];
  };
  for (const inHead of [false, true]) {
    for (const status of [GrpcStatus.Ok, GrpcStatus.NotFound, GrpcStatus.PermissionDenied, GrpcStatus.Cancelled]) {
      assert.deepEqual(figures(status, inHead), [1, 0], `${status}`);
    }
    for (const status of [
      GrpcStatus.Unavailable,
      GrpcStatus.Internal,
      GrpcStatus.Unknown,
      GrpcStatus.DeadlineExceeded,
    ]) {
      assert.deepEqual(figures(status, inHead), [0, 1], `${status}`);
    }
  }
});
