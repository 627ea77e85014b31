import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "./clock.ts";
import { type Drainable, DrainGroup } from "./drain.ts";

class Unit implements Drainable {
  readonly calls: string[] = [];
  drain(): void {
    this.calls.push("drain");
  }
  destroy(): void {
    this.calls.push("destroy");
  }
}

describe("drain group", () => {
  it("asks every unit to finish and ends when the last has left", async () => {
    const clock = new ManualClock();
    const group = new DrainGroup<Unit>(clock);
    const [a, b] = [new Unit(), new Unit()];
    group.add(a);
    group.add(b);
    const done = group.drain(1000);
    assert.deepEqual([a.calls, b.calls], [["drain"], ["drain"]]);
    group.delete(a);
    group.delete(b);
    assert.equal(await done, 0);
    assert.equal(clock.pending, 0);
  });

  it("ends at the deadline what is left and says how many", async () => {
    const clock = new ManualClock();
    const group = new DrainGroup<Unit>(clock);
    const [quick, stuck] = [new Unit(), new Unit()];
    group.add(quick);
    group.add(stuck);
    const done = group.drain(1000);
    group.delete(quick);
    clock.advance(999);
    assert.deepEqual(stuck.calls, ["drain"]);
    clock.advance(1);
    assert.deepEqual(stuck.calls, ["drain", "destroy"]);
    assert.equal(await done, 1);
    assert.equal(group.size, 0);
  });

  it("ends earlier when it is asked again with less time, and never later", async () => {
    const clock = new ManualClock();
    const group = new DrainGroup<Unit>(clock);
    const stuck = new Unit();
    group.add(stuck);
    const done = group.drain(1000);
    const again = group.drain(100);
    void group.drain(5000);
    clock.advance(99);
    assert.deepEqual(stuck.calls, ["drain"]);
    clock.advance(1);
    assert.deepEqual(stuck.calls, ["drain", "destroy"]);
    assert.deepEqual([await done, await again], [1, 1]);
    assert.equal(clock.pending, 0);
    assert.equal(await group.drain(10), 1);
    assert.equal(clock.pending, 0, "what is done sets no timer");
  });

  it("is done at once when it is empty, and asks those who come later to finish", async () => {
    const clock = new ManualClock();
    const group = new DrainGroup<Unit>(clock);
    assert.equal(await group.drain(1000), 0);
    assert.equal(clock.pending, 0);
    const late = new Unit();
    group.add(late);
    assert.deepEqual(late.calls, ["drain"]);
    assert.equal(await group.drain(1000), 0, "a second call is the first one's");
  });
});
