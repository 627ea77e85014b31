import assert from "node:assert/strict";
import { test } from "node:test";
import { Live, ManualClock } from "@heddle/base";
import { DrainDecision, type DrainSubject } from "./drain-decision.ts";
import { type DrainOptions, SERVING, type ServingState } from "./serving-state.ts";

const GRADUAL: DrainOptions = { strategy: "gradual", timeMs: 1000 };
const IMMEDIATE: DrainOptions = { strategy: "immediate", timeMs: 1000 };
const LISTENER: DrainSubject = { drainType: "DEFAULT", trafficDirection: "UNSPECIFIED" };

function make(options: DrainOptions, subject = LISTENER) {
  const clock = new ManualClock();
  const serving = new Live<ServingState>(SERVING);
  const dice = { value: 0 };
  const decision = new DrainDecision(clock, () => dice.value, options, serving, subject);
  return { clock, serving, dice, decision };
}

test("nothing closes while everything serves", () => {
  const { decision } = make(IMMEDIATE);
  assert.equal(decision.active, false);
  assert.equal(decision.closes(), false);
});

test("drained at once, each answer closes from the first on", () => {
  const { decision } = make(IMMEDIATE);
  decision.begin();
  assert.equal(decision.active, true);
  assert.equal(decision.closes(), true);
});

test("drained gradually, the chance of closing grows with the time that has passed", () => {
  const { decision, clock, dice } = make(GRADUAL);
  decision.begin();
  const closing = (): number => {
    let count = 0;
    for (dice.value = 0; dice.value < 5000; dice.value += 10) if (decision.closes()) count++;
    return count / 500;
  };
  assert.equal(closing(), 0);
  clock.advance(250);
  assert.equal(closing(), 0.25);
  clock.advance(500);
  assert.equal(closing(), 0.75);
  clock.advance(250);
  assert.equal(closing(), 1);
  clock.advance(1000);
  assert.equal(closing(), 1);
});

test("no time to drain in closes at once", () => {
  const { decision } = make({ strategy: "gradual", timeMs: 0 });
  decision.begin();
  assert.equal(decision.closes(), true);
});

test("a failed health check closes with each answer, until it is taken back", () => {
  const { decision, serving } = make(GRADUAL);
  serving.publish({ ...SERVING, healthCheckFailed: true });
  assert.equal(decision.closes(), true);
  serving.publish(SERVING);
  assert.equal(decision.active, false);
  assert.equal(decision.closes(), false);
});

test("a listener that drains for changes only takes no notice of health, and still drains when it is gone", () => {
  const { decision, serving } = make(IMMEDIATE, { ...LISTENER, drainType: "MODIFY_ONLY" });
  serving.publish({ ...SERVING, healthCheckFailed: true });
  assert.equal(decision.closes(), false);
  decision.begin();
  assert.equal(decision.closes(), true);
});

test("a drain of the inbound listeners leaves the others alone", () => {
  const draining = { sinceWallMs: 0, inboundOnly: true };
  for (const trafficDirection of ["INBOUND", "OUTBOUND", "UNSPECIFIED"] as const) {
    const { decision, serving } = make(IMMEDIATE, { ...LISTENER, trafficDirection });
    serving.publish({ ...SERVING, draining });
    assert.equal(decision.closes(), trafficDirection === "INBOUND", trafficDirection);
    serving.publish({ ...SERVING, draining: { ...draining, inboundOnly: false } });
    assert.equal(decision.closes(), true);
  }
});

test("what began before the listener was made is seen, and after its end nothing is", () => {
  const serving = new Live<ServingState>({ ...SERVING, healthCheckFailed: true });
  const decision = new DrainDecision(new ManualClock(), () => 0, GRADUAL, serving, LISTENER);
  assert.equal(decision.closes(), true);
  decision.close();
  serving.publish(SERVING);
  assert.equal(decision.active, true, "it does not listen any more");
});
