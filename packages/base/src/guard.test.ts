import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "./clock.ts";
import { guarded, guardedClock, placeOfThrow, ThrowPlaces } from "./guard.ts";

describe("a guarded clock", () => {
  test("hands on what a timer throws, and the next timer fires", () => {
    const manual = new ManualClock();
    const thrown: unknown[] = [];
    const clock = guardedClock(manual, (error) => thrown.push(error));
    const fired: string[] = [];
    clock.after(10, () => {
      throw new Error("first");
    });
    clock.after(10, () => void fired.push("second"));
    const cancelled = clock.after(10, () => void fired.push("never"));
    cancelled.cancel();
    manual.advance(10);
    assert.deepEqual(fired, ["second"]);
    assert.match(String(thrown), /first/);
    assert.equal(clock.now(), 10);
    assert.equal(clock.wallNow(), manual.wallNow());
  });
});

test("a guarded callback gets its parameters, and what it throws goes elsewhere", () => {
  const thrown: unknown[] = [];
  const got: number[] = [];
  const callback = guarded(
    (n: number) => {
      got.push(n);
      if (n === 2) throw new Error("two");
    },
    (error) => thrown.push(error),
  );
  for (const n of [1, 2, 3]) callback(n);
  assert.deepEqual(got, [1, 2, 3]);
  assert.equal(thrown.length, 1);
});

describe("the place of a throw", () => {
  const throwAt = (n: number): unknown => {
    try {
      throw new Error(`request ${n}`);
    } catch (error) {
      return error;
    }
  };

  test("is the same whatever the message says, and told of once", () => {
    const places = new ThrowPlaces();
    const told = [1, 2, 3].filter((n) => places.isNew(throwAt(n)));
    assert.deepEqual(told, [1]);
    assert.equal(places.isNew(new TypeError("elsewhere")), true);
  });

  test("is bounded in number, and something even where no Error was thrown", () => {
    const places = new ThrowPlaces();
    let told = 0;
    for (let n = 0; n < 200; n++) {
      const error = new Error("x");
      error.stack = `Error: x\n    at place${n} (file.ts:${n}:1)`;
      if (places.isNew(error)) told++;
    }
    assert.equal(told, 100);
    assert.notEqual(placeOfThrow("a string"), "");
    assert.notEqual(placeOfThrow(undefined), "");
  });
});
