import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { RejectionLimit } from "./rejection-limit.ts";

test("a hundred rejections are taken as they come, then ten a second", () => {
  const clock = new ManualClock();
  const limit = new RejectionLimit(clock);
  for (let i = 0; i < 100; i++) assert.equal(limit.rejected(), 0);
  for (let i = 0; i < 50; i++) {
    const waitMs = limit.rejected();
    assert.equal(waitMs, 100);
    clock.advance(waitMs);
  }
});

test("what was not used in ten seconds is there again, and not more", () => {
  const clock = new ManualClock();
  const limit = new RejectionLimit(clock);
  for (let i = 0; i < 100; i++) limit.rejected();
  clock.advance(1_000);
  for (let i = 0; i < 10; i++) assert.equal(limit.rejected(), 0);
  assert.ok(limit.rejected() > 0);
  clock.advance(3_600_000);
  for (let i = 0; i < 100; i++) assert.equal(limit.rejected(), 0);
  assert.ok(limit.rejected() > 0);
});
