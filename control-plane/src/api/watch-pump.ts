import type { Clock, Timer } from "@heddle/base";
import type { ResourceWatch } from "./resource-watch.ts";
import type { WatchEvent } from "./wire.ts";

/** A stream of events to one reader, whatever carries it. */
export interface EventSink {
  /** False: wait until `pump.drained()`. */
  write(event: WatchEvent): boolean;
  /** The reader takes nothing any more, or may not. */
  end(why: string): void;
}

/** How often a reader hears something though nothing happens, so that silence means something. */
const HEARTBEAT_MS = 30_000;
/** A reader that takes nothing for so long is gone. */
const STUCK_MS = 60_000;
const EVENTS_AT_ONCE = 100;

/** Moves events from a watch to its reader, no faster than that one takes them. Owns the watch. */
export class WatchPump {
  readonly #sink: EventSink;
  readonly #clock: Clock;
  #watch: ResourceWatch | undefined;
  #timer: Timer | undefined;
  #isFull = false;
  #closed = false;

  constructor(sink: EventSink, clock: Clock) {
    this.#sink = sink;
    this.#clock = clock;
  }

  start(watch: ResourceWatch): void {
    this.#watch = watch;
    this.#wait();
    this.run();
  }

  /** Writes what there is. Called when there may be something. */
  run(): void {
    while (!this.#isFull && !this.#closed) {
      const events = this.#watch?.take(EVENTS_AT_ONCE) ?? [];
      if (events.length === 0) return;
      for (const event of events) this.#write(event);
    }
  }

  /** The reader has room again. */
  drained(): void {
    this.#isFull = false;
    this.#wait();
    this.run();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#watch?.close();
  }

  #write(event: WatchEvent): void {
    if (this.#sink.write(event) || this.#isFull) return;
    this.#isFull = true;
    this.#wait();
  }

  #wait(): void {
    this.#timer?.cancel();
    if (this.#closed) return;
    this.#timer = this.#clock.after(this.#isFull ? STUCK_MS : HEARTBEAT_MS, () => {
      if (this.#isFull) this.#sink.end("the watcher reads nothing");
      else {
        if (this.#watch !== undefined) this.#write(this.#watch.synced);
        if (!this.#isFull) this.#wait();
      }
    });
  }
}
