import type { Clock, Failure, Timer } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { AppliedFilter } from "./listener-filter.ts";

/** Hears how it went. Exactly one of them is called, once; `onTimeout` before `onInspected` where it is served all the same. */
export interface EarlyConnectionEvents {
  /** The connection waits for its handler; its first byte will be the first that no filter has consumed. */
  onInspected(info: DownstreamInfo): void;
  /** A filter refuses it; it has been closed. */
  onRefused(reason: string): void;
  /** Nothing came of it in time. Where it is not served all the same, it has been closed. */
  onTimeout(served: boolean): void;
  /** It went away before. */
  onGone(): void;
}

export interface EarlyConnectionOptions {
  readonly clock: Clock;
  readonly filters: readonly AppliedFilter[];
  /** The first that is asked; those before it have decided. It waits for bytes. */
  readonly first: number;
  /** 0: without end. */
  readonly timeoutMs: number;
  /** When the time is over the connection is served with what is known. */
  readonly continueOnTimeout: boolean;
}

/** A connection whose first bytes are looked at, before it is known who serves it. */
export class EarlyConnection implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #options: EarlyConnectionOptions;
  readonly #events: EarlyConnectionEvents;
  readonly #timer: Timer | undefined;
  #info: DownstreamInfo;
  /** The filter that is asked now. */
  #next: number;
  #bytes: Uint8Array = NOTHING;
  #over = false;

  constructor(
    connection: Connection,
    info: DownstreamInfo,
    options: EarlyConnectionOptions,
    events: EarlyConnectionEvents,
  ) {
    this.#connection = connection;
    this.#info = info;
    this.#options = options;
    this.#next = options.first;
    this.#events = events;
    const { clock, timeoutMs } = options;
    this.#timer = timeoutMs > 0 ? clock.after(timeoutMs, () => this.#timeOut()) : undefined;
    connection.start(this);
  }

  /** Ends it; nothing is told. */
  destroy(): void {
    this.#end();
    this.#connection.destroy();
  }

  onData(bytes: Uint8Array): void {
    if (this.#over) return;
    const { filters } = this.#options;
    let rest = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    for (let applied = filters[this.#next]; applied !== undefined; applied = filters[++this.#next]) {
      const { filter, isDisabled } = applied;
      if (isDisabled?.(this.#info) === true) continue;
      if ("look" in filter) {
        this.#info = filter.look(this.#connection, this.#info);
        continue;
      }
      const inspection = filter.inspect(rest, this.#info);
      switch (inspection.type) {
        case "more":
          // The bytes lie in the thread's read buffer unless they have been gathered here.
          this.#bytes = rest === bytes ? Uint8Array.from(bytes) : rest;
          return;
        case "refuse":
          this.#end();
          this.#connection.destroy();
          this.#events.onRefused(inspection.reason);
          return;
        case "done":
          rest = rest.subarray(inspection.consumed);
          this.#info = inspection.info;
          break;
        default:
          throw new Error(`unknown inspection ${JSON.stringify(inspection satisfies never)}`);
      }
    }
    this.#finish(rest);
  }

  /** Who ends before it has said who it is has nothing to say. */
  onEnd(): void {
    if (this.#over) return;
    this.#end();
    this.#connection.destroy();
    this.#events.onGone();
  }

  onDrain(): void {}

  onClose(_reason: Failure | undefined): void {
    if (this.#over) return;
    this.#end();
    this.#events.onGone();
  }

  #timeOut(): void {
    if (this.#options.continueOnTimeout) {
      // What needs no byte is known all the same; a redirected connection goes where it was meant to go.
      for (const { filter, isDisabled } of this.#options.filters.slice(this.#next)) {
        if ("look" in filter && isDisabled?.(this.#info) !== true)
          this.#info = filter.look(this.#connection, this.#info);
      }
      this.#events.onTimeout(true);
      this.#finish(this.#bytes);
      return;
    }
    this.#end();
    this.#connection.destroy();
    this.#events.onTimeout(false);
  }

  #finish(unread: Uint8Array): void {
    this.#end();
    this.#connection.release(unread);
    this.#events.onInspected(this.#info);
  }

  #end(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#bytes = NOTHING;
  }
}

const NOTHING = new Uint8Array();
