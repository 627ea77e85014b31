import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { ManualClock } from "./clock.ts";
import { StopReason, type StopSignals } from "./stop-reason.ts";

function watch(parent: StopSignals["parent"]) {
  const events = new EventEmitter();
  const clock = new ManualClock();
  const reasons: string[] = [];
  const stop = new StopReason({ events, parent }, clock, (reason) => reasons.push(reason));
  return { events, clock, reasons, stop };
}

test("signals are reasons, each time they come", () => {
  const { events, reasons, stop, clock } = watch(undefined);
  events.emit("SIGTERM");
  events.emit("SIGINT");
  assert.deepEqual(reasons, ["SIGTERM", "SIGINT"]);
  stop.close();
  assert.equal(events.listenerCount("SIGTERM"), 0);
  assert.equal(clock.pending, 0);
});

test("the end of standard input is the end of the parent, where it is watched", async () => {
  const stdin = new PassThrough();
  const { reasons, stop, clock } = watch({ stdin: stdin as never, parentId: () => 7 });
  stdin.end();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(reasons, ["the parent process has ended"]);
  stop.close();
  assert.equal(clock.pending, 0);
});

test("another parent means that the first one has ended, even if somebody holds its pipe open", () => {
  let parentId = 7;
  const { reasons, stop, clock } = watch({ stdin: new PassThrough() as never, parentId: () => parentId });
  clock.advance(5000);
  assert.deepEqual(reasons, []);
  parentId = 1;
  clock.advance(500);
  assert.deepEqual(reasons, ["the parent process has ended"]);
  assert.equal(clock.pending, 0);
  stop.close();
});
