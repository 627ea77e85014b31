import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HeaderMap, RequestHead } from "@heddle/http";
import { Endpoint } from "../endpoint/endpoint.ts";
import { type BalancerPolicy, isNonEmpty, type NonEmpty, type Picker, type Random } from "./picker.ts";

/**
 * What every balancing policy promises, as tests. A new policy adds one line to `picker-contract.test.ts`.
 *
 * - it picks an endpoint always, and only of its list;
 * - without load and with equal weights it gives every endpoint the same share, within `tolerance`;
 * - with weights it gives shares by weight, within `tolerance`;
 * - it hands out the same objects again and again: a pick allocates nothing.
 */
export function pickerContract(
  name: string,
  policy: BalancerPolicy,
  { tolerance }: { readonly tolerance: number },
): void {
  describe(`${name} keeps the contract of pickers`, () => {
    it("picks only endpoints of its list, also of a list of one", () => {
      for (const size of [1, 2, 7]) {
        const endpoints = makeEndpoints(new Array<number>(size).fill(1));
        const known = new Set<Endpoint>(endpoints);
        const picker = policy(endpoints, seededRandom(1));
        for (let i = 0; i < 100; i++) assert.ok(known.has(pickedEndpoint(picker)));
      }
    });

    it("spreads evenly where weights are equal", () => {
      assertShares(policy, [1, 1, 1, 1, 1], tolerance);
      assertShares(policy, [7, 7], tolerance);
    });

    it("spreads by weight where they differ", () => {
      assertShares(policy, [1, 3], tolerance);
      assertShares(policy, [5, 1, 1, 2, 3], tolerance);
    });

    it("hands out objects that were made before", () => {
      for (const weights of [
        [1, 1, 1],
        [1, 2, 3],
      ]) {
        const picker = policy(makeEndpoints(weights), seededRandom(3));
        const seen = new Set(Array.from({ length: 1000 }, () => picker.pick(REQUEST)));
        assert.equal(seen.size, 3);
      }
    });
  });
}

/** Endpoints 10.0.0.1, 10.0.0.2 … with these weights. */
export function makeEndpoints(weights: readonly number[]): NonEmpty<Endpoint> {
  const endpoints = weights.map(
    (loadBalancingWeight, i) =>
      new Endpoint({
        address: { type: "socket", address: `10.0.0.${i + 1}`, port: 80 },
        hostname: "",
        healthStatus: "HEALTHY",
        loadBalancingWeight,
        metadata: {},
      }),
  );
  if (!isNonEmpty(endpoints)) throw new Error("weights of at least one endpoint");
  return endpoints;
}

export function pickedEndpoint(picker: Picker): Endpoint {
  const pick = picker.pick(REQUEST);
  assert.equal(pick.type, "endpoint");
  return pick.endpoint;
}

/** mulberry32: the same numbers in every run. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 1;
  };
}

const REQUEST = new RequestHead("GET", "http", "example.com", "/", new HeaderMap());

function assertShares(policy: BalancerPolicy, weights: readonly number[], tolerance: number): void {
  const endpoints = makeEndpoints(weights);
  const picker = policy(endpoints, seededRandom(2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const rounds = 1000;
  const counts = new Map<Endpoint, number>();
  for (let i = 0; i < rounds * total; i++) {
    const endpoint = pickedEndpoint(picker);
    counts.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }
  for (const [i, endpoint] of endpoints.entries()) {
    const expected = rounds * weights[i]!;
    const actual = counts.get(endpoint) ?? 0;
    const off = Math.abs(actual - expected) / expected;
    assert.ok(
      off <= tolerance,
      `endpoint ${i} of weights ${weights.join(", ")} got ${actual} picks, expected ${expected}`,
    );
  }
}
