import { Buffer } from "node:buffer"; // the global one is an accessor
import type { Failure } from "@heddle/base";
import { removeForbiddenTrailers } from "../h1/fields.ts";
import type { HeaderMap } from "../header-map.ts";
import { ByteQueue } from "./byte-queue.ts";
import { ReceiveWindow, SendWindow } from "./flow-window.ts";
import { DEFAULT_MAX_FRAME_SIZE } from "./frame/index.ts";
import { type HeadEncoder, LeaveOut } from "./head-encoder.ts";
import { afterEndReceived, maySend, StreamState } from "./stream-state.ts";

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly encoder: HeadEncoder;
  /** `block` as the encoder gives it. */
  writeHeaders(stream: H2Stream, block: Buffer, endStream: boolean): void;
  /** How many bytes of DATA this stream may send now, by its own window, the connection's and the transport. */
  roomFor(stream: H2Stream): number;
  /** At most a frame, and within the room. */
  writeData(stream: H2Stream, chunk: Uint8Array, endStream: boolean): void;
  /** Has the stream send what waits when its turn comes. */
  schedule(stream: H2Stream): void;
  /** The stream has to be told when there is room again. */
  stalled(stream: H2Stream): void;
  /** The transport is full. */
  readonly blocked: boolean;
  /** Bytes of a stream that may wait. */
  readonly streamBufferBytes: number;
  /** This many bytes that were received have been dealt with. */
  giveBack(stream: H2Stream, bytes: number): void;
  /** These wait in addition; fewer if it is below zero. */
  countWaiting(bytes: number): void;
  /** The message of the peer does not keep what it promised (RFC 9113 §8.1.1). */
  lengthBroken(stream: H2Stream): void;
  trailersSeen(): void;
}

/**
 * One stream, of either role: its state, its windows, what waits to be sent and what was received and is not wanted yet.
 *
 * Invariants:
 * - What a paused stream receives is copied and kept, at most its window, since nothing is given back meanwhile. The connection's
 *   window is: a reader that stands still stops nobody else.
 * - While anything waits to be sent, everything goes behind it.
 * - After `release` nothing is told to the decoder any more.
 */
export abstract class H2Stream {
  /** 0: not opened yet. */
  id: number;
  readonly owner: StreamOwner;
  state: StreamState = StreamState.Open;
  readonly sendWindow: SendWindow;
  readonly receiveWindow: ReceiveWindow;

  // Outgoing.
  /** The next stream in the line of those that may send. */
  nextInLine: H2Stream | undefined = undefined;
  inLine = false;
  /** `sendData` has said false. */
  needsDrain = false;
  /** The connection has it among those. */
  isStalled = false;
  /** What waits may not be sent yet: the peer has not agreed to the tunnel. */
  protected heldBack = false;
  /** Bytes that our content-length still promises; -1 without one. */
  protected promised = -1;
  #queue: ByteQueue | undefined = undefined;
  #endQueued = false;
  #trailersQueued: HeaderMap | undefined = undefined;

  // Incoming.
  /** Bytes that content-length still promises; -1 without one. */
  protected missing = -1;
  #paused = false;
  #kept: ByteQueue | undefined = undefined;
  #keptEnd = false;
  #keptTrailers: HeaderMap | undefined = undefined;
  #delivering = false;

  /** With the headers of frames. */
  wireBytesReceived = 0;
  wireBytesSent = 0;

  constructor(owner: StreamOwner, id: number, sendWindow: number, receiveWindow: number) {
    this.owner = owner;
    this.id = id;
    this.sendWindow = new SendWindow(sendWindow);
    this.receiveWindow = new ReceiveWindow(receiveWindow);
  }

  // What a role does.

  protected abstract deliverData(chunk: Uint8Array, endStream: boolean): void;
  protected abstract deliverTrailers(trailers: HeaderMap): void;
  protected abstract deliverDrain(): void;
  /** END_STREAM has been written. */
  protected abstract endSent(): void;
  /** All that the peer sent has been given on, its END_STREAM too. */
  protected abstract endDelivered(): void;
  /** Its DATA are no message's. */
  abstract readonly isTunnel: boolean;
  /** The peer or the transport has ended the stream. */
  abstract fail(failure: Failure): void;

  // Outgoing.

  /** Data wait. */
  get hasQueue(): boolean {
    return this.#queue !== undefined || this.#endQueued;
  }

  get queuedBytes(): number {
    return this.#queue === undefined ? 0 : this.#queue.bytes;
  }

  /** Sends what may be sent, keeps a copy of the rest. False: too much waits. */
  protected writeBody(chunk: Uint8Array, endStream: boolean): boolean {
    let rest = chunk;
    if (!this.hasQueue && !this.heldBack) {
      const room = this.owner.roomFor(this);
      if (chunk.length <= room) {
        this.#writeFrames(chunk, endStream);
        return this.#verdict();
      }
      if (room > 0) {
        this.#writeFrames(chunk.subarray(0, room), false);
        rest = chunk.subarray(room);
      }
    }
    if (rest.length > 0) {
      this.#queue ??= new ByteQueue();
      this.#queue.push(rest);
      this.owner.countWaiting(rest.length);
    }
    if (endStream) this.#endQueued = true;
    if (!this.heldBack) this.owner.schedule(this);
    return this.#verdict();
  }

  /** Counts the bytes of a body against what content-length promises. False: it is not kept. */
  protected keepsPromise(bytes: number, endStream: boolean): boolean {
    if (this.promised < 0) return true;
    this.promised -= bytes;
    return this.promised === 0 || (this.promised > 0 && !endStream);
  }

  /** Ends the stream behind the data that wait, with those trailers that may be sent; a tunnel has none. */
  protected writeEnd(trailers: HeaderMap, isTunnel: boolean): void {
    const allowed = trailers.clone();
    removeForbiddenTrailers(allowed.fields);
    if (allowed.size === 0 || isTunnel) this.writeBody(NOTHING, true);
    else if (!this.hasQueue && !this.heldBack) this.#writeTrailers(allowed);
    else {
      this.#trailersQueued = allowed;
      this.#endQueued = true;
    }
  }

  #writeTrailers(trailers: HeaderMap): void {
    this.owner.trailersSeen();
    this.owner.writeHeaders(this, this.owner.encoder.encode(NO_LEAD, trailers, LeaveOut.Nothing), true);
    this.endSent();
  }

  #verdict(): boolean {
    if (!maySend(this.state)) return true;
    if (!this.heldBack && !this.owner.blocked && this.queuedBytes <= this.owner.streamBufferBytes) return true;
    this.needsDrain = true;
    this.owner.stalled(this);
    return false;
  }

  #writeFrames(chunk: Uint8Array, endStream: boolean): void {
    let at = 0;
    while (chunk.length - at > DEFAULT_MAX_FRAME_SIZE) {
      const end = at + DEFAULT_MAX_FRAME_SIZE;
      this.owner.writeData(this, chunk.subarray(at, end), false);
      at = end;
    }
    if (at < chunk.length || endStream) this.owner.writeData(this, at === 0 ? chunk : chunk.subarray(at), endStream);
    if (endStream) this.endSent();
  }

  /** Whether there is something that its window and the connection's allow to be sent. */
  maySendQueued(connectionWindow: number): boolean {
    if (this.heldBack || !maySend(this.state) || !this.hasQueue) return false;
    return this.queuedBytes === 0 || Math.min(connectionWindow, this.sendWindow.available) > 0;
  }

  /**
   * The stream's turn: `write` gets the queue, how many of its bytes make the next frame, and whether it is the last one. What
   * comes of it is `endSent`.
   */
  sendQueued(connectionWindow: number, write: FrameWriter): void {
    const queue = this.#queue;
    const waiting = this.queuedBytes;
    const bytes = Math.min(DEFAULT_MAX_FRAME_SIZE, waiting, connectionWindow, this.sendWindow.available);
    const isLast = this.#endQueued && bytes >= waiting;
    if (waiting > 0 && queue !== undefined) {
      write.writeQueued(this, queue, bytes, isLast && this.#trailersQueued === undefined);
      this.owner.countWaiting(-bytes);
      if (queue.bytes === 0) this.#queue = undefined;
    }
    if (!isLast) return;
    const trailers = this.#trailersQueued;
    this.#endQueued = false;
    this.#trailersQueued = undefined;
    if (trailers !== undefined) this.#writeTrailers(trailers);
    else {
      if (waiting === 0) this.owner.writeData(this, NOTHING, true);
      this.endSent();
    }
  }

  /** What waits is not sent. */
  protected dropQueue(): void {
    if (this.#queue !== undefined) this.owner.countWaiting(-this.#queue.bytes);
    this.#queue = undefined;
    this.#endQueued = false;
    this.#trailersQueued = undefined;
  }

  /** Tells the sender to go on, if it waits for that and there is room. */
  tellDrained(): void {
    if (!this.needsDrain || this.heldBack || this.queuedBytes * 2 > this.owner.streamBufferBytes) return;
    this.needsDrain = false;
    this.deliverDrain();
  }

  // Incoming.

  /** `endStream`: nothing more comes. */
  dataArrived(chunk: Buffer, endStream: boolean): void {
    if (this.missing >= 0) {
      this.missing -= chunk.length;
      if (this.missing < 0 || (endStream && this.missing > 0)) {
        this.owner.lengthBroken(this);
        return;
      }
    }
    if (endStream) this.state = afterEndReceived(this.state);
    else if (chunk.length === 0) return;
    if (this.#paused || this.#kept !== undefined || this.#delivering) {
      this.#kept ??= new ByteQueue();
      this.#kept.push(chunk);
      this.#keptEnd = endStream;
      return;
    }
    this.#deliver(chunk, endStream);
  }

  /** END_STREAM is with them. */
  trailersArrived(trailers: HeaderMap): void {
    if (this.missing > 0) {
      this.owner.lengthBroken(this);
      return;
    }
    this.state = afterEndReceived(this.state);
    this.owner.trailersSeen();
    if (this.#paused || this.#kept !== undefined || this.#delivering) {
      this.#kept ??= new ByteQueue();
      this.#keptTrailers = trailers;
    } else {
      this.deliverTrailers(trailers);
      this.endDelivered();
    }
  }

  /** Whether something was received and not given on. */
  protected get keeps(): boolean {
    return this.#kept !== undefined;
  }

  protected pause(): void {
    this.#paused = true;
  }

  protected resume(): void {
    this.#paused = false;
    if (this.#kept === undefined || this.#delivering) return;
    while (this.#kept !== undefined && !this.#paused) this.#deliverKept(this.#kept);
  }

  #deliverKept(kept: ByteQueue): void {
    const chunk = kept.shift();
    if (kept.bytes === 0 && this.#keptTrailers === undefined) {
      this.#kept = undefined;
      this.#deliver(chunk ?? NOTHING, this.#keptEnd);
    } else if (chunk !== undefined) this.#deliver(chunk, false);
    else {
      const trailers = this.#keptTrailers!; // what else is kept without a chunk
      this.#kept = undefined;
      this.#keptTrailers = undefined;
      this.deliverTrailers(trailers);
      this.endDelivered();
    }
  }

  #deliver(chunk: Buffer, endStream: boolean): void {
    const nested = this.#delivering;
    this.#delivering = true;
    this.deliverData(chunk, endStream);
    this.#delivering = nested;
    if (endStream) this.endDelivered();
    else if (this.state !== StreamState.Closed) this.owner.giveBack(this, chunk.length);
  }

  /** Nothing more is sent, received or told. */
  release(): void {
    this.state = StreamState.Closed;
    this.dropQueue();
    this.#kept = undefined;
    this.#keptTrailers = undefined;
    this.needsDrain = false;
    this.heldBack = false;
  }
}

/** Writes a frame of what waits. */
export interface FrameWriter {
  writeQueued(stream: H2Stream, queue: ByteQueue, bytes: number, endStream: boolean): void;
}

const NOTHING = Buffer.alloc(0);
/** Trailers have no pseudo-fields (RFC 9113 §8.1). */
const NO_LEAD: readonly string[] = [];
