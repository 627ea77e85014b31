import assert from "node:assert/strict";
import { test } from "node:test";
import { flagSource, fractionOf, fractionSource, LiveRuntime, numberOf, numberSource } from "./live-runtime.ts";

test("a fraction without a key is itself", () => {
  const fraction = { numerator: 1, denominator: 100 };
  assert.equal(fractionSource(fraction, new LiveRuntime()), fraction);
});

test("a fraction with a key is what the runtime says at each look, else what it was configured with", () => {
  const runtime = new LiveRuntime();
  const source = fractionSource({ numerator: 1, denominator: 100, runtimeKey: "a.b" }, runtime);
  assert.deepEqual([source.numerator, source.denominator], [1, 100]);
  runtime.publish({ "a.b": { numerator: 7, denominator: "MILLION" } });
  assert.deepEqual([source.numerator, source.denominator], [7, 1_000_000]);
  runtime.publish({ "a.c": 1 });
  assert.deepEqual([source.numerator, source.denominator], [1, 100]);
});

test("a whole number is a percentage, and above 100 it is all, as in Envoy", () => {
  assert.deepEqual(fractionOf(25), { numerator: 25, denominator: 100 });
  assert.deepEqual(fractionOf("25"), { numerator: 25, denominator: 100 });
  assert.deepEqual(fractionOf(1000), { numerator: 100, denominator: 100 });
  assert.deepEqual(fractionOf({ numerator: 3 }), { numerator: 3, denominator: 100 });
  assert.deepEqual(fractionOf({ numerator: 3, denominator: 1 }), { numerator: 3, denominator: 10_000 });
});

test("what is no fraction leaves the one that was configured", () => {
  for (const value of [undefined, null, true, "half", 0.5, -1, [], { numerator: -1 }, { denominator: "TEN" }])
    assert.equal(fractionOf(value), undefined, JSON.stringify(value));
});

test("numbers are whole and not negative, unless whoever reads them takes others", () => {
  const runtime = new LiveRuntime();
  const whole = numberSource(5, "n", runtime);
  const any = numberSource(5, "n", runtime, numberOf);
  assert.deepEqual([whole.value, any.value], [5, 5]);
  runtime.publish({ n: 0.25 });
  assert.deepEqual([whole.value, any.value], [5, 0.25]);
  runtime.publish({ n: "8" });
  assert.deepEqual([whole.value, any.value], [8, 8]);
  assert.equal(numberSource(3, undefined, runtime).value, 3);
});

test("a key that every object has is none of the runtime", () => {
  assert.equal(new LiveRuntime().get("constructor"), undefined);
});

test("a flag is what the runtime says under its key, where that is a flag", () => {
  const runtime = new LiveRuntime();
  const flag = flagSource(true, "deny", runtime);
  assert.equal(flag.value, true);
  runtime.publish({ deny: false });
  assert.equal(flag.value, false);
  runtime.publish({ deny: "maybe" });
  assert.equal(flag.value, true);
  assert.equal(flagSource(false, undefined, runtime).value, false);
});
