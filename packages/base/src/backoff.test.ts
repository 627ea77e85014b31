import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Backoff, backoffMs } from "./backoff.ts";

describe("back-off", () => {
  it("doubles up to its maximum and begins anew after a reset", () => {
    const backoff = new Backoff({ baseMs: 100, maxMs: 500 }, () => 0.5);
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => backoff.nextMs()),
      [50, 100, 200, 250, 250],
    );
    backoff.reset();
    assert.equal(backoff.nextMs(), 50);
  });

  it("never leaves its bounds, however often it is asked", () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
        const ms = backoffMs(attempt, { baseMs: 25, maxMs: 250 }, () => random);
        return ms >= 0 && ms <= Math.min(250, 25 * 2 ** attempt);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});
