import assert from "node:assert/strict";
import { test } from "node:test";
import { connectivityState } from "@grpc/grpc-js";
import { ManualClock } from "@heddle/base";
import type { XdsChannel } from "./dial.ts";
import { PrimaryWatch } from "./primary-watch.ts";

const { CONNECTING, READY, TRANSIENT_FAILURE } = connectivityState;

/** A watch of as many control planes as there are states; waits are the longest that chance allows. */
function watch(states: connectivityState[]) {
  const clock = new ManualClock();
  let open = 0;
  let dialled = 0;
  const taken: number[] = [];
  const dials = states.map((_, index) => (): XdsChannel => {
    open += 1;
    dialled += 1;
    const getChannel = () => ({ getConnectivityState: () => states[index] });
    return { getChannel, close: () => (open -= 1) } as unknown as XdsChannel;
  });
  const it = new PrimaryWatch({ dials, clock, random: () => 0.999, onReachable: (_, index) => taken.push(index) });
  return { it, clock, taken, open: () => open, dialled: () => dialled };
}

test("the most preferred that can be reached is handed over, open, and the others are closed", () => {
  const w = watch([TRANSIENT_FAILURE, READY, READY]);
  w.clock.advance(2000);
  assert.deepEqual([w.taken, w.open(), w.clock.pending], [[1], 1, 0]);
});

test("while none can be reached they are dialled ever less often, and nothing stays open between", () => {
  const states = [TRANSIENT_FAILURE];
  const w = watch(states);
  w.clock.advance(60_000);
  assert.ok(w.dialled() >= 6 && w.dialled() <= 10, `${w.dialled()} attempts in a minute`);
  assert.equal(w.open(), 0);
  states[0] = READY;
  w.clock.advance(10_000);
  assert.deepEqual(w.taken, [0]);
});

test("an attempt that takes too long is given up", () => {
  const w = watch([CONNECTING]);
  w.clock.advance(2000);
  assert.equal(w.open(), 1);
  w.clock.advance(5000);
  assert.equal(w.open(), 0);
});

test("a control plane that cannot be dialled now is dialled again later", () => {
  const clock = new ManualClock();
  let dialled = 0;
  const dial = (): XdsChannel => {
    dialled += 1;
    throw new Error("the key is not the certificate's");
  };
  const it = new PrimaryWatch({ dials: [dial], clock, random: () => 0.999, onReachable: () => undefined });
  clock.advance(10_000);
  assert.ok(dialled >= 2, `${dialled} attempts`);
  it.close();
  assert.equal(clock.pending, 0);
});

test("nothing is left after close", () => {
  const w = watch([CONNECTING]);
  w.clock.advance(2500);
  w.it.close();
  assert.deepEqual([w.open(), w.clock.pending], [0, 0]);
});
