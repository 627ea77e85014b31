import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type FailureKind, failure, type RetryAdvice } from "@heddle/base";
import { HeaderMap, ResponseHead } from "@heddle/http";
import { RetryDecision } from "./retry-decision.ts";

function decision(retryOn: string, retriableStatusCodes: readonly number[] = []): RetryDecision {
  return new RetryDecision({
    retryOn: retryOn.split(","),
    numRetries: 1,
    perTryTimeoutMs: 0,
    retriableStatusCodes,
    baseIntervalMs: 25,
    maxIntervalMs: 250,
  });
}

describe("retry decision", () => {
  const onResponse = (
    retryOn: string,
    status: number,
    headers: Record<string, string> = {},
    codes: number[] = [],
  ): boolean => decision(retryOn, codes).retriesResponse(new ResponseHead(status, HeaderMap.from(headers)));
  const onFailure = (retryOn: string, kind: FailureKind, retry: RetryAdvice = "never"): boolean =>
    decision(retryOn).retriesFailure(failure(kind, "upstream", "", retry));

  it("looks at the status as the conditions say", () => {
    assert.ok(onResponse("5xx", 500) && onResponse("5xx", 503) && !onResponse("5xx", 404) && !onResponse("5xx", 200));
    assert.ok(
      onResponse("gateway-error", 502) && onResponse("gateway-error", 504) && !onResponse("gateway-error", 500),
    );
    assert.ok(onResponse("retriable-4xx", 409) && !onResponse("retriable-4xx", 404));
    assert.ok(
      onResponse("retriable-status-codes", 429, {}, [429]) && !onResponse("retriable-status-codes", 430, {}, [429]),
    );
    assert.ok(!onResponse("reset,connect-failure", 503));
    assert.ok(onResponse("reset,gateway-error", 503), "one of several conditions is enough");
  });

  it("looks at the gRPC status of answers without body", () => {
    assert.ok(onResponse("unavailable", 200, { "grpc-status": "14" }));
    assert.ok(onResponse("cancelled,deadline-exceeded", 200, { "grpc-status": "4" }));
    for (const spelling of ["cancelled", "canceled"]) assert.ok(onResponse(spelling, 200, { "grpc-status": "1" }));
    assert.ok(onResponse("resource-exhausted", 200, { "grpc-status": "8" }));
    assert.ok(onResponse("internal", 200, { "grpc-status": "13" }));
    assert.ok(!onResponse("unavailable", 200, { "grpc-status": "13" }));
    assert.ok(!onResponse("unavailable", 200, { "grpc-status": "0" }));
  });

  it("leaves an upstream alone that says it is rate limited", () => {
    assert.ok(!onResponse("5xx", 503, { "x-envoy-ratelimited": "true" }));
    assert.ok(onResponse("envoy-ratelimited", 429, { "x-envoy-ratelimited": "true" }));
  });

  it("takes a failure to connect under every condition that covers it", () => {
    for (const kind of ["connect-refused", "connect-timeout", "connect-failed"] as const) {
      for (const retryOn of ["connect-failure", "reset", "5xx", "gateway-error", "reset-before-request"]) {
        assert.ok(onFailure(retryOn, kind, "safe"), `${retryOn} on ${kind}`);
      }
      assert.ok(!onFailure("refused-stream,retriable-4xx", kind));
    }
  });

  it("tells a reset that the upstream did not process from one that it may have", () => {
    assert.ok(onFailure("refused-stream", "reset-by-upstream", "safe"));
    assert.ok(!onFailure("refused-stream", "reset-by-upstream"));
    assert.ok(onFailure("reset-before-request", "connection-closed", "safe"));
    assert.ok(!onFailure("reset-before-request", "connection-closed"));
    assert.ok(onFailure("reset", "connection-closed"));
    assert.ok(onFailure("5xx", "per-try-timeout"));
    assert.ok(onFailure("reset", "upstream-max-duration"));
  });

  it("never repeats what is not the upstream's doing", () => {
    const all = decision("5xx,reset,connect-failure,gateway-error");
    for (const [kind, side] of [
      ["overflow", "local"],
      ["no-healthy-upstream", "upstream"],
      ["downstream-reset", "downstream"],
    ] as const) {
      assert.ok(!all.retriesFailure(failure(kind, side, "")), kind);
    }
  });
});
