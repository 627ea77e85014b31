import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { CallRate } from "./call-rate.ts";

test("each has its burst, and then what time brings", () => {
  const clock = new ManualClock();
  const rate = new CallRate(clock, { burst: 3, perSecond: 0.5 });
  assert.deepEqual([rate.take("a"), rate.take("a"), rate.take("a"), rate.take("a")], [0, 0, 0, 2]);
  assert.equal(rate.take("b"), 0);
  clock.advance(2000);
  assert.deepEqual([rate.take("a"), rate.take("a")], [0, 2]);
  clock.advance(3_600_000);
  assert.deepEqual([rate.take("a"), rate.take("a"), rate.take("a"), rate.take("a")], [0, 0, 0, 2]);
});

test("many names do not make one forgotten that is in use", () => {
  const clock = new ManualClock();
  const rate = new CallRate(clock, { burst: 1, perSecond: 0.001 });
  for (let index = 0; index < 25_000; index += 1) {
    rate.take(`name ${index}`);
    const wait = rate.take("busy");
    assert.ok(index === 0 || wait > 0);
  }
});
