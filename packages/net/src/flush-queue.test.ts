import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { asCallback, callbackNumber, enterCallback, leaveCallback, scheduleFlush } from "./flush-queue.ts";

function gather(log: string[], name: string): void {
  scheduleFlush({ flush: () => log.push(name) });
}

test("what several callbacks of one turn gather leaves behind the last of them, in order", async () => {
  const log: string[] = [];
  for (const name of ["a", "b"]) {
    enterCallback();
    gather(log, name);
    leaveCallback();
  }
  assert.deepEqual(log, []);
  await nextTurn();
  assert.deepEqual(log, ["a", "b"]);
});

test("what is gathered outside of callbacks leaves on the next tick", async () => {
  const log: string[] = [];
  gather(log, "a");
  assert.deepEqual(log, []);
  await new Promise<void>((resolve) => process.nextTick(resolve));
  assert.deepEqual(log, ["a"]);
});

test("64 connections with output do not wait for the turn's end", async () => {
  const log: string[] = [];
  for (let i = 1; i <= 65; i++) {
    enterCallback();
    gather(log, String(i));
    leaveCallback();
    assert.equal(log.length, i < 64 ? 0 : 64);
  }
  await nextTurn();
  assert.equal(log.length, 65);
});

test("a flush within which a callback runs takes each connection once, and what that adds too", async () => {
  const log: string[] = [];
  enterCallback();
  scheduleFlush({
    flush() {
      log.push("a");
      enterCallback();
      for (let i = 0; i < 64; i++) gather(log, "c");
      leaveCallback();
      log.push("end of a");
    },
  });
  gather(log, "b");
  leaveCallback();
  await nextTurn();
  assert.deepEqual(log, ["a", "end of a", "b", ...Array.from({ length: 64 }, () => "c")]);
});

test("what goes on with a callback's work later gathers as within one, and lets go of it when it throws", async () => {
  const log: string[] = [];
  asCallback(() => gather(log, "a"));
  assert.deepEqual(log, []);
  await nextTurn();
  assert.deepEqual(log, ["a"]);
  assert.throws(() => asCallback(() => assert.fail("as it happens")), /as it happens/);
  assert.equal(callbackNumber(), -1);
});
