import { setTimeout as sleep } from "node:timers/promises";

/** Several times what the slowest step takes on two cores that others keep busy. Whoever succeeds waits for none of it. */
export const PATIENCE_MS = 30_000;

/** Resolves once the condition holds; fails with what it waited for. Only for what other processes do in their own time. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${withinMs / 1000} s for this to become true: ${what}`);
    await sleep(20);
  }
}

/**
 * Resolves with a count once it has stayed the same while those whose work it shows did ten other things, one after the other.
 * That it has stayed the same for a while would say nothing on a busy machine.
 */
export async function untilStill(count: () => number, doAnother: () => Promise<unknown>): Promise<number> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let last = count(), looks = 0; ; ) {
    await doAnother();
    const now = count();
    looks = now > 0 && now === last ? looks + 1 : 0;
    if (looks === 10) return now;
    if (performance.now() > deadline) throw new Error(`after ${PATIENCE_MS / 1000} s it does not stand still: ${now}`);
    last = now;
  }
}
