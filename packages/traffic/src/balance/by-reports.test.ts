import assert from "node:assert/strict";
import { test } from "node:test";
import { byReports } from "./by-reports.ts";
import { makeEndpoints, pickedEndpoint, seededRandom } from "./picker-contract.ts";

test("a picker that lives for one pick gives shares by weight, too", () => {
  const endpoints = makeEndpoints([1, 1, 1]);
  for (const [i, weight] of [9, 3, 0.5].entries()) endpoints[i]!.beginReports().weight = weight;
  const random = seededRandom(7);
  const counts = [0, 0, 0];
  for (let i = 0; i < 12_500; i++) counts[endpoints.indexOf(pickedEndpoint(byReports(endpoints, random)))]! += 1;
  for (const [i, expected] of [9000, 3000, 500].entries()) {
    const off = Math.abs(counts[i]! - expected);
    assert.ok(off < 4 * Math.sqrt(expected), `${counts[i]} picks of endpoint ${i}, expected ${expected}`);
  }
});
