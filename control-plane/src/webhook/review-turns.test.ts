import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ReviewTurns } from "./review-turns.ts";

test("turns come in the order in which they were asked for, one in each turn of the event loop", async () => {
  const turns = new ReviewTurns();
  const seen: string[] = [];
  const reviews = ["a", "b", "c"].map(async (name) => {
    await turns.next();
    seen.push(name);
  });
  for (const expected of ["a", "ab", "abc"]) {
    await setImmediate();
    assert.equal(seen.join(""), expected);
  }
  await Promise.all(reviews);
  await turns.next(); // it begins anew
});
