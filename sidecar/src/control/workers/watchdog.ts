import type { Clock, Timer } from "@heddle/base";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { WatchdogConfig } from "@heddle/traffic";
import type { WorkerSlot } from "./worker-slot.ts";
import type { WorkerThread } from "./worker-thread.ts";

export interface WatchdogOptions {
  readonly config: WatchdogConfig;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** In the order of their places. */
  readonly slots: readonly WorkerSlot[];
  /** The slot's thread has been silent for too long: it is to be ended. */
  readonly onBlocked: (slot: WorkerSlot, thread: WorkerThread, reason: Error) => void;
}

/** Between two looks at whether workers answer, at least: a look wakes them. */
const LOOK_EVERY_MS = 100;

/** Looks at whether the workers answer, tells what blocks in one that does not, and says when one is to be ended (Envoy `watchdogs`). */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #timer: Timer | undefined;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock, config, slots } = this.#options;
    const intervalMs = Math.max(LOOK_EVERY_MS, Math.min(config.missTimeoutMs, config.megamissTimeoutMs));
    this.#timer = clock.after(
      intervalMs,
      () => {
        for (const [place, slot] of slots.entries()) this.#lookAt(slot, place, intervalMs);
        this.start();
      },
      true,
    );
  }

  close(): void {
    this.#timer?.cancel();
  }

  #lookAt(slot: WorkerSlot, place: number, intervalMs: number): void {
    const { thread, watch } = slot;
    if (thread === undefined || watch === undefined) return;
    const { clock, log, metrics } = this.#options;
    const event = watch.look(intervalMs, (id) => thread.post({ type: "ping", id, sentWallMs: clock.wallNow() }));
    if (event === undefined) return;
    const fields = { worker: thread.id, running: watch.running, silentMs: watch.silentMs };
    const count = (name: string): void => {
      for (const scope of ["server", `server.worker_${place}`]) metrics.counter(`${scope}.${name}`).add();
    };
    switch (event) {
      case "miss":
        count("watchdog_miss");
        break;
      case "megamiss":
        count("watchdog_mega_miss");
        log.warn("a traffic worker does not answer: something in it blocks", fields);
        break;
      case "recovered":
        log.info("a traffic worker answers again", { worker: thread.id });
        break;
      case "kill":
        log.error("a traffic worker has not answered for too long and is ended", fields);
        this.#options.onBlocked(
          slot,
          thread,
          new Error(`blocked${fields.running === "" ? "" : ` in ${fields.running}`}`),
        );
        break;
      default:
        throw new Error(`unknown event ${String(event satisfies never)}`);
    }
  }
}
