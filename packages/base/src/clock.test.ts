import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "./clock.ts";

test("a delay that is longer than a timer can be does not fire at once, nor warn", async (t) => {
  const warnings: string[] = [];
  const note = (warning: Error): void => void warnings.push(warning.name);
  process.on("warning", note);
  t.after(() => process.off("warning", note));
  let fired = false;
  const timers = [2 ** 31, 359_999_996_400_000, Infinity].map((delayMs) =>
    systemClock.after(delayMs, () => {
      fired = true;
    }),
  );
  await new Promise<void>((resolve) => systemClock.after(20, resolve));
  for (const timer of timers) timer.cancel();
  assert.equal(fired, false);
  assert.deepEqual(warnings, []);
});

test("without a delay it calls back behind what runs now, unless it is cancelled", async () => {
  const heard: string[] = [];
  systemClock.after(0, () => heard.push("cancelled")).cancel();
  await new Promise<void>((resolve) => {
    systemClock.after(0, () => {
      heard.push("soon");
      resolve();
    });
    heard.push("now");
  });
  assert.deepEqual(heard, ["now", "soon"]);
});
