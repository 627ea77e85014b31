import type { Backoff, Timer } from "@heddle/base";
import type { RefusedKey } from "../../traffic/worker/worker-messages.ts";
import type { WorkerThread } from "./worker-thread.ts";
import type { WorkerWatch } from "./worker-watch.ts";

/** A worker's place: the thread in it may change. */
export class WorkerSlot {
  readonly backoff: Backoff;
  thread: WorkerThread | undefined = undefined;
  /** The last generation that the thread has applied. */
  applied = 0;
  refused: readonly RefusedKey[] = [];
  startedMs = 0;
  /** Of the thread. */
  watch: WorkerWatch | undefined = undefined;
  /** It accepts nothing until it gets targets again. */
  paused = false;
  restart: Timer | undefined = undefined;
  /** What the last thread here died of. */
  lastError: unknown = undefined;
  drained = Promise.withResolvers<void>();

  constructor(backoff: Backoff) {
    this.backoff = backoff;
  }

  begin(thread: WorkerThread, watch: WorkerWatch, nowMs: number): void {
    this.thread = thread;
    this.watch = watch;
    this.paused = false;
    this.applied = 0;
    this.refused = [];
    this.startedMs = nowMs;
    this.drained = Promise.withResolvers();
  }
}
