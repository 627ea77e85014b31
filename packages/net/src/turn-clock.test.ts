import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { enterCallback, leaveCallback } from "./flush-queue.ts";
import { TurnClock } from "./turn-clock.ts";

test("time stands still within a callback, also within one that it contains, and goes on with the next", () => {
  const inner = new ManualClock();
  const clock = new TurnClock(inner);
  const epoch = inner.wallNow();
  enterCallback();
  assert.deepEqual([clock.now(), clock.wallNow()], [0, epoch]);
  inner.advance(5);
  enterCallback();
  assert.deepEqual([clock.now(), clock.wallNow()], [0, epoch]);
  leaveCallback();
  assert.deepEqual([clock.now(), clock.wallNow()], [0, epoch]);
  leaveCallback();
  enterCallback();
  assert.deepEqual([clock.now(), clock.wallNow()], [5, epoch + 5]);
  leaveCallback();
});

test("outside of callbacks it is the clock beneath it, timers always are", () => {
  const inner = new ManualClock();
  const clock = new TurnClock(inner);
  inner.advance(1);
  assert.equal(clock.now(), 1);
  inner.advance(1);
  assert.equal(clock.now(), 2);
  let fired = 0;
  enterCallback();
  clock.after(10, () => fired++);
  clock.after(10, () => assert.fail("it was cancelled")).cancel();
  leaveCallback();
  inner.advance(10);
  assert.equal(fired, 1);
  assert.equal(inner.pending, 0);
});
