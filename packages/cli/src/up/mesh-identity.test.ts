import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { MeshIdentity } from "./mesh-identity.ts";

test("each start of a sidecar has a token of its own, and those that have ended leave the file", (t) => {
  const clock = new ManualClock();
  const identity = new MeshIdentity(clock);
  t.after(() => identity.close());
  const flags = identity.controlPlaneFlags(15012);
  const file = flags[flags.indexOf("--join-tokens") + 1] ?? "";
  const entries = (): readonly { readonly spiffeId: string }[] => JSON.parse(readFileSync(file, "utf8"));
  const first = identity.sidecarEnvironment("default", "web");
  assert.match(first["HEDDLE_JOIN_TOKEN"] ?? "", /^hjt_/);
  assert.notDeepEqual(identity.sidecarEnvironment("default", "web"), first);
  assert.equal(entries().length, 2);
  clock.advance(2 * 3_600_000);
  identity.sidecarEnvironment("default", "orders");
  assert.deepEqual(
    entries().map(({ spiffeId }) => spiffeId),
    ["spiffe://cluster.local/ns/default/sa/orders"],
  );
  assert.doesNotMatch(readFileSync(file, "utf8"), /hjt_/);
});
