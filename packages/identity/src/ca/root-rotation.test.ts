import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import fc from "fast-check";
import {
  advanceRotation,
  beginRotation,
  nextRotationStepMs,
  publishedRoots,
  type RootRotation,
  readRotation,
  rotationJson,
  signingRoot,
  steady,
} from "./root-rotation.ts";

const TIMES = { publishMs: 1000, retireMs: 5000 };

test("a new root is published, then signs, and then the old one leaves the bundle", () => {
  let rotation = begun(steady("old"), "new", 0);
  assert.deepEqual([signingRoot(rotation), publishedRoots(rotation)], ["old", ["old", "new"]]);
  assert.equal(nextRotationStepMs(rotation), 1000);

  assert.equal(advanceRotation(rotation, 999, TIMES), rotation);
  rotation = advanceRotation(rotation, 1000, TIMES);
  assert.deepEqual([signingRoot(rotation), publishedRoots(rotation)], ["new", ["new", "old"]]);
  assert.equal(nextRotationStepMs(rotation), 6000);

  assert.equal(advanceRotation(rotation, 5999, TIMES), rotation);
  rotation = advanceRotation(rotation, 6000, TIMES);
  assert.deepEqual(rotation, steady("new"));
  assert.equal(nextRotationStepMs(rotation), undefined);
});

test("whoever sleeps through both steps does not lose the old root while what it has signed is valid", () => {
  const late = advanceRotation(begun(steady("old"), "new", 0), 1_000_000, TIMES);
  assert.deepEqual(publishedRoots(late), ["new", "old"]);
  assert.equal(nextRotationStepMs(late), 1_005_000);
});

test("a rotation begins only when none is under way, and with another root", () => {
  const rotation = begun(steady("old"), "new", 0);
  const again = beginRotation(rotation, "third", 1, TIMES);
  assert.match(again.ok ? "" : again.error, /under way, its next step is at 1970-01-01T00:00:01/);
  assert.equal(beginRotation(steady("old"), "old", 0, TIMES).ok, false);
});

test("what signs is published, at every step from every state", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant("begin" as const), fc.nat(10_000))), (steps) => {
      let rotation: RootRotation = steady("0");
      let nowMs = 0;
      for (const [index, step] of steps.entries()) {
        const before = publishedRoots(rotation);
        if (step === "begin") {
          const next = beginRotation(rotation, `${index + 1}`, nowMs, TIMES);
          if (next.ok) rotation = next.value;
        } else {
          nowMs += step;
          rotation = advanceRotation(rotation, nowMs, TIMES);
          assert.ok(before.includes(signingRoot(rotation)), "what signs has been published before");
        }
        assert.ok(publishedRoots(rotation).includes(signingRoot(rotation)));
        assert.deepEqual(readRotation(JSON.parse(JSON.stringify(rotationJson(rotation)))), {
          ok: true,
          value: rotation,
        });
      }
    }),
  );
});

test("JSON that is no state is refused", () => {
  const wrong: Json[] = [
    null,
    {},
    { type: "steady" },
    { type: "publishing", active: "a" },
    { type: "publishing", active: "a", next: "b", untilMs: "1" },
    { type: "retiring", active: "a", next: "b", untilMs: 1 },
    { type: "other", active: "a" },
  ];
  for (const json of wrong) assert.equal(readRotation(json).ok, false, JSON.stringify(json));
});

function begun(rotation: RootRotation, next: string, nowMs: number): RootRotation {
  const begun = beginRotation(rotation, next, nowMs, TIMES);
  assert.ok(begun.ok);
  return begun.value;
}
