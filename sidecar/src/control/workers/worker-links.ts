import { MessageChannel } from "node:worker_threads";
import { clearIdleCounts, newIdleBoard } from "../../traffic/worker/idle-board.ts";
import type { WorkerStart } from "../../traffic/worker/worker-messages.ts";
import type { WorkerThread } from "./worker-thread.ts";

/**
 * What workers share their pools by: a board that says who has idle connections, and a channel between every two. A worker
 * that dies ends its channels; the one that replaces it gets new ones.
 */
export class WorkerLinks {
  readonly #board: SharedArrayBuffer;
  readonly #answerWithinMs: number;

  /** `answerWithinMs`: see `PeerLinkEnv`. */
  constructor(workers: number, answerWithinMs: number) {
    this.#board = newIdleBoard(workers);
    this.#answerWithinMs = answerWithinMs;
  }

  /** For a worker that is about to start in a slot that nobody is in. */
  begin(slot: number): NonNullable<WorkerStart["sharing"]> {
    clearIdleCounts(this.#board, slot);
    return { slot, board: this.#board, answerWithinMs: this.#answerWithinMs };
  }

  /** Joins a new worker with one that runs. If either is gone meanwhile, its end is closed and the other one hears so. */
  join(slot: number, thread: WorkerThread, otherSlot: number, other: WorkerThread): void {
    const { port1, port2 } = new MessageChannel();
    thread.post({ type: "peer", slot: otherSlot, port: port1 }, [port1]);
    other.post({ type: "peer", slot, port: port2 }, [port2]);
  }
}
