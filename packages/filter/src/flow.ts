import type { HeaderMap } from "@heddle/http";
import { ByteHold, EMPTY } from "./byte-hold.ts";
import type { ActiveFilter } from "./filter-chain.ts";
import type { DataResult, HeadResult, TrailersResult } from "./http-filter.ts";

/** What a flow needs of its exchange: how each phase is called, and both ends of the flow. */
export interface FlowOwner {
  callHead(flow: Flow, index: number, endStream: boolean): HeadResult;
  callData(flow: Flow, index: number, chunk: Uint8Array, endStream: boolean): DataResult;
  callTrailers(flow: Flow, index: number, trailers: HeaderMap): TrailersResult;
  /** What has passed all filters. */
  passedHead(flow: Flow, endStream: boolean): void;
  passedData(flow: Flow, chunk: Uint8Array, endStream: boolean): void;
  passedTrailers(flow: Flow, trailers: HeaderMap): void;
  /** More than the limit is held with "buffer". The owner ends the flow. */
  overLimit(flow: Flow): void;
  stopSource(flow: Flow, reason: number): void;
  restartSource(flow: Flow, reason: number): void;
}

/** Why a source is stopped; bits. */
export const StopReason = { SinkFull: 1, HeldByFilter: 2 } as const;

/**
 * One direction of an exchange on its way through the filters: from `start`, `step` by `step`, before `end`.
 *
 * A filter that holds something back has a slot. What arrives later is shown to the filters before it, then to it, and
 * joins what it holds, so the order is kept whoever holds, and several filters may hold at the same time.
 */
export class Flow {
  readonly #owner: FlowOwner;
  readonly #filters: readonly ActiveFilter[];
  /** Soft limit for what one filter holds. */
  limitBytes: number;
  readonly #step: 1 | -1;
  readonly #end: number;
  /** No filter looks at bodies of this direction. */
  readonly #skipsData: boolean;
  #slots: (Slot | undefined)[] | undefined;
  /** Slots that hold more than the limit with "watermark". */
  #full = 0;
  /** How far the head has come: the filters before this place (in the flow's order) have seen it. */
  reached: number;
  /** Nothing passes any more: the exchange goes another way. */
  closed = false;
  /** The filter that is being called has asked to go on: whatever it answers, nothing is held back. */
  continueRequested = false;

  constructor(owner: FlowOwner, filters: readonly ActiveFilter[], limitBytes: number, start: number, step: 1 | -1) {
    this.#owner = owner;
    this.#filters = filters;
    this.limitBytes = limitBytes;
    this.#step = step;
    this.#end = step === 1 ? filters.length : -1;
    this.reached = start;
    const phase = step === 1 ? "requestData" : "responseData";
    this.#skipsData = !filters.some(({ filter }) => phase in filter);
  }

  head(from: number, endStream: boolean): void {
    for (let i = from; i !== this.#end; i += this.#step) {
      this.reached = i + this.#step;
      this.continueRequested = false;
      const result = this.#owner.callHead(this, i, endStream);
      if (this.closed) return;
      if (result === "continue" || this.continueRequested) continue;
      const slot = this.#hold(i);
      slot.headHeld = true;
      slot.headEndStream = endStream;
      return;
    }
    this.#owner.passedHead(this, endStream);
  }

  data(from: number, chunk: Uint8Array, endStream: boolean): void {
    if (this.#skipsData && this.#slots === undefined) {
      this.#owner.passedData(this, chunk, endStream);
      return;
    }
    let passing = chunk;
    for (let i = from; i !== this.#end; i += this.#step) {
      this.continueRequested = false;
      const result = this.#owner.callData(this, i, passing, endStream);
      if (this.closed) return;
      const slot = this.#slots?.[i];
      if (slot !== undefined || ((result === "buffer" || result === "watermark") && !this.continueRequested)) {
        this.#joinHeld(i, slot ?? this.#hold(i), result, passing, endStream);
        return;
      }
      if (result === "drop") {
        if (!endStream) return;
        passing = EMPTY; // the end has to go on
      } else if (typeof result !== "string") passing = result;
    }
    this.#owner.passedData(this, passing, endStream);
  }

  trailers(from: number, trailers: HeaderMap): void {
    for (let i = from; i !== this.#end; i += this.#step) {
      this.continueRequested = false;
      const result = this.#owner.callTrailers(this, i, trailers);
      if (this.closed) return;
      const slot = this.#slots?.[i];
      if (typeof result !== "string") {
        if (slot === undefined) this.data(i + this.#step, result, true);
        else this.#joinHeld(i, slot, result, result, true);
        return;
      }
      if (slot === undefined && (result === "continue" || this.continueRequested)) continue;
      const holding = slot ?? this.#hold(i);
      holding.trailers = trailers;
      if (this.continueRequested || (result === "continue" && !holding.headHeld)) this.release(i);
      return;
    }
    this.#owner.passedTrailers(this, trailers);
  }

  /** Lets what the filter holds go on. Does nothing if it holds nothing. */
  release(index: number): void {
    const slot = this.#slots?.[index];
    if (slot === undefined || this.#slots === undefined || this.closed) return;
    this.#slots[index] = undefined;
    const next = index + this.#step;
    if (slot.headHeld) this.head(next, slot.headEndStream);
    if (!this.closed && (slot.bytes.length > 0 || slot.dataEndStream)) {
      this.data(next, slot.bytes.view(), slot.dataEndStream);
    }
    if (!this.closed && slot.trailers !== undefined) this.trailers(next, slot.trailers);
    // Last, since a source may deliver at once, and what it delivers comes after what was held.
    if (slot.full && --this.#full === 0 && !this.closed) this.#owner.restartSource(this, StopReason.HeldByFilter);
  }

  isHolding(index: number): boolean {
    return this.#slots?.[index] !== undefined;
  }

  /** The one filter that holds; -1 for none, -2 for several. */
  holder(): number {
    let found = -1;
    for (let i = 0; i < (this.#slots?.length ?? 0); i++) {
      if (this.#slots![i] === undefined) continue;
      if (found !== -1) return -2;
      found = i;
    }
    return found;
  }

  held(index: number): Uint8Array {
    return this.#slots?.[index]?.bytes.view() ?? EMPTY;
  }

  /** Ends the flow, of requests, and gives what its filters hold, in its order: what the last one holds came first. */
  take(): Held {
    const slots = this.#slots?.filter((slot) => slot !== undefined).toReversed() ?? [];
    const held: Held = {
      headEndStream: slots.some(({ headEndStream }) => headEndStream),
      bytes: Buffer.concat(slots.map(({ bytes }) => bytes.view())),
      dataEndStream: slots.some(({ dataEndStream }) => dataEndStream),
      trailers: slots.find(({ trailers }) => trailers !== undefined)?.trailers,
    };
    this.close();
    return held;
  }

  /** Its source has been stopped. */
  get full(): boolean {
    return this.#full > 0;
  }

  /** Nothing passes any more; what was held is dropped. */
  close(): void {
    this.closed = true;
    this.#slots = undefined;
  }

  #hold(index: number): Slot {
    this.#slots ??= new Array<Slot | undefined>(this.#filters.length).fill(undefined);
    const slot = new Slot();
    this.#slots[index] = slot;
    return slot;
  }

  #joinHeld(index: number, slot: Slot, result: DataResult, chunk: Uint8Array, endStream: boolean): void {
    if (endStream) slot.dataEndStream = true;
    if (result !== "drop") slot.bytes.append(typeof result === "string" ? chunk : result);
    const goesOn = result === "continue" || typeof result !== "string";
    if (this.continueRequested || (goesOn && !slot.headHeld)) {
      this.release(index);
      return;
    }
    if (slot.bytes.length <= this.limitBytes || slot.full) return;
    if (result === "buffer") {
      this.#owner.overLimit(this);
      return;
    }
    slot.full = true;
    if (this.#full++ === 0) this.#owner.stopSource(this, StopReason.HeldByFilter);
  }
}

/** What a flow had not let through when it ended. */
export interface Held {
  readonly headEndStream: boolean;
  readonly bytes: Uint8Array;
  readonly dataEndStream: boolean;
  readonly trailers: HeaderMap | undefined;
}

/** What one filter holds back, in the order head, bytes, trailers. */
class Slot {
  headHeld = false;
  headEndStream = false;
  readonly bytes = new ByteHold();
  dataEndStream = false;
  trailers: HeaderMap | undefined = undefined;
  /** Holds more than the limit, and has stopped the source. */
  full = false;
}
