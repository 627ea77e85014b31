import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { endpointConfig, endpointsConfig, locality } from "./endpoint-fixtures.ts";
import { buildEndpointSet, removedEndpoints } from "./endpoint-set.ts";

describe("endpoint set", () => {
  it("keeps the object of an address that stays, with its counters, and takes over what is said of it now", () => {
    const first = buildEndpointSet(endpointsConfig([locality([endpointConfig("a"), endpointConfig("b")])]));
    const a = first.byKey.get("a:80")!;
    a.activeRequests = 3;
    const second = buildEndpointSet(
      endpointsConfig([locality([endpointConfig("c"), endpointConfig("a", { loadBalancingWeight: 9 })])]),
      first,
    );
    assert.equal(second.byKey.get("a:80"), a);
    assert.equal(a.activeRequests, 3);
    assert.equal(a.weight, 9);
    assert.deepEqual(
      removedEndpoints(first, second).map(({ key }) => key),
      ["b:80"],
    );
  });

  it("sorts endpoints by priority, locality and health", () => {
    const set = buildEndpointSet(
      endpointsConfig([
        locality([endpointConfig("low")], { priority: 2 }),
        locality([
          endpointConfig("unknown", { healthStatus: "UNKNOWN" }),
          endpointConfig("degraded", { healthStatus: "DEGRADED" }),
          endpointConfig("draining", { healthStatus: "DRAINING" }),
        ]),
      ]),
    );
    assert.deepEqual(
      set.priorities.map(({ total, healthy, degraded }) => [total, healthy, degraded]),
      [
        [3, 1, 1],
        [0, 0, 0],
        [1, 1, 0],
      ],
    );
    assert.equal(set.priorities[0]!.localities[0]!.name, "region/zone/");
  });

  it("counts an address that is named twice once", () => {
    const set = buildEndpointSet(
      endpointsConfig([locality([endpointConfig("a"), endpointConfig("a")]), locality([endpointConfig("a")])]),
    );
    assert.equal(set.priorities[0]!.total, 1);
    assert.equal(set.byKey.size, 1);
  });

  it("writes keys of sockets and pipes", () => {
    const pipe = endpointConfig("x", { address: { type: "pipe", path: "/run/x.sock", mode: undefined } });
    const v6 = endpointConfig("::1");
    assert.deepEqual(
      [...buildEndpointSet(endpointsConfig([locality([pipe, v6])])).byKey.keys()],
      ["/run/x.sock", "[::1]:80"],
    );
  });
});
