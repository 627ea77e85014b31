import assert from "node:assert/strict";
import { test } from "node:test";
import { callSource } from "./call-source.ts";

test("calls of one address, or of one IPv6 network, have one source", () => {
  assert.equal(callSource("10.0.0.1:54321"), "10.0.0.1");
  assert.equal(callSource("::ffff:10.0.0.1:54321"), "10.0.0.1");
  assert.equal(callSource("::1:54321"), "::1");
  assert.equal(callSource("unknown"), "unknown");
  const [one, other] = ["2001:db8:1:2:3:4:5:6:54321", "2001:db8:1:2:ffff::9:1"].map(callSource);
  assert.equal(one, other);
  assert.notEqual(one, callSource("2001:db8:1:3::1:54321"));
});
