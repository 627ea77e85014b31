import { callbackTimer, type WheelTimer } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { GatedFilter } from "./gated-filter.ts";
import type { ConnectionEnd, Prepared, ServedConnection } from "./network-filter.ts";
import type { GateDenial, GateVerdict, GateVisit } from "./network-gate.ts";
import { WatchedConnection } from "./watched-connection.ts";

/**
 * A connection on its way through the gates of its chain.
 *
 *     asking ─> (waiting ─> asking)* ─> served
 *        └─────────┴────────────────────> denied
 *
 * While it waits, and when it is denied, nothing of it is read.
 */
export class GatedConnection implements ServedConnection, GateVisit {
  info: DownstreamInfo;
  readonly #filter: GatedFilter;
  readonly #connection: Connection;
  readonly #onClosed: (end?: ConnectionEnd) => void;
  #state: "asking" | "waiting" | "served" | "denied" = "asking";
  /** The gate that is asked next. */
  #next = 0;
  /** It has a handler of ours, since it has waited, or is closed by us. */
  #started = false;
  #cancel: (() => void) | undefined = undefined;
  #served: ServedConnection | undefined = undefined;
  #denial: GateDenial | undefined = undefined;
  #delay: WheelTimer | undefined = undefined;
  /** How it was asked to end before somebody served it. */
  #drain: { readonly withinMs: number | undefined; readonly gently: boolean } | undefined = undefined;
  #ownMetadata: Map<string, Map<string, unknown>> | undefined = undefined;
  #prepared: Prepared | undefined;

  constructor(
    filter: GatedFilter,
    connection: Connection,
    info: DownstreamInfo,
    onClosed: (end?: ConnectionEnd) => void,
    prepared?: Prepared,
  ) {
    this.#filter = filter;
    this.#connection = connection;
    this.info = info;
    this.#onClosed = onClosed;
    this.#prepared = prepared;
  }

  begin(): void {
    const { gates } = this.#filter;
    for (let gate = gates[this.#next]; gate !== undefined; gate = gates[this.#next]) {
      this.#next++;
      const verdict = gate.admit(this);
      if (verdict === "allow") continue;
      this.#stop(verdict);
      return;
    }
    this.#serve();
  }

  // === what a gate may call

  setMetadata(namespace: string, values: Readonly<Record<string, unknown>>): void {
    if (this.#ownMetadata === undefined) {
      this.#ownMetadata = new Map([...(this.info.metadata ?? [])].map(([name, map]) => [name, new Map(map)]));
      this.info = { ...this.info, metadata: this.#ownMetadata };
    }
    let map = this.#ownMetadata.get(namespace);
    if (map === undefined) {
      map = new Map();
      this.#ownMetadata.set(namespace, map);
    }
    for (const [key, value] of Object.entries(values)) map.set(key, value);
  }

  decide(verdict: "allow" | GateDenial): void {
    if (this.#state !== "waiting") return; // gone meanwhile
    this.#cancel = undefined;
    this.#state = "asking";
    if (verdict === "allow") this.begin();
    else this.#stop(verdict);
  }

  // === what the listener may call

  drain(): void {
    if (this.#served === undefined) this.#drain = { withinMs: undefined, gently: false };
    else this.#served.drain();
  }

  drainGently(withinMs?: number): void {
    if (this.#served === undefined) this.#drain = { withinMs, gently: true };
    else if (this.#served.drainGently === undefined) this.#served.drain();
    else this.#served.drainGently(withinMs);
  }

  destroy(): void {
    if (this.#served === undefined) this.#connection.destroy();
    else this.#served.destroy();
  }

  // === the ways that it may go

  #stop(verdict: Exclude<GateVerdict, "allow">): void {
    switch (verdict.type) {
      case "wait":
        this.#state = "waiting";
        this.#cancel = () => verdict.cancel();
        this.#hold();
        break;
      case "deny":
        this.#deny(verdict);
        break;
      default:
        throw new Error(`unknown verdict ${JSON.stringify(verdict satisfies never)}`);
    }
  }

  #deny(denial: GateDenial): void {
    this.#state = "denied";
    this.#denial = denial;
    this.#forget();
    this.#hold();
    const { delayMs = 0 } = denial;
    if (delayMs === 0) {
      this.#connection.destroy();
      return;
    }
    this.#delay = callbackTimer(() => this.#connection.destroy());
    this.#filter.wheel.start(this.#delay, delayMs);
  }

  /** Takes the connection without reading it. */
  #hold(): void {
    if (this.#started) return;
    this.#started = true;
    const unread: ConnectionHandler = {
      onData() {}, // it is paused
      onEnd() {},
      onDrain() {},
      onClose: () => this.#gone(),
    };
    this.#connection.start(unread);
    this.#connection.pause();
  }

  /** It has ended, and nobody has served it. */
  #gone(): void {
    const cancel = this.#cancel;
    this.#cancel = undefined;
    this.#state = "denied";
    if (this.#delay !== undefined) this.#filter.wheel.cancel(this.#delay);
    cancel?.();
    this.#forget();
    const { details = "", responseFlags = 0 } = this.#denial ?? {};
    this.#onClosed({ downstream: this.info, terminationDetails: details, responseFlags });
  }

  /** Whoever was to serve it does not. */
  #forget(): void {
    this.#prepared?.cancel();
    this.#prepared = undefined;
  }

  #serve(): void {
    this.#state = "served";
    if (this.#started) this.#connection.release(NOTHING);
    const { gates, filter } = this.#filter;
    const looksOn = gates.some((gate) => gate.onData !== undefined);
    const connection = looksOn ? new WatchedConnection(this.#connection, () => this.#mayPass()) : this.#connection;
    const prepared = this.#prepared;
    this.#prepared = undefined;
    this.#served = filter.serve(connection, this.info, () => this.#over(), prepared);
    if (this.#drain === undefined) return;
    if (this.#drain.gently) this.drainGently(this.#drain.withinMs);
    else this.drain();
  }

  /** Whoever served it is done. */
  #over(): void {
    if (this.#denial === undefined && this.#ownMetadata === undefined) {
      this.#onClosed();
      return;
    }
    const { details = "", responseFlags = 0 } = this.#denial ?? {};
    this.#onClosed({ downstream: this.info, terminationDetails: details, responseFlags });
  }

  /** Bytes have come. False: they are dropped, and the connection is closed. */
  #mayPass(): boolean {
    if (this.#denial !== undefined) return false;
    for (const gate of this.#filter.gates) {
      const denial = gate.onData?.(this);
      if (denial === undefined) continue;
      this.#denial = denial;
      this.#connection.destroy();
      return false;
    }
    return true;
  }
}

const NOTHING = new Uint8Array();
