import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failure } from "@heddle/base";
import { HeaderMap, RequestHead } from "@heddle/http";
import fc from "fast-check";
import { endpointConfig, endpointsConfig, locality } from "../endpoint/endpoint-fixtures.ts";
import { buildEndpointSet } from "../endpoint/endpoint-set.ts";
import type { EndpointsConfig, LocalityEndpoints } from "../endpoint/endpoints-config.ts";
import { failingPicker, makePicker, waitingPicker } from "./cluster-picker.ts";
import { seededRandom } from "./picker-contract.ts";
import { type PriorityLoad, priorityLoads } from "./priority-load.ts";

const REQUEST = new RequestHead("GET", "http", "example.com", "/", new HeaderMap());

/** A priority or locality of so many healthy, degraded and sick endpoints, with addresses that tell which. */
function members(
  name: string,
  healthy: number,
  degraded: number,
  sick: number,
  more: Partial<LocalityEndpoints> = {},
): LocalityEndpoints {
  const some = (count: number, healthStatus: "HEALTHY" | "DEGRADED" | "UNHEALTHY") =>
    Array.from({ length: count }, (_, i) =>
      endpointConfig(`${name}-${healthStatus.toLowerCase()}-${i}`, { healthStatus }),
    );
  return locality([...some(healthy, "HEALTHY"), ...some(degraded, "DEGRADED"), ...some(sick, "UNHEALTHY")], more);
}

/** How the picks of a cluster spread over names, in per cent; what failed under the kind of the failure. */
function spread(config: EndpointsConfig, healthyPanicThresholdPercent = 50): Record<string, number> {
  const picker = makePicker(
    buildEndpointSet(config),
    { clusterName: "c", lbPolicy: { type: "round-robin" }, healthyPanicThresholdPercent },
    seededRandom(5),
  );
  const counts: Record<string, number> = {};
  for (let i = 0; i < 20_000; i++) {
    const pick = picker.pick(REQUEST);
    let name = "wait";
    if (pick.type === "endpoint") name = pick.endpoint.key.replace(/-[0-9]+:80$/, "");
    if (pick.type === "fail") name = pick.failure.kind;
    counts[name] = (counts[name] ?? 0) + 1 / 200;
  }
  return Object.fromEntries(Object.entries(counts).map(([name, percent]) => [name, Math.round(percent)]));
}

function assertSpread(actual: Record<string, number>, expected: Record<string, number>): void {
  assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort());
  for (const [name, percent] of Object.entries(expected)) {
    assert.ok(Math.abs(actual[name]! - percent) <= 2, `${name} got ${actual[name]} %, expected ${percent} %`);
  }
}

describe("priority loads", () => {
  const loads = (...priorities: readonly (readonly [number, number, number])[]): readonly PriorityLoad[] =>
    priorityLoads(
      priorities.map(([healthy, degraded, sick]) => ({
        localities: [],
        healthy,
        degraded,
        total: healthy + degraded + sick,
      })),
      { overprovisioningFactorPercent: 140, panicThresholdPercent: 50 },
    );
  const healthyLoads = (...priorities: readonly (readonly [number, number, number])[]) =>
    loads(...priorities).map(({ healthy }) => healthy);

  it("are those of Envoy's documentation", () => {
    // Table of "priority levels": health of P=0 in per cent, the load that P=0 and P=1 get.
    for (const [healthy, first, second] of [
      [100, 100, 0],
      [72, 100, 0],
      [71, 99, 1],
      [50, 70, 30],
      [25, 35, 65],
      [0, 0, 100],
    ] as const) {
      assert.deepEqual(healthyLoads([healthy, 0, 100 - healthy], [100, 0, 0]), [first, second], `${healthy} %`);
    }
  });

  it("spill over three priorities", () => {
    assert.deepEqual(healthyLoads([25, 0, 75], [25, 0, 75], [100, 0, 0]), [35, 35, 30]);
  });

  it("use degraded endpoints where the healthy ones cannot carry the load", () => {
    assert.deepEqual(
      loads([50, 50, 0]).map(({ healthy, degraded, panic }) => [healthy, degraded, panic]),
      [[70, 30, false]],
    );
  });

  it("spread by size when every priority is in panic", () => {
    assert.deepEqual(
      loads([0, 0, 3], [0, 0, 1]).map(({ healthy, panic }) => [healthy, panic]),
      [
        [75, true],
        [25, true],
      ],
    );
  });

  it("sum to 100, or to 0 when there is nobody", () => {
    const count = fc.nat(9);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(count, count, count), { minLength: 1, maxLength: 4 }),
        fc.nat(100),
        (priorities, threshold) => {
          const result = priorityLoads(
            priorities.map(([healthy, degraded, sick]) => ({
              localities: [],
              healthy,
              degraded,
              total: healthy + degraded + sick,
            })),
            { overprovisioningFactorPercent: 140, panicThresholdPercent: threshold },
          );
          const sum = result.reduce((total, { healthy, degraded }) => total + healthy + degraded, 0);
          const usable = priorities.some(([healthy, degraded]) => healthy + degraded > 0);
          const anybody = usable || (threshold > 0 && priorities.some(([, , sick]) => sick > 0));
          assert.equal(sum, anybody ? 100 : 0);
          for (const [i, { healthy, degraded, panic }] of result.entries()) {
            assert.ok(panic || healthy === 0 || priorities[i]![0] > 0, "healthy load where somebody is healthy");
            assert.ok(degraded === 0 || priorities[i]![1] > 0, "degraded load where somebody is degraded");
          }
        },
      ),
      { seed: 41, numRuns: 500 },
    );
  });
});

describe("cluster picker", () => {
  it("picks healthy endpoints only, while they can carry the load", () => {
    assertSpread(spread(endpointsConfig([members("a", 3, 0, 1)])), { "a-healthy": 100 });
  });

  it("picks everybody in panic, and nobody when panic is off and nobody is healthy", () => {
    assertSpread(spread(endpointsConfig([members("a", 1, 0, 3)])), { "a-healthy": 25, "a-unhealthy": 75 });
    assertSpread(spread(endpointsConfig([members("a", 1, 0, 3)]), 0), { "a-healthy": 100 });
    assertSpread(spread(endpointsConfig([members("a", 0, 0, 3)]), 0), { "no-healthy-upstream": 100 });
  });

  it("fails a cluster without endpoints", () => {
    assertSpread(spread(endpointsConfig([])), { "no-healthy-upstream": 100 });
    assertSpread(spread(endpointsConfig([locality([])])), { "no-healthy-upstream": 100 });
  });

  it("spills over priorities", () => {
    const config = endpointsConfig([members("a", 1, 0, 1), members("b", 2, 0, 0, { priority: 1 })]);
    assertSpread(spread(config), { "a-healthy": 70, "b-healthy": 30 });
  });

  it("spreads over localities by their weight, lowered by what is sick", () => {
    const weighted = (sick: number) =>
      endpointsConfig([
        members("a", 1, 0, sick, { loadBalancingWeight: 3 }),
        members("b", 5, 0, 0, { loadBalancingWeight: 1 }),
        members("c", 5, 0, 0, { loadBalancingWeight: 0 }),
      ]);
    assertSpread(spread(weighted(0)), { "a-healthy": 75, "b-healthy": 25 });
    // Half of a is sick: 140 % of one half is 70 % of its weight.
    assertSpread(spread(weighted(1)), { "a-healthy": 68, "b-healthy": 32 });
  });

  it("takes localities without weights as one list", () => {
    const config = endpointsConfig([members("a", 1, 0, 0), members("b", 3, 0, 0)]);
    assertSpread(spread(config), { "a-healthy": 25, "b-healthy": 75 });
  });

  it("drops the share that drop_overload asks for, category after category", () => {
    const config = endpointsConfig([members("a", 1, 0, 0)], {
      dropOverloads: [
        { category: "half", numerator: 50, denominator: 100 },
        { category: "none", numerator: 0, denominator: 100 },
        { category: "tenth", numerator: 100_000, denominator: 1_000_000 },
      ],
    });
    assertSpread(spread(config), { "drop-overload": 55, "a-healthy": 45 });
  });

  it("says of a category that drops all that it does", () => {
    const dropOverloads = [{ category: "all", numerator: 100, denominator: 100 }];
    const config = endpointsConfig([members("a", 1, 0, 0)], { dropOverloads });
    assertSpread(spread(config), { "unconditional-drop-overload": 100 });
  });

  it("says why when it fails, and waits where endpoints are still to come", () => {
    const reason = failure("no-cluster", "local", "no cluster");
    assert.deepEqual(failingPicker(reason).pick(REQUEST), { type: "fail", failure: reason });
    assert.equal(waitingPicker.pick(REQUEST).type, "wait");
  });
});
