import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "@heddle/base";
import { Children } from "./children.ts";

test("starts a process again that ended unasked, and gives up on one that keeps ending", async () => {
  const printed: string[] = [];
  const children = new Children({ clock: systemClock, print: (line) => printed.push(line), showLogs: false });
  children.start("control-plane", [process.execPath, "-e", "console.log('no room'); process.exitCode = 7"]);
  assert.equal(await children.failed, "control-plane ended with exit code 7, the 5th time in 20 s");
  await children.stop();
  assert.deepEqual(printed, Array(4).fill("control-plane ended with exit code 7; it is started again"));
  children.printRecent();
  assert.ok(printed.includes("  control-plane | no room"));
});
