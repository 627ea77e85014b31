import type { Clock } from "@heddle/base";

const PARENT_LOOK_MS = 500;

/**
 * Calls back whenever there is a reason to stop: SIGTERM, SIGINT, SIGHUP, or, where the parent is watched, its end. A
 * parent that was killed says nothing, but our standard input ends and we get another parent; both are looked at, since
 * something else may hold the pipe open. Listens until the process ends.
 */
export function onStopReason(watchParent: boolean, clock: Clock, stop: (reason: string) => void): void {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stop(signal));
  if (!watchParent) return;
  const parentId = process.ppid;
  const gone = (): void => stop("the parent process has ended");
  const look = (): void => {
    if (process.ppid !== parentId) gone();
    else clock.after(PARENT_LOOK_MS, look, true);
  };
  process.stdin.on("end", gone).on("error", gone).resume();
  look();
}
