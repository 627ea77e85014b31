import assert from "node:assert/strict";
import { test } from "node:test";
import { formatResponseFlags, formatResponseFlagsLong, ResponseFlag, responseFlagOf } from "./response-flags.ts";

test("flags are printed in Envoy's order, short and long", () => {
  const flags = ResponseFlag.UpstreamRetryLimitExceeded | ResponseFlag.UpstreamRequestTimeout;
  assert.equal(formatResponseFlags(flags), "UT,URX");
  assert.equal(formatResponseFlagsLong(flags), "UpstreamRequestTimeout,UpstreamRetryLimitExceeded");
});

test("no flag is a dash", () => {
  assert.deepEqual([formatResponseFlags(0), formatResponseFlagsLong(0)], ["-", "-"]);
});

test("every flag has a bit, a short name and a long one of its own", () => {
  const bits = Object.values(ResponseFlag);
  assert.equal(new Set(bits).size, bits.length);
  for (const bit of bits) assert.equal(responseFlagOf(formatResponseFlags(bit)), bit);
  assert.equal(new Set(bits.map(formatResponseFlagsLong)).size, bits.length);
  assert.equal(formatResponseFlagsLong(ResponseFlag.OverloadManager), "OverloadManagerTerminated");
  assert.equal(responseFlagOf("XX"), undefined);
});
