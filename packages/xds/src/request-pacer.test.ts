import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { RequestPacer } from "./request-pacer.ts";

test("a burst goes out at once, the rest as tokens come, in order", () => {
  const clock = new ManualClock();
  const sent: string[] = [];
  const waiting: number[] = [];
  const limit = { maxTokens: 2, fillRatePerSecond: 4 };
  const pacer = new RequestPacer(
    limit,
    clock,
    (request) => sent.push(request.toString()),
    (count) => waiting.push(count),
  );
  pacer.push(["a", "b", "c"].map((text) => Buffer.from(text)));
  pacer.push([Buffer.from("d")]);
  assert.deepEqual(sent, ["a", "b"]);
  clock.advance(250);
  assert.deepEqual(sent, ["a", "b", "c"]);
  clock.advance(250);
  assert.deepEqual(sent, ["a", "b", "c", "d"]);
  assert.deepEqual(waiting, [1, 2, 1, 0]);
  assert.equal(clock.pending, 0);
});

test("what waited for a stream that is gone is dropped", () => {
  const clock = new ManualClock();
  const pacer = new RequestPacer(
    { maxTokens: 1, fillRatePerSecond: 1 },
    clock,
    () => undefined,
    () => undefined,
  );
  pacer.push([Buffer.from("a"), Buffer.from("b")]);
  pacer.clear();
  assert.equal(clock.pending, 0);
});
