import assert from "node:assert/strict";
import { test } from "node:test";
import type { RuntimeValues } from "@heddle/traffic";
import { runtimeLimits } from "./runtime-limits.ts";

test("limits on connections come from runtime keys, of the last layer that has them", () => {
  const layers = [
    {
      "envoy.resource_limits.listener.a.b.connection_limit": 10,
      "overload.global_downstream_max_connections": 100,
    },
    { "overload.global_downstream_max_connections": "50", other: 1 },
    { "envoy.resource_limits.listener.c.connection_limit": "many" },
  ].map((values, index) => ({ name: `${index}`, type: "static", values: values as RuntimeValues }) as const);
  assert.deepEqual(runtimeLimits(layers), { listeners: { "a.b": 10 }, connections: 50 });
  assert.deepEqual(runtimeLimits([]), { listeners: {}, connections: undefined });
});
