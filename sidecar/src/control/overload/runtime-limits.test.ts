import assert from "node:assert/strict";
import { test } from "node:test";
import { runtimeLimits } from "./runtime-limits.ts";

test("limits on connections come from runtime keys, of the last layer that has them", () => {
  const layers = [
    {
      values: new Map([
        ["envoy.resource_limits.listener.a.b.connection_limit", 10],
        ["overload.global_downstream_max_connections", 100],
      ]),
    },
    { values: new Map<string, string | number>([["overload.global_downstream_max_connections", "50"], ["other", 1]]) },
    { values: new Map([["envoy.resource_limits.listener.c.connection_limit", "many"]]) },
  ]; // biome-ignore format: a table
  assert.deepEqual(runtimeLimits(layers), { listeners: { "a.b": 10 }, connections: 50 });
  assert.deepEqual(runtimeLimits([]), { listeners: {}, connections: undefined });
});
