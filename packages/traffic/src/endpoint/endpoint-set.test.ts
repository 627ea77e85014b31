import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "@heddle/base";
import { endpointConfig, endpointsConfig, locality } from "./endpoint-fixtures.ts";
import { buildEndpointSet, EndpointSetBuilder } from "./endpoint-set.ts";
import type { EndpointsConfig } from "./endpoints-config.ts";

describe("endpoint set", () => {
  it("keeps the object of an address that stays, with its counters, and takes over what is said of it now", () => {
    const first = buildEndpointSet(endpointsConfig([locality([endpointConfig("a"), endpointConfig("b")])]));
    const a = first.byKey.get("a:80")!;
    a.activeRequests = 3;
    const builder = new EndpointSetBuilder(
      endpointsConfig([locality([endpointConfig("c"), endpointConfig("a", { loadBalancingWeight: 9 })])]),
      first,
    );
    const second = builder.finish();
    assert.equal(second.byKey.get("a:80"), a);
    assert.equal(a.activeRequests, 3);
    assert.equal(a.weight, 9);
    assert.deepEqual(
      builder.removed.map(({ key }) => key),
      ["b:80"],
    );
  });

  it("holds of an endpoint of which nothing new is said what came last, before it is finished", () => {
    const metadata = (version: string) => ({ heddle: { h2: true, version } });
    const config = (version: string): EndpointsConfig => {
      const [shared, own] = [metadata("1"), metadata(version)];
      return endpointsConfig([
        locality([
          endpointConfig("a", { metadata: shared }),
          endpointConfig("b", { metadata: shared }),
          endpointConfig("c", { metadata: own }),
        ]),
      ]);
    };
    const first = buildEndpointSet(config("1"));
    const next = config("2");
    const builder = new EndpointSetBuilder(next, first);
    while (!builder.step(0, new ManualClock()));
    const held = () => ["a:80", "b:80", "c:80"].map((key) => first.byKey.get(key)?.config);
    const [a, b, c] = next.localities[0]!.endpoints;
    assert.deepEqual(
      held().map((one) => one?.metadata["heddle"]?.["version"]),
      ["1", "1", "1"],
    );
    assert.deepEqual([held()[0] === a, held()[1] === b, held()[2] === c], [true, true, false]);
    builder.finish();
    assert.equal(held()[2], c);
  });

  it("says whether all weights are equal", () => {
    const weights = (...all: readonly number[]): EndpointsConfig =>
      endpointsConfig(
        all.map((loadBalancingWeight, i) => locality([endpointConfig(`e${i}`, { loadBalancingWeight })])),
      );
    assert.equal(buildEndpointSet(weights()).equalWeights, true);
    assert.equal(buildEndpointSet(weights(3, 3, 3)).equalWeights, true);
    assert.equal(buildEndpointSet(weights(3, 3, 4)).equalWeights, false);
    assert.equal(buildEndpointSet(weights(3, 3), buildEndpointSet(weights(1, 2))).equalWeights, true);
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

  it("is the same when it is built in slices, and changes nothing of the one before until it is finished", () => {
    const named = (from: number, to: number, weight: number): EndpointsConfig =>
      endpointsConfig([
        locality(
          Array.from({ length: to - from }, (_, i) => endpointConfig(`e${from + i}`, { loadBalancingWeight: weight })),
        ),
      ]);
    const before = buildEndpointSet(named(0, 300, 1));
    const builder = new EndpointSetBuilder(named(100, 400, 2), before);
    const clock = new ManualClock();
    let slices = 1;
    while (!builder.step(0, clock)) slices += 1;
    assert.ok(slices > 5, `${slices} slices`);
    assert.equal(before.byKey.get("e150:80")?.weight, 1);
    const set = builder.finish();
    assert.deepEqual(
      [...set.byKey.keys()],
      Array.from({ length: 300 }, (_, i) => `e${100 + i}:80`),
    );
    assert.equal(set.byKey.get("e150:80"), before.byKey.get("e150:80"));
    assert.equal(before.byKey.get("e150:80")?.weight, 2);
    assert.deepEqual(
      builder.removed.map(({ key }) => key),
      Array.from({ length: 100 }, (_, i) => `e${i}:80`),
    );
  });
});
