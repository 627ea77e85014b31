import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ManualClock } from "./clock.ts";
import { callbackTimer, TimerWheel } from "./timer-wheel.ts";

describe("timer wheel", () => {
  it("fires never early and at most one resolution late", () => {
    const clock = new ManualClock();
    clock.advance(3);
    const wheel = new TimerWheel(clock, 50);
    clock.advance(17);
    const firedAt: number[] = [];
    for (const delay of [1, 50, 120, 30_000, 3_600_000]) {
      const due = clock.now() + delay;
      wheel.start(
        callbackTimer(() => firedAt.push(clock.now() - due)),
        delay,
      );
    }
    clock.advance(3_700_000);
    assert.equal(firedAt.length, 5);
    for (const late of firedAt) assert.ok(late >= 0 && late <= 51, `late by ${late} ms`);
    assert.equal(clock.pending, 0);
  });

  it("uses one timer of the clock, and none when nothing runs", () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock, 50);
    const timers = Array.from({ length: 1000 }, () => callbackTimer(() => {}));
    for (const [i, timer] of timers.entries()) wheel.start(timer, 5000 - i);
    assert.equal(clock.pending, 1);
    for (const timer of timers) wheel.cancel(timer);
    assert.equal(wheel.running, 0);
    clock.advance(10_000);
    assert.equal(clock.pending, 0);
    wheel.start(timers[0]!, 10);
    wheel.stop();
    assert.equal(clock.pending, 0);
  });

  it("lets a callback cancel, restart and start others", () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock, 10);
    const fired: string[] = [];
    const victim = callbackTimer(() => fired.push("victim"));
    const repeating = callbackTimer(() => {
      fired.push("repeating");
      if (fired.length < 4) wheel.start(repeating, 20);
    });
    wheel.start(
      callbackTimer(() => {
        fired.push("first");
        wheel.cancel(victim); // due in the same tick
        wheel.start(repeating, 20);
      }),
      10,
    );
    wheel.start(victim, 10);
    clock.advance(200);
    assert.deepEqual(fired, ["first", "repeating", "repeating", "repeating"]);
    assert.equal(wheel.running, 0);
  });

  it("moves a timer that is started again", () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock, 10);
    let fired = 0;
    const idle = callbackTimer(() => fired++);
    for (let i = 0; i < 20; i++) {
      wheel.start(idle, 100);
      clock.advance(90);
    }
    assert.equal(fired, 0);
    clock.advance(30);
    assert.equal(fired, 1);
  });

  it("fires the others when one throws", () => {
    const clock = new ManualClock();
    const wheel = new TimerWheel(clock, 10);
    let fired = 0;
    wheel.start(
      callbackTimer(() => {
        throw new Error("broken");
      }),
      10,
    );
    wheel.start(
      callbackTimer(() => fired++),
      10,
    );
    assert.throws(() => clock.advance(15), /broken/);
    clock.advance(100);
    assert.equal(fired, 1);
    assert.equal(clock.pending, 0);
  });

  it("agrees with a list of deadlines, whatever is started, cancelled and waited for", () => {
    const command = fc.oneof(
      fc.record({ type: fc.constant("start" as const), timer: fc.nat(9), ms: fc.nat(40_000) }),
      fc.record({ type: fc.constant("cancel" as const), timer: fc.nat(9), ms: fc.constant(0) }),
      fc.record({ type: fc.constant("advance" as const), timer: fc.constant(0), ms: fc.nat(60_000) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
        const clock = new ManualClock();
        const wheel = new TimerWheel(clock, 50);
        const deadlines = new Map<number, number>();
        const timers = Array.from({ length: 10 }, (_, i) =>
          callbackTimer(() => {
            const late = clock.now() - (deadlines.get(i) ?? Number.NaN);
            assert.ok(late >= 0 && late <= 51, `timer ${i} is late by ${late} ms`);
            deadlines.delete(i);
          }),
        );
        for (const { type, timer, ms } of commands) {
          if (type === "start") {
            wheel.start(timers[timer]!, ms);
            deadlines.set(timer, clock.now() + ms);
          } else if (type === "cancel") {
            wheel.cancel(timers[timer]!);
            deadlines.delete(timer);
          } else {
            clock.advance(ms);
            for (const due of deadlines.values()) assert.ok(due > clock.now() - 51, "a timer was forgotten");
          }
          assert.equal(wheel.running, deadlines.size);
        }
      }),
      { seed: 7, numRuns: 200 },
    );
  });
});
