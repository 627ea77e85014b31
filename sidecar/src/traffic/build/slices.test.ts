import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "@heddle/base";
import { COLLECT_AFTER_BYTES, SLICE_MS, Slices } from "./slices.ts";

describe("slices", () => {
  it("last as long as they may, each in a turn of its own", async () => {
    const clock = new ManualClock();
    const slices = new Slices(clock);
    assert.equal(slices.leftMs, SLICE_MS);
    clock.advance(SLICE_MS);
    assert.equal(slices.leftMs, 0);
    const turns = countTurns();
    await slices.next();
    assert.deepEqual([turns(), slices.leftMs], [1, SLICE_MS]);
  });

  it("have the young generation collected where they have left much in it, which takes another turn", async () => {
    const heap = new FakeHeap();
    const slices = new Slices(new ManualClock(), heap);
    heap.used += COLLECT_AFTER_BYTES - 1;
    const turns = countTurns();
    await slices.next();
    assert.deepEqual([turns(), heap.collected], [1, 0]);
    heap.used += 1;
    await slices.next();
    assert.deepEqual([turns(), heap.collected], [3, 1]);
    await slices.next(); // what has stayed is no reason for another collection
    assert.deepEqual([turns(), heap.collected], [4, 1]);
  });

  it("leave it alone where traffic has just had it collected", async () => {
    const heap = new FakeHeap();
    const slices = new Slices(new ManualClock(), heap);
    heap.used = 0;
    await slices.next();
    heap.used = COLLECT_AFTER_BYTES - 1;
    await slices.next();
    assert.equal(heap.collected, 0);
    heap.used = COLLECT_AFTER_BYTES;
    await slices.next();
    assert.equal(heap.collected, 1);
  });
});

/** How many turns of the event loop have begun since. */
function countTurns(): () => number {
  let turns = 0;
  const count = (): void => {
    turns += 1;
    setImmediate(count).unref();
  };
  setImmediate(count).unref();
  return () => turns;
}

/** All that is in it stays. */
class FakeHeap {
  used = 10 * COLLECT_AFTER_BYTES;
  collected = 0;

  usedBytes(): number {
    return this.used;
  }

  collectYoung(): void {
    this.collected += 1;
  }
}
