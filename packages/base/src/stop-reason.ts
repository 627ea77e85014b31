import type { EventEmitter } from "node:events";
import type { Clock, Timer } from "./clock.ts";

/** What of the process a `StopReason` listens to. `process` is one. */
export interface StopSignals {
  readonly events: Pick<EventEmitter, "on" | "off">;
  /** Undefined: not watched. */
  readonly parent:
    | { readonly stdin: Pick<NodeJS.ReadStream, "on" | "off" | "resume">; readonly parentId: () => number }
    | undefined;
}

const PARENT_LOOK_MS = 500;

/**
 * Waits for a reason to stop: SIGTERM, SIGINT, SIGHUP, or, where the parent is watched, that it has ended. A parent that
 * was killed says nothing, but the kernel closes its end of our standard input and gives us another parent; both are
 * looked at, since a grandchild may hold the pipe open.
 *
 * A second signal is another reason: whoever asks twice does not want to wait.
 */
export class StopReason {
  /** Of this process; `watchParent`: also when its parent has ended. */
  static ofProcess(watchParent: boolean, clock: Clock, onReason: (reason: string) => void): StopReason {
    const parent = watchParent ? { stdin: process.stdin, parentId: () => process.ppid } : undefined;
    return new StopReason({ events: process, parent }, clock, onReason);
  }

  readonly #signals: StopSignals;
  readonly #onReason: (reason: string) => void;
  readonly #clock: Clock;
  readonly #listeners: [name: string, listener: () => void][] = [];
  #timer: Timer | undefined;

  constructor(signals: StopSignals, clock: Clock, onReason: (reason: string) => void) {
    this.#signals = signals;
    this.#clock = clock;
    this.#onReason = onReason;
    for (const name of ["SIGTERM", "SIGINT", "SIGHUP"]) {
      const listener = (): void => onReason(name);
      signals.events.on(name, listener);
      this.#listeners.push([name, listener]);
    }
    this.#watchParent();
  }

  /** Listens no longer. */
  close(): void {
    this.#timer?.cancel();
    for (const [name, listener] of this.#listeners) this.#signals.events.off(name, listener);
    const { parent } = this.#signals;
    parent?.stdin.off("end", this.#onParentGone);
    parent?.stdin.off("error", this.#onParentGone);
  }

  #watchParent(): void {
    const { parent } = this.#signals;
    if (parent === undefined) return;
    const first = parent.parentId();
    parent.stdin.on("end", this.#onParentGone);
    parent.stdin.on("error", this.#onParentGone);
    parent.stdin.resume();
    const look = (): void => {
      if (parent.parentId() !== first) this.#onParentGone();
      else this.#timer = this.#clock.after(PARENT_LOOK_MS, look, true);
    };
    look();
  }

  readonly #onParentGone = (): void => {
    this.#timer?.cancel();
    this.#onReason("the parent process has ended");
  };
}
