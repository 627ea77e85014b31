import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultWatchdog } from "@heddle/traffic";
import { NO_CEILING, newVitals, Vital } from "../../traffic/overload/vitals.ts";
import { WorkerWatch } from "./worker-watch.ts";

/** A watch over a worker that answers when told to. */
function watched(config = defaultWatchdog, random = 0) {
  const vitals = newVitals(NO_CEILING);
  const cells = new Int32Array(vitals);
  const watch = new WorkerWatch(vitals, config, () => random);
  watch.begin();
  let asked = 0;
  return {
    watch,
    cells,
    answer(delayMs = 0): void {
      cells[Vital.delayMs] = delayMs;
      cells[Vital.answered] = asked;
    },
    look: (intervalMs = 200) => watch.look(intervalMs, (id) => (asked = id)),
  };
}

describe("the watch over a worker", () => {
  test("says nothing of one that answers", () => {
    const { watch, look, answer } = watched();
    for (let i = 0; i < 10; i++) {
      assert.equal(look(), undefined);
      answer();
    }
    assert.equal(watch.blocked, false);
  });

  test("begins when the worker has started", () => {
    const watch = new WorkerWatch(newVitals(NO_CEILING), defaultWatchdog, () => 0);
    for (let i = 0; i < 100; i++)
      assert.equal(
        watch.look(200, () => assert.fail("asked too early")),
        undefined,
      );
  });

  test("tells each limit once, and when it answers again", () => {
    const { watch, look, answer } = watched();
    const events = Array.from({ length: 55 }, () => look());
    assert.deepEqual(
      events.flatMap((event, n) => (event === undefined ? [] : [[event, n * 200]])),
      [["miss", 200], ["megamiss", 1000], ["kill", 10_000]], // biome-ignore format: a table
    );
    assert.equal(watch.blocked, true);
    answer();
    assert.equal(look(), "recovered");
    assert.equal(watch.blocked, false);
  });

  test("does not end one whose kill_timeout is 0, and adds the jitter where there is one", () => {
    const never = watched({ ...defaultWatchdog, killTimeoutMs: 0 });
    assert.ok(!Array.from({ length: 1000 }, () => never.look()).includes("kill"));
    const later = watched({ ...defaultWatchdog, killTimeoutMs: 1000, maxKillTimeoutJitterMs: 1000 }, 0.5);
    assert.equal(Array.from({ length: 20 }, () => later.look()).indexOf("kill") * 200, 1600);
  });

  test("counts as the delay what is late all the time, and not a single pause", () => {
    const { watch, look, answer } = watched();
    const delays = (values: readonly number[]): number => {
      for (const delay of values) {
        look();
        answer(delay);
      }
      look();
      answer(values.at(-1));
      return watch.delayMs;
    };
    assert.equal(delays([0, 0, 5000, 0, 0]), 0);
    assert.equal(delays([700, 900, 800, 700, 600]), 600);
  });

  test("names the filter that runs", () => {
    const { watch, cells } = watched();
    assert.equal(watch.running, "");
    cells[Vital.running] = 2 * 16 + 1;
    assert.equal(watch.running, "filter 2 requestHead");
    watch.name(2, "authz");
    assert.equal(watch.running, "authz requestHead");
  });
});
