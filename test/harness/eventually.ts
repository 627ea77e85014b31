import { setTimeout as sleep } from "node:timers/promises";

/** Resolves once the condition holds; fails with what it waited for. Only for what other processes do in their own time. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${withinMs / 1000} s for this to become true: ${what}`);
    await sleep(20);
  }
}
