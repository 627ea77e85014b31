import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { leastRequest } from "./least-request.ts";
import { makeEndpoints, pickedEndpoint, seededRandom } from "./picker-contract.ts";
import { roundRobin } from "./round-robin.ts";
import { WeightedDraw } from "./weighted-draw.ts";
import { WeightedSchedule } from "./weighted-schedule.ts";

const NO_PHASE = (): number => 0;

describe("round robin", () => {
  it("takes the endpoints in their order, beginning at a random one", () => {
    const endpoints = makeEndpoints([1, 1, 1]);
    const picker = roundRobin(endpoints, () => 4);
    const order = [0, 1, 2, 3].map(() => endpoints.indexOf(pickedEndpoint(picker)));
    assert.deepEqual(order, [1, 2, 0, 1]);
  });
});

describe("weighted schedule", () => {
  it("spreads the turns of a heavy place", () => {
    const schedule = new WeightedSchedule([3, 1, 1], NO_PHASE);
    assert.deepEqual(
      Array.from({ length: 10 }, () => schedule.next()),
      [0, 0, 1, 2, 0, 0, 0, 1, 2, 0],
    );
    const even = new WeightedSchedule([4, 2], NO_PHASE);
    assert.deepEqual(
      Array.from({ length: 6 }, () => even.next()),
      [0, 1, 0, 0, 1, 0],
    );
  });

  it("gives each place exactly its weight in every cycle, and is never a whole turn behind", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 }),
        fc.nat(),
        (weights, seed) => {
          const schedule = new WeightedSchedule(weights, seededRandom(seed));
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          for (let cycle = 1; cycle <= 3; cycle++) {
            const counts = weights.map(() => 0);
            for (let pick = 1; pick <= total; pick++) {
              const place = schedule.next();
              counts[place] = counts[place]! + 1;
              // EDF serves a place at most one turn ahead of its share; so the others are at most one behind each.
              for (const [i, count] of counts.entries())
                assert.ok(count <= (pick * weights[i]!) / total + weights.length);
            }
            assert.deepEqual(counts, weights);
          }
        },
      ),
      { seed: 31, numRuns: 200 },
    );
  });
});

describe("weighted draw", () => {
  it("gives every number its place, and over a cycle exactly the weights", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 8 }), (weights) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        fc.pre(total > 0);
        const draw = new WeightedDraw(weights);
        const counts = weights.map(() => 0);
        for (let random = 0; random < total; random++) {
          const place = draw.place(random);
          counts[place] = counts[place]! + 1;
        }
        assert.deepEqual(counts, weights);
      }),
      { seed: 32, numRuns: 200 },
    );
  });
});

describe("least request", () => {
  const OPTIONS = { choiceCount: 2, bias: { value: 1 } };

  it("takes the less busy of two that are drawn", () => {
    const endpoints = makeEndpoints([1, 1]);
    endpoints[0].activeRequests = 5;
    const draws = [0, 1, 1, 0, 0, 0];
    const picker = leastRequest(endpoints, () => draws.shift()!, OPTIONS);
    assert.equal(pickedEndpoint(picker), endpoints[1]);
    assert.equal(pickedEndpoint(picker), endpoints[1]);
    assert.equal(pickedEndpoint(picker), endpoints[0], "drawn twice, so it is taken");
  });

  it("keeps a stuck endpoint nearly free of new exchanges", () => {
    const endpoints = makeEndpoints([1, 1, 1, 1]);
    endpoints[2]!.activeRequests = 1000;
    const picker = leastRequest(endpoints, seededRandom(9), OPTIONS);
    let stuck = 0;
    for (let i = 0; i < 4000; i++) if (pickedEndpoint(picker) === endpoints[2]) stuck++;
    assert.ok(stuck < 4000 / 12, `${stuck} of 4000`); // both draws must hit it: one in 16
  });

  it("lowers a weight by the load, as far as the bias says", () => {
    const shares = (value: number): number => {
      const endpoints = makeEndpoints([2, 1]);
      endpoints[0].activeRequests = 3;
      const picker = leastRequest(endpoints, () => 0, { choiceCount: 2, bias: { value } });
      let heavy = 0;
      for (let i = 0; i < 3000; i++) if (pickedEndpoint(picker) === endpoints[0]) heavy++;
      return heavy;
    };
    assert.equal(shares(0), 2000); // 2 : 1
    assert.equal(shares(1), 1000); // 2/4 : 1
    assert.ok(Math.abs(shares(2) - 333) <= 1); // 2/16 : 1
  });
});
