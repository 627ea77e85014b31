import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type AccessLogSource, ResponseFlag } from "@heddle/telemetry";
import { get } from "../route/route-fixtures.ts";
import { LiveRuntime } from "../runtime/live-runtime.ts";
import { logSourceOf } from "../testing-log-source.ts";
import type { AccessLogFilterConfig, ValueMatcherConfig } from "./access-log-config.ts";
import { compileAccessLogFilter } from "./access-log-filter.ts";

const REQUEST = get("/", "shop", { "x-a": "1", "content-type": "application/grpc" });

function passes(config: AccessLogFilterConfig, known: Partial<AccessLogSource> = {}, random = 0): boolean {
  return compileAccessLogFilter(config, () => random)(logSourceOf(REQUEST, known));
}

describe("an access log filter", () => {
  for (const [op, value, statuses] of [
    ["EQ", 404, [404]],
    ["GE", 404, [404, 500]],
    ["LE", 404, [0, 200, 404]],
  ] as const) {
    test(`by status: ${op} ${value}`, () => {
      const found = [0, 200, 404, 500].filter((responseCode) =>
        passes({ type: "status-code", op, value }, { responseCode }),
      );
      assert.deepEqual(found, statuses);
    });
  }

  test("by duration, in whole ms, of an exchange that has not ended as well", () => {
    assert.equal(passes({ type: "duration", op: "EQ", value: 5 }, { elapsedMs: 5.9, durationMs: -1 }), true);
    assert.equal(passes({ type: "duration", op: "GE", value: 6 }, { elapsedMs: 5.9 }), false);
  });

  test("of health checks and forced traces", () => {
    assert.deepEqual(
      [{}, { healthCheck: true }].map((known) => passes({ type: "not-health-check" }, known)),
      [true, false],
    );
    assert.deepEqual(
      [{}, { traceForced: true }].map((known) => passes({ type: "traceable" }, known)),
      [false, true],
    );
  });

  test("by chance: of the request's id, the same in every proxy, or drawn", () => {
    const some = { type: "runtime", key: "k", fraction: { numerator: 30, denominator: 100 } } as const;
    const ids = ["0000001d-a", "0000001e-a"]; // 29 and 30
    assert.deepEqual(
      ids.map((requestId) => passes({ ...some, independent: false }, { requestId }, 99)),
      [true, false],
    );
    assert.deepEqual(
      [129, 130].map((random) => passes({ ...some, independent: true }, { requestId: "0000001d-a" }, random)),
      [true, false],
    );
    assert.equal(passes({ ...some, independent: false }, { requestId: "no hex" }, 29), true);
  });

  test("what the runtime says counts at each look", () => {
    const runtime = new LiveRuntime();
    const source = logSourceOf(REQUEST, { responseCode: 200 });
    const drawn = compileAccessLogFilter(
      { type: "runtime", key: "share", fraction: { numerator: 0, denominator: 100 }, independent: true },
      () => 5,
      runtime,
    );
    const status = compileAccessLogFilter(
      { type: "status-code", op: "GE", value: 600, runtimeKey: "status" },
      () => 0,
      runtime,
    );
    const both = (): readonly boolean[] => [drawn(source), status(source)];
    assert.deepEqual(both(), [false, false]);
    runtime.publish({ share: 6, status: 100 });
    assert.deepEqual(both(), [true, true]);
    runtime.publish({});
    assert.deepEqual(both(), [false, false]);
  });

  test("by header, all values of a repeated one", () => {
    const matcher = { type: "exact", value: "1", ignoreCase: false } as const;
    const header = {
      name: "x-a",
      match: { type: "string", matcher },
      invert: false,
      treatMissingHeaderAsEmpty: false,
    } as const;
    assert.equal(passes({ type: "header", header }), true);
    assert.equal(passes({ type: "header", header }, { requestHeaderValues: () => ["2", "1"] }), true);
    assert.equal(passes({ type: "header", header: { ...header, invert: true } }), false);
    assert.equal(passes({ type: "header", header: { ...header, name: "x-b", invert: true } }), false, "missing");
  });

  test("by response flag: one of them, or any", () => {
    const responseFlags = ResponseFlag.UpstreamConnectionFailure | ResponseFlag.UpstreamRetryLimitExceeded;
    assert.equal(passes({ type: "response-flag", flags: ["URX", "NR"] }, { responseFlags }), true);
    assert.equal(passes({ type: "response-flag", flags: ["NR"] }, { responseFlags }), false);
    assert.equal(passes({ type: "response-flag", flags: [] }, { responseFlags }), true);
    assert.equal(passes({ type: "response-flag", flags: [] }), false);
  });

  test("by gRPC status: trailers, head, HTTP status, or unknown", () => {
    const is = (statuses: number[], known: Partial<AccessLogSource>, exclude = false): boolean =>
      passes({ type: "grpc-status", statuses, exclude }, known);
    assert.equal(is([5], { responseTrailer: () => "5", responseCode: 200 }), true);
    assert.equal(is([5], { responseHeader: () => "5", responseCode: 200 }), true);
    assert.equal(is([14], { responseCode: 503 }), true);
    assert.equal(is([2], {}), true);
    assert.equal(is([2], { responseCode: 200 }), true, "a gRPC server says how it went");
    assert.equal(is([-1], { responseTrailer: () => "?", responseCode: 503 }), true);
    assert.equal(is([14], { responseCode: 503 }, true), false);
  });

  test("by log type", () => {
    const types = ["DownstreamEnd"] as const;
    assert.equal(passes({ type: "log-type", types, exclude: false }, { logType: "DownstreamEnd" }), true);
    assert.equal(passes({ type: "log-type", types, exclude: true }, { logType: "DownstreamEnd" }), false);
    assert.equal(passes({ type: "log-type", types, exclude: true }, { logType: "NotSet" }), true);
  });

  test("all of them, and one of them", () => {
    const yes = { type: "not-health-check" } as const;
    const no = { type: "traceable" } as const;
    assert.deepEqual(
      [passes({ type: "and", filters: [yes, no] }), passes({ type: "or", filters: [no, yes] })],
      [false, true],
    );
    assert.deepEqual(
      [passes({ type: "and", filters: [yes, yes] }), passes({ type: "or", filters: [no, no] })],
      [true, false],
    );
  });
});

describe("a filter by metadata", () => {
  const filter = (
    value: ValueMatcherConfig | undefined,
    more: Partial<Extract<AccessLogFilterConfig, { type: "metadata" }>> = {},
  ) =>
    ({ type: "metadata", namespace: "ns", path: ["k"], value, invert: false, matchIfNotFound: true, ...more }) as const;
  const holding = (value: unknown): Partial<AccessLogSource> => ({
    metadata: (of, namespace, path) =>
      of === "DYNAMIC" && namespace === "ns" && path.join() === "k" ? value : undefined,
  });

  for (const [matcher, yes, no] of [
    [{ type: "exact-number", value: 2 }, 2, "2"],
    [{ type: "number-range", start: 1, end: 2 }, 1, 2],
    [{ type: "string", matcher: { type: "prefix", value: "a", ignoreCase: false } }, "ab", 1],
    [{ type: "boolean", value: false }, false, 0],
    [{ type: "present", present: true }, 0, undefined],
    [{ type: "one-of", matcher: { type: "exact-number", value: 1 } }, [0, 1], [0]],
    [
      {
        type: "or",
        matchers: [
          { type: "boolean", value: true },
          { type: "exact-number", value: 1 },
        ],
      },
      1,
      2,
    ],
  ] as const) {
    test(`takes ${JSON.stringify(yes)} and not ${JSON.stringify(no)} for ${JSON.stringify(matcher)}`, () => {
      const config = filter(matcher, { matchIfNotFound: false });
      assert.equal(passes(config, holding(yes)), true);
      assert.equal(passes(config, holding(no)), false);
      assert.equal(passes({ ...config, invert: true }, holding(yes)), false);
    });
  }

  test("says of itself what holds where the key is not there; with a key and no matcher nothing holds", () => {
    assert.equal(passes(filter({ type: "boolean", value: true }), holding(undefined)), true);
    assert.equal(passes(filter({ type: "boolean", value: true }), holding(null)), true);
    assert.equal(passes(filter(undefined), holding(1)), false);
  });
});
