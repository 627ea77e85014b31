import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { WorkerStart } from "../../traffic/worker/worker-messages.ts";
import { WorkerThread } from "./worker-thread.ts";

test("what a thread has died of before it begins is told when it does", async () => {
  const thread = new WorkerThread(new URL("./no-such-worker.ts", import.meta.url), 1, undefined);
  while (!thread.gone) await sleep(5);
  const error = await new Promise((onExit) => {
    thread.begin({} as WorkerStart, { onMessage: () => assert.fail(), onThrow: () => assert.fail(), onExit });
  });
  assert.match(String(error), /no-such-worker/);
});

test("a thread that has not begun can be ended", async () => {
  const thread = new WorkerThread(new URL("./greeting-worker.ts", import.meta.url), 1, undefined);
  await thread.terminate();
  assert.ok(thread.gone);
});
