import type { Clock, Failure, Timer } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { Prepared } from "../network/network-filter.ts";
import type { AppliedFilter } from "./listener-filter.ts";

/**
 * Hears how it went. Exactly one of them is called, once; `onTimeout` before `onInspected` where it is served all the same, and
 * before all of them perhaps `onSilent`.
 */
export interface EarlyConnectionEvents<Made extends Prepared = Prepared> {
  /**
   * The connection waits for its handler; its first byte will be the first that no filter has consumed.
   *
   * @param prepared as `onSilent` gave it; it is the callee's now.
   */
  onInspected(info: DownstreamInfo, prepared: Made | undefined): void;
  /** A filter refuses it; it has been closed. */
  onRefused(reason: string): void;
  /** Nothing came of it in time. Where it is not served all the same, it has been closed. */
  onTimeout(served: boolean): void;
  /** It went away before. */
  onGone(): void;
  /**
   * No byte has come for `silentAfterMs` but what filters have consumed, and all have decided that tell who the client is. What is made
   * for it now is cancelled where it comes to nothing.
   *
   * @param info as it will be should there come none at all.
   */
  onSilent?(info: DownstreamInfo): Made | undefined;
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
  /** When a client counts as silent. Left out: never. */
  readonly silentAfterMs?: number;
}

/** A connection whose first bytes are looked at, before it is known who serves it. */
export class EarlyConnection<Made extends Prepared = Prepared> implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #options: EarlyConnectionOptions;
  readonly #events: EarlyConnectionEvents<Made>;
  #timer: Timer | undefined = undefined;
  #prepared: Made | undefined = undefined;
  #info: DownstreamInfo;
  /** The filter that is asked now. */
  #next: number;
  #bytes: Uint8Array = NOTHING;
  #over = false;

  constructor(
    connection: Connection,
    info: DownstreamInfo,
    options: EarlyConnectionOptions,
    events: EarlyConnectionEvents<Made>,
  ) {
    this.#connection = connection;
    this.#info = info;
    this.#options = options;
    this.#next = options.first;
    this.#events = events;
    const { clock, timeoutMs, silentAfterMs } = options;
    if (silentAfterMs !== undefined && (timeoutMs === 0 || silentAfterMs < timeoutMs))
      this.#timer = clock.after(silentAfterMs, () => this.#beSilent(silentAfterMs));
    else this.#wait(timeoutMs);
    connection.start(this);
  }

  /** The first byte is not waited for any more: it is served with what is known. One that has come says more, once the rest is there. */
  settle(): void {
    if (!this.#over && this.#bytes.length === 0) this.#serve();
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

  /** @param ms 0: without end. */
  #wait(ms: number): void {
    this.#timer = ms > 0 ? this.#options.clock.after(ms, () => this.#timeOut()) : undefined;
  }

  /** @param afterMs of the time that there is. */
  #beSilent(afterMs: number): void {
    const { timeoutMs } = this.#options;
    this.#wait(timeoutMs > 0 ? timeoutMs - afterMs : 0);
    if (this.#bytes.length > 0 || this.#options.filters.slice(this.#next).some(isUnknown)) return;
    this.#prepared = this.#events.onSilent?.(this.#infoWithoutBytes());
  }

  #timeOut(): void {
    if (this.#options.continueOnTimeout) {
      this.#events.onTimeout(true);
      this.#serve();
      return;
    }
    this.#end();
    this.#connection.destroy();
    this.#events.onTimeout(false);
  }

  #serve(): void {
    this.#info = this.#infoWithoutBytes();
    this.#finish(this.#bytes);
  }

  /** What needs no byte is known all the same; a redirected connection goes where it was meant to go. */
  #infoWithoutBytes(): DownstreamInfo {
    let info = this.#info;
    for (const { filter, isDisabled } of this.#options.filters.slice(this.#next)) {
      if ("look" in filter && isDisabled?.(info) !== true) info = filter.look(this.#connection, info);
    }
    return info;
  }

  #finish(unread: Uint8Array): void {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    this.#end();
    this.#connection.release(unread);
    this.#events.onInspected(this.#info, prepared);
  }

  #end(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#bytes = NOTHING;
    this.#prepared?.cancel();
    this.#prepared = undefined;
  }
}

function isUnknown({ filter }: AppliedFilter): boolean {
  return "inspect" in filter && filter.tellsWho === true;
}

const NOTHING = new Uint8Array();
