import assert from "node:assert/strict";
import { test } from "node:test";
import { formatGrpcTimeout, parseGrpcTimeoutMs } from "./grpc-timeout.ts";

test("grpc-timeout is at most 8 digits and a unit; what is finer than a millisecond is rounded up", () => {
  for (const [value, ms] of [
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3000],
    ["0m", 0],
    ["00000004m", 4],
    ["1500u", 2],
    ["1u", 1],
    ["0u", 0],
    ["1n", 1],
    ["1000001n", 2],
    ["99999999H", 359_999_996_400_000],
  ] as const) {
    assert.equal(parseGrpcTimeoutMs(value), ms, value);
  }
});

test("anything else is no timeout", () => {
  for (const value of [
    undefined,
    "",
    "1",
    "m",
    "H",
    "123456789m",
    "000000001S",
    "-1S",
    "+1S",
    "1.5S",
    " 1S",
    "1S ",
    "1 S",
    "1s",
    "1h",
    "1ms",
    "0x1S",
    "1S,2S",
    "١S",
  ]) {
    // biome-ignore format: a table
    assert.equal(parseGrpcTimeoutMs(value), undefined, value);
  }
});

test("what is written has 8 digits at most, and is never longer than what was meant", () => {
  for (const [ms, value] of [
    [0, "0m"],
    [1, "1m"],
    [99_999_999, "99999999m"],
    [100_000_000, "100000S"],
    [100_000_999, "100000S"],
    [99_999_999_999, "99999999S"],
    [100_000_000_000, "1666666M"],
    [6_000_000_000_000, "1666666H"],
    [Number.MAX_SAFE_INTEGER, "99999999H"],
  ] as const) {
    assert.equal(formatGrpcTimeout(ms), value);
    assert.ok((parseGrpcTimeoutMs(value) ?? Infinity) <= ms);
  }
});
