import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedLook } from "./shared-look.ts";

test("however many ask, one look runs at a time, and nobody gets one that began before they asked", async () => {
  const ends: ((seen: number) => void)[] = [];
  const shared = new SharedLook<number>(() => new Promise((resolve) => ends.push(resolve)));
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const first = shared.take();
  const later = [shared.take(), shared.take(), shared.take()];
  assert.equal(ends.length, 1);
  ends[0]!(1);
  assert.equal(await first, 1);
  await settled();
  assert.equal(ends.length, 2, "those who waited share one");
  const last = shared.take();
  ends[1]!(2);
  assert.deepEqual(await Promise.all(later), [2, 2, 2]);
  await settled();
  assert.equal(ends.length, 3);
  ends[2]!(3);
  assert.equal(await last, 3);
  await settled();
  void shared.take();
  assert.equal(ends.length, 4, "when nothing is under way it begins at once");
});
