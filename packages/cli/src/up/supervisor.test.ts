import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "@heddle/base";
import { Supervisor } from "./supervisor.ts";

const after = (delayMs: number, callback: () => void): { cancel(): void } => systemClock.after(delayMs, callback);

test("tells how a child ended that was not asked to end", async () => {
  const supervisor = new Supervisor();
  const ended = Promise.withResolvers<string>();
  supervisor.start({
    name: "short",
    argv: [process.execPath, "-e", "process.exit(3)"],
    onLine: () => {},
    onUnexpectedExit: ended.resolve,
  });
  assert.equal(await ended.promise, "ended with exit code 3");
});

test("tells of a command that cannot be started", async () => {
  const supervisor = new Supervisor();
  const ended = Promise.withResolvers<string>();
  supervisor.start({ name: "none", argv: ["/no/such/command"], onLine: () => {}, onUnexpectedExit: ended.resolve });
  assert.match(await ended.promise, /could not be started: .*ENOENT/);
});

test("hands over output line by line, the last one without an end too", async () => {
  const supervisor = new Supervisor();
  const lines: string[] = [];
  const ended = Promise.withResolvers<string>();
  supervisor.start({
    name: "talker",
    argv: [process.execPath, "-e", "process.stdout.write('a\\nb\\nc')"],
    onLine: (line) => lines.push(line),
    onUnexpectedExit: ended.resolve,
  });
  await ended.promise;
  await supervisor.stop(1000, after);
  assert.deepEqual(lines.slice(0, 2), ["a", "b"]);
});

test("forces a child that does not heed SIGTERM, and stop resolves when it is gone", async () => {
  const supervisor = new Supervisor();
  const ready = Promise.withResolvers<void>();
  const child = supervisor.start({
    name: "deaf",
    argv: [
      process.execPath,
      "-e",
      "process.on('SIGTERM', () => {}); console.log('ready'); setInterval(() => {}, 1000)",
    ],
    onLine: () => ready.resolve(),
    onUnexpectedExit: () => assert.fail("it was asked to end"),
  });
  await ready.promise;
  await supervisor.stop(50, after);
  assert.equal(child.signalCode, "SIGKILL");
});
