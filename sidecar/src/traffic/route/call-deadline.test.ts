import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HeaderMap, RequestHead } from "@heddle/http";
import type { ForwardAction, MaxStreamDuration } from "@heddle/traffic";
import { routeTo } from "../http/testing-harness.ts";
import { limitStream, routeTimeoutMs, tellsTimeoutToCallee } from "./call-deadline.ts";

function call(grpcTimeout?: string, contentType = "application/grpc"): RequestHead {
  const headers = new HeaderMap(["content-type", contentType]);
  if (grpcTimeout !== undefined) headers.append("grpc-timeout", grpcTimeout);
  return new RequestHead("POST", "http", "shop", "/shop.Cart/Add", headers, "2");
}

function forward(more: Partial<ForwardAction>): ForwardAction {
  const action = routeTo("app", { timeoutMs: 15_000, ...more }).virtualHosts[0]?.routes[0]?.action;
  assert.equal(action?.type, "forward");
  return action.forward;
}

describe("max_grpc_timeout: the call's deadline in place of the route's timeout", () => {
  const timeout = (more: Partial<ForwardAction>, request: RequestHead): number =>
    routeTimeoutMs(forward(more), request);

  test("only of gRPC calls, and only where it is set", () => {
    assert.equal(timeout({}, call("1S")), 15_000);
    assert.equal(timeout({ maxGrpcTimeoutMs: 0 }, call("1S", "text/plain")), 15_000);
    assert.equal(timeout({ maxGrpcTimeoutMs: 0 }, call("1S")), 1000);
  });

  test("at most that; without a deadline that, and 0 is without end", () => {
    assert.equal(timeout({ maxGrpcTimeoutMs: 500 }, call("1S")), 500);
    assert.equal(timeout({ maxGrpcTimeoutMs: 5000 }, call("1S")), 1000);
    assert.equal(timeout({ maxGrpcTimeoutMs: 500 }, call()), 500);
    assert.equal(timeout({ maxGrpcTimeoutMs: 500 }, call("nonsense")), 500);
    assert.equal(timeout({ maxGrpcTimeoutMs: 0 }, call()), 0);
  });

  test("less the offset, unless that would leave nothing", () => {
    assert.equal(timeout({ maxGrpcTimeoutMs: 0, grpcTimeoutOffsetMs: 100 }, call("1S")), 900);
    assert.equal(timeout({ maxGrpcTimeoutMs: 0, grpcTimeoutOffsetMs: 1000 }, call("1S")), 1000);
    assert.equal(timeout({ maxGrpcTimeoutMs: 950, grpcTimeoutOffsetMs: 100 }, call("1S")), 900);
  });

  test("the callee hears what is left of it", () => {
    assert.equal(tellsTimeoutToCallee(forward({ maxGrpcTimeoutMs: 0 }), call()), true);
    assert.equal(tellsTimeoutToCallee(forward({}), call()), false);
    assert.equal(tellsTimeoutToCallee(forward({ maxGrpcTimeoutMs: 0 }), call("1S", "text/plain")), false);
    assert.equal(tellsTimeoutToCallee(forward({ maxGrpcTimeoutMs: 0, maxStreamDuration: {} }), call()), false);
  });
});

test("with max_stream_duration neither timeout nor max_grpc_timeout counts", () => {
  assert.equal(routeTimeoutMs(forward({ maxStreamDuration: {}, maxGrpcTimeoutMs: 100 }), call("1S")), 0);
});

describe("max_stream_duration", () => {
  /** How long the stream may last, and what the callee hears of it. */
  const limit = (route: MaxStreamDuration, request: RequestHead, listenerMs = 0): readonly unknown[] => [
    limitStream(route, listenerMs, request),
    request.headers.get("grpc-timeout"),
  ];

  test("the route's, else the listener's; a gRPC callee hears of it", () => {
    assert.deepEqual(limit({ durationMs: 5000 }, call()), [5000, "5000m"]);
    assert.deepEqual(limit({ durationMs: 5000 }, call("1S")), [5000, "5000m"], "its header does not count");
    assert.deepEqual(limit({}, call("1S"), 700), [700, "700m"]);
    assert.deepEqual(limit({}, call("1S")), [undefined, "1S"]);
    assert.deepEqual(limit({ durationMs: 5000 }, call("1S", "text/plain")), [5000, "1S"]);
  });

  test("0 lifts the listener's, and then the call has no deadline either", () => {
    assert.deepEqual(limit({ durationMs: 0 }, call("1S"), 700), [undefined, undefined]);
    assert.deepEqual(limit({ durationMs: 0 }, call("1S")), [undefined, "1S"]);
  });

  test("grpc_timeout_header_max: the call's deadline, at most that, 0 for whatever it says", () => {
    assert.deepEqual(limit({ grpcTimeoutHeaderMaxMs: 0 }, call("1S")), [1000, "1000m"]);
    assert.deepEqual(limit({ grpcTimeoutHeaderMaxMs: 300, durationMs: 5 }, call("1S")), [300, "300m"]);
    assert.deepEqual(
      limit({ grpcTimeoutHeaderMaxMs: 300, durationMs: 5000 }, call()),
      [5000, "5000m"],
      "there is none",
    );
    assert.deepEqual(limit({ grpcTimeoutHeaderMaxMs: 300 }, call("1S", "text/plain")), [300, "1S"]);
    assert.deepEqual(limit({ grpcTimeoutHeaderMaxMs: 0 }, call("0m")), [0, "0m"]);
  });

  test("less grpc_timeout_header_offset, down to nothing", () => {
    const route = { grpcTimeoutHeaderMaxMs: 0, grpcTimeoutHeaderOffsetMs: 100 };
    assert.deepEqual(limit(route, call("1S")), [900, "900m"]);
    assert.deepEqual(limit(route, call("100m")), [0, "0m"]);
    assert.deepEqual(limit({ ...route, grpcTimeoutHeaderMaxMs: 500 }, call("1S")), [400, "400m"]);
  });
});
