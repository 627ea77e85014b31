import { Buffer } from "node:buffer"; // the global one is an accessor
import type { Failure } from "@heddle/base";
import type { Transport } from "../codec.ts";
import type { HeaderMap } from "../header-map.ts";
import type { ByteQueue } from "./byte-queue.ts";
import { ClosedStreams, Ending } from "./closed-streams.ts";
import { DEFAULT_WINDOW, ReceiveWindow, SendWindow } from "./flow-window.ts";
import {
  ErrorCode,
  Flag,
  FrameError,
  type FrameEvents,
  type FrameHeader,
  FrameReader,
  FrameType,
  HEADERS_ON_CONNECTION,
  protocolError,
  readContinuation,
  readGoAway,
  readHeaders,
  readPing,
  readPriority,
  readRstStream,
  readSettings,
  readWindowUpdate,
  Setting,
} from "./frame/index.ts";
import { FrameOutput } from "./frame-output.ts";
import type { H2Settled } from "./h2-options.ts";
import type { FrameWriter, H2Stream, StreamOwner } from "./h2-stream.ts";
import { HeadEncoder } from "./head-encoder.ts";
import { HeaderBlock } from "./header-block.ts";
import { type DecodedBlock, HpackDecoder, HpackError } from "./hpack/index.ts";
import { InboundLimits } from "./inbound-limits.ts";
import { badMessage, MessageError } from "./message-error.ts";
import { TOO_MANY_FIELDS } from "./read-fields.ts";
import { readTrailers } from "./read-response.ts";
import { mayReceive, StreamState } from "./stream-state.ts";
import { StreamTable } from "./stream-table.ts";

const NO_SETTINGS = protocolError("the first frame is not SETTINGS"); // RFC 9113 §3.4
const INSIDE_BLOCK = protocolError("another frame within a header block"); // §4.3
const NO_BLOCK = protocolError("CONTINUATION without a header block"); // §6.10
const PUSHED = protocolError("PUSH_PROMISE, which is not allowed"); // §6.6, §8.4
const ON_IDLE = protocolError("a frame on an idle stream"); // §5.1
const WINDOW_EXCEEDED = new FrameError(ErrorCode.FlowControlError, "connection", "more DATA than the window allows"); // §6.9
const STREAM_WINDOW_EXCEEDED = new FrameError(ErrorCode.FlowControlError, "stream", "more DATA than the window allows");
const WINDOW_TOO_LARGE = new FrameError(ErrorCode.FlowControlError, "connection", "a window above 2^31 - 1"); // §6.9.1
const STREAM_WINDOW_TOO_LARGE = new FrameError(ErrorCode.FlowControlError, "stream", "a window above 2^31 - 1");
const ON_CLOSED = new FrameError(ErrorCode.StreamClosed, "stream", "a frame behind the end of its stream"); // §5.1
const AFTER_END = new FrameError(ErrorCode.StreamClosed, "connection", "a frame on a stream that has ended"); // §5.1
const SELF_DEPENDENT = new FrameError(ErrorCode.ProtocolError, "stream", "a stream that depends on itself");
const TOO_MANY_SETTINGS = calm("SETTINGS with more than 32 entries");
const EMPTY_FLOOD = calm("too many empty frames");
const PRIORITY_FLOOD = calm("too many PRIORITY frames");
const WINDOW_UPDATE_FLOOD = calm("too many WINDOW_UPDATE frames");
const ENDLESS_BLOCK = calm("a header block that does not end");
const CONTROL_FLOOD = calm("too many PING, SETTINGS or RST_STREAM frames to be answered");
const OUTBOUND_FLOOD = calm("too many frames that the peer does not read");
export const BAD_LENGTH = badMessage("the body does not keep its content-length"); // RFC 9113 §8.1.1
const LATE_HEADERS = badMessage("a second header section without END_STREAM"); // §8.1
const HEADERS_IN_TUNNEL = badMessage("HEADERS within a tunnel"); // §8.5
const LIST_TOO_LARGE = new MessageError(431, "the head is too large", "http2.headers_too_large");

/** nghttp2's cap, which Envoy has with it. */
const MAX_SETTINGS = 32;
const SETTING_BYTES = 6;
/** A block that is not much larger than allowed is read to its end, so that its stream alone is refused. */
const BLOCK_ROOM = 16_384;
/** Pseudo-fields that a list may have beside its fields, and more than any good one. */
const MAX_PSEUDO_FIELDS = 8;
// PINGs of ours, told apart by what they carry, which the answer carries too (§6.7).
const KEEPALIVE_PING = Buffer.from("heddle h", "latin1");
const DRAIN_PING = Buffer.from("heddle d", "latin1");

/**
 * What both roles of HTTP/2 have in common (RFC 9113): frames, SETTINGS, PING, GOAWAY, flow control, the table of streams, the
 * turns in which streams send.
 *
 * Invariants:
 * - Every header block is decoded, also of streams that nobody wants, since the table must stay right.
 * - `streams` has exactly the streams that are open or half-closed, and those whose end was received and not given on yet.
 * - While DATA wait, the transport is full, a window is used up, or the line is being served.
 * - After `fail` or `finish` nothing is read or written.
 */
export abstract class H2Connection<Stream extends H2Stream> implements FrameEvents, StreamOwner, FrameWriter {
  protected readonly options: H2Settled;
  protected readonly transport: Transport;
  readonly output: FrameOutput;
  readonly encoder: HeadEncoder;
  protected readonly streams = new StreamTable<Stream>();
  protected readonly closed = new ClosedStreams();
  protected readonly limits: InboundLimits;
  protected readonly reader: FrameReader;
  readonly #decoder: HpackDecoder;
  readonly #block: HeaderBlock;
  readonly #receiveWindow: ReceiveWindow;
  /** So many that wait pass no limit, of whatever kind they are. */
  readonly #fewFrames: number;
  readonly #sendWindow = new SendWindow(DEFAULT_WINDOW);
  protected peerInitialWindow = DEFAULT_WINDOW;
  #settingsSeen = false;
  /** The priority fields of the last HEADERS say so, which is an error of the stream (RFC 7540 §5.3.1). */
  protected selfDependent = false;
  /** Ever received, other than DATA. */
  #wholeFrames = 0;
  /** Of the frames of the header section that came last. */
  protected headBytes = 0;

  /** The DATA frame that is being read: its stream, undefined if nobody takes it. */
  #dataStream: Stream | undefined = undefined;
  #dataLength = 0;
  #dataGiven = 0;
  #dataEnds = false;

  #firstInLine: H2Stream | undefined = undefined;
  #lastInLine: H2Stream | undefined = undefined;
  protected lineLength = 0;
  #pumping = false;
  /** Streams that wait to be told that they may go on, and some that do no more. */
  #stalled: H2Stream[] = [];

  /** Nothing more is read or written. */
  protected over = false;

  constructor(transport: Transport, options: H2Settled) {
    this.transport = transport;
    this.options = options;
    const { limits, hpackTableSize, initialConnectionWindowSize } = options;
    this.#fewFrames = Math.min(options.maxOutboundFrames, options.maxOutboundControlFrames);
    this.output = new FrameOutput(transport);
    this.encoder = new HeadEncoder(hpackTableSize);
    this.#decoder = new HpackDecoder({
      maxTableSize: Math.max(4096, hpackTableSize), // until the peer knows better
      maxListSize: limits.maxHeadBytes,
      maxCount: limits.maxHeaderCount + MAX_PSEUDO_FIELDS,
    });
    this.#block = new HeaderBlock(limits.maxHeadBytes * 2 + BLOCK_ROOM);
    this.#receiveWindow = new ReceiveWindow(initialConnectionWindowSize);
    this.limits = new InboundLimits(options);
    this.reader = new FrameReader(this);
  }

  // What a role does.

  /** A header section has begun and is not whole yet. */
  protected abstract headersBegun(streamId: number): void;
  /** A header section is whole. */
  protected abstract headersArrived(streamId: number, block: DecodedBlock, endStream: boolean): void;
  /** Nobody has used it, and it is none that was passed over. */
  protected abstract isIdle(streamId: number): boolean;
  protected abstract settingsArrived(setting: number, value: number): FrameError | undefined;
  protected abstract goAwayArrived(lastStreamId: number): void;
  /** The peer has reset the stream, which is out of the table. */
  protected abstract resetArrived(stream: Stream, errorCode: number): void;
  /** We have reset the stream, since the peer erred; it is out of the table. */
  protected abstract streamBroken(stream: Stream, detail: string, cause: MessageError | undefined): void;
  /** A message that there is no stream for was broken, or its stream was refused. */
  protected abstract nobodyReset(): void;
  /** A stream has left the table. */
  protected abstract streamLeft(): void;
  /** The peer has erred: GOAWAY is written, the transport is ending, and every stream has been told. */
  protected abstract connectionFailed(failure: Failure): void;
  protected abstract failureOf(error: FrameError): Failure;
  protected abstract failureOfMessage(error: MessageError): Failure;
  /** For GOAWAY: the last of the peer's streams. */
  protected abstract readonly lastPeerStream: number;
  protected abstract pong(): void;
  /** The peer has read all that was written before `pingForDrain`. */
  protected abstract drainRead(): void;

  // Settings.

  /** Our part of the preface (RFC 9113 §3.4). */
  protected sendSettings(...more: (readonly [setting: number, value: number])[]): void {
    const { hpackTableSize, initialStreamWindowSize, initialConnectionWindowSize, limits } = this.options;
    this.output.writeSettings([
      ...(hpackTableSize === 4096 ? [] : [[Setting.HeaderTableSize, hpackTableSize] as const]),
      [Setting.InitialWindowSize, initialStreamWindowSize],
      [Setting.MaxHeaderListSize, limits.maxHeadBytes],
      ...more,
    ]);
    if (initialConnectionWindowSize > DEFAULT_WINDOW)
      this.output.writeWindowUpdate(0, initialConnectionWindowSize - DEFAULT_WINDOW);
  }

  protected get settingsSeen(): boolean {
    return this.#settingsSeen;
  }

  /**
   * A number of its own for each frame other than DATA of which a part has come: whoever has time limits how long nothing else can
   * come. -1: there is none.
   */
  get partialFrame(): number {
    return this.reader.insideWhole ? this.#wholeFrames : -1;
  }

  protected get betweenMessages(): boolean {
    return this.reader.betweenFrames && this.#block.streamId === 0;
  }

  /** Sends a PING; its answer is `onPong`. */
  ping(): void {
    if (!this.over) this.output.writePing(KEEPALIVE_PING, false);
  }

  protected pingForDrain(): void {
    this.output.writePing(DRAIN_PING, false);
  }

  // Reading.

  protected read(bytes: Buffer): void {
    this.output.readBegins();
    const error = this.reader.receive(bytes);
    if (error !== undefined) this.failWith(error);
    this.output.readEnds();
  }

  protected readOn(): void {
    this.output.readBegins();
    const error = this.reader.goOn();
    if (error !== undefined) this.failWith(error);
    this.output.readEnds();
  }

  onFrame(header: FrameHeader, payload: Buffer): undefined {
    this.#wholeFrames++;
    this.#frameTaken(header, this.#misplaced(header) ?? this.#takeFrame(header, payload));
  }

  onPlainHeaders(header: FrameHeader, bytes: Buffer, at: number): undefined {
    this.#wholeFrames++;
    this.#frameTaken(header, this.#misplaced(header) ?? this.#takePlainHeaders(header, bytes, at));
  }

  #frameTaken(header: FrameHeader, error: FrameError | undefined): void {
    if (error !== undefined) {
      if (error.scope === "connection") this.failWith(error);
      else this.#breakStream(header.streamId, error);
    }
    this.checkOutput();
  }

  /** Whether no such frame may come now, whatever it says. */
  #misplaced({ type, flags, streamId }: FrameHeader): FrameError | undefined {
    const open = this.#block.streamId;
    if (open !== 0 && (type !== FrameType.Continuation || streamId !== open)) return INSIDE_BLOCK;
    if (!this.#settingsSeen && (type !== FrameType.Settings || (flags & Flag.Ack) !== 0)) return NO_SETTINGS;
    return undefined;
  }

  #takeFrame(header: FrameHeader, payload: Buffer): FrameError | undefined {
    switch (header.type) {
      case FrameType.Headers:
        return this.#takeHeaders(header, payload);
      case FrameType.Priority:
        return this.#takePriority(header, payload);
      case FrameType.RstStream:
        return this.#takeReset(header, payload);
      case FrameType.Settings:
        return this.#takeSettings(header, payload);
      case FrameType.PushPromise:
        return PUSHED;
      case FrameType.Ping:
        return this.#takePing(header, payload);
      case FrameType.GoAway:
        return this.#takeGoAway(header, payload);
      case FrameType.WindowUpdate:
        return this.#takeWindowUpdate(header, payload);
      case FrameType.Continuation:
        return this.#takeContinuation(header, payload);
      default:
        return undefined; // unknown ones are ignored (RFC 9113 §4.1)
    }
  }

  /** As `#takeHeaders`, of a frame that says nothing but its block. */
  #takePlainHeaders({ flags, length, streamId }: FrameHeader, bytes: Buffer, at: number): FrameError | undefined {
    if (streamId === 0) return HEADERS_ON_CONNECTION;
    this.limits.takePayload(false);
    this.selfDependent = false;
    this.headBytes = length + HEADER_BYTES;
    return this.#takeBlock(streamId, bytes, at, at + length, (flags & Flag.EndStream) !== 0);
  }

  #takeHeaders(header: FrameHeader, payload: Buffer): FrameError | undefined {
    const frame = readHeaders(header, payload);
    if (frame instanceof FrameError) return frame;
    const { fragment, endStream, endHeaders, dependsOn } = frame;
    if (!this.limits.takePayload(fragment.length === 0 && !endStream)) return this.#flood(EMPTY_FLOOD);
    this.selfDependent = dependsOn === header.streamId;
    this.headBytes = header.length + HEADER_BYTES;
    if (endHeaders) return this.#takeBlock(header.streamId, fragment as Buffer, 0, fragment.length, endStream);
    if (!this.selfDependent) this.headersBegun(header.streamId);
    return this.#block.begin(header.streamId, endStream, fragment as Buffer) ? undefined : this.#endless();
  }

  #takeContinuation(header: FrameHeader, payload: Buffer): FrameError | undefined {
    const frame = readContinuation(header, payload);
    if (frame instanceof FrameError) return frame;
    if (this.#block.streamId === 0) return NO_BLOCK;
    if (!this.limits.takePayload(payload.length === 0)) return this.#flood(EMPTY_FLOOD);
    this.headBytes += header.length + HEADER_BYTES;
    if (!this.#block.append(payload)) return this.#endless();
    if (!frame.endHeaders) return undefined;
    const { endStream } = this.#block;
    const block = this.#block.end();
    return this.#takeBlock(header.streamId, block, 0, block.length, endStream);
  }

  #endless(): FrameError {
    this.options.stats.headerOverflow.add();
    return ENDLESS_BLOCK;
  }

  /** The block lies in `bytes` from `at` to `end`. */
  #takeBlock(streamId: number, bytes: Buffer, at: number, end: number, endStream: boolean): FrameError | undefined {
    const decoded = this.#decoder.decode(bytes, at, end);
    if (decoded instanceof HpackError) {
      return new FrameError(ErrorCode.CompressionError, "connection", decoded.detail); // RFC 9113 §4.3
    }
    const stream = this.streams.get(streamId);
    if (stream !== undefined && !mayReceive(stream.state)) {
      return stream.state === StreamState.Closed ? AFTER_END : ON_CLOSED;
    }
    if (this.selfDependent && stream !== undefined) return SELF_DEPENDENT;
    if (stream !== undefined) stream.wireBytesReceived += this.headBytes;
    this.headersArrived(streamId, decoded, endStream);
    return undefined;
  }

  /** Header sections of streams that are not in the table and not new. */
  protected headersOfClosed(streamId: number): void {
    this.options.stats.headersCbNoStream.add();
    switch (this.closed.find(streamId)) {
      case Ending.ResetByUs:
      case Ending.Forgotten:
        return; // it was on its way when we reset
      case Ending.ResetByPeer:
        this.resetNobody(streamId, ErrorCode.StreamClosed);
        return;
      case Ending.Complete:
        this.failWith(AFTER_END);
        return;
      default:
        this.failWith(PASSED_OVER); // RFC 9113 §5.1.1
    }
  }

  /** The section behind a message's body, or why it is none. */
  protected readTrailers(stream: Stream, block: DecodedBlock, endStream: boolean): HeaderMap | MessageError {
    if (stream.isTunnel) return HEADERS_IN_TUNNEL;
    if (block.overLimit) return this.overLimit(block);
    return endStream ? readTrailers(block.fields, this.options.limits.maxHeaderCount) : LATE_HEADERS;
  }

  /** Which of the limits a list has passed. */
  protected overLimit({ fields }: DecodedBlock): MessageError {
    return fields.length / 2 >= this.options.limits.maxHeaderCount ? TOO_MANY_FIELDS : LIST_TOO_LARGE;
  }

  protected countOverflow(error: MessageError): void {
    if (error.status === 431) this.options.stats.headerOverflow.add();
  }

  #takePriority(header: FrameHeader, payload: Buffer): FrameError | undefined {
    if (!this.limits.takePriority()) return this.#flood(PRIORITY_FLOOD);
    const frame = readPriority(header, payload);
    if (frame instanceof FrameError) return frame;
    return frame.dependsOn === header.streamId ? SELF_DEPENDENT : undefined;
  }

  #takeReset(header: FrameHeader, payload: Buffer): FrameError | undefined {
    const frame = readRstStream(header, payload);
    if (frame instanceof FrameError) return frame;
    const stream = this.streams.get(header.streamId);
    if (stream === undefined || stream.state === StreamState.Closed)
      return this.isIdle(header.streamId) ? ON_IDLE : undefined;
    this.options.stats.rxReset.add();
    this.takeOut(stream, Ending.ResetByPeer);
    this.resetArrived(stream, frame.errorCode);
    this.streamLeft();
    return undefined;
  }

  #takeSettings(header: FrameHeader, payload: Buffer): FrameError | undefined {
    if (payload.length > MAX_SETTINGS * SETTING_BYTES) return TOO_MANY_SETTINGS;
    const frame = readSettings(header, payload);
    if (frame instanceof FrameError) return frame;
    if (frame.ack) {
      const { hpackTableSize } = this.options;
      if (hpackTableSize < 4096) this.#decoder.allowTableSize(hpackTableSize);
      return undefined;
    }
    let initialWindow = this.peerInitialWindow;
    for (const [setting, value] of frame.settings) {
      if (setting === Setting.InitialWindowSize) initialWindow = value;
      const error = this.#takeSetting(setting, value);
      if (error !== undefined) return error;
    }
    const error = this.#moveWindows(initialWindow);
    if (error !== undefined) return error;
    this.#settingsSeen = true;
    this.output.writeSettingsAck();
    this.settingsDone();
    this.pump();
    this.tellDrained();
    return undefined;
  }

  /** All settings of a frame have been applied. */
  protected settingsDone(): void {}

  #takeSetting(setting: number, value: number): FrameError | undefined {
    switch (setting) {
      case Setting.HeaderTableSize:
        this.encoder.allowTableSize(value);
        return undefined;
      default:
        return this.settingsArrived(setting, value);
    }
  }

  /**
   * RFC 9113 §6.9.2. Once a frame, with its last value: it costs a look at every stream, and a frame may hold many values.
   */
  #moveWindows(initialWindow: number): FrameError | undefined {
    const difference = initialWindow - this.peerInitialWindow;
    this.peerInitialWindow = initialWindow;
    if (difference === 0) return undefined;
    const waiting: Stream[] = [];
    let tooLarge = false;
    this.streams.each((stream) => {
      if (!stream.sendWindow.grow(difference)) tooLarge = true;
      if (difference > 0 && stream.hasQueue) waiting.push(stream);
    });
    if (tooLarge) return WINDOW_TOO_LARGE;
    for (const stream of waiting.sort((a, b) => a.id - b.id)) this.#join(stream);
    return undefined;
  }

  #takePing(header: FrameHeader, payload: Buffer): FrameError | undefined {
    const frame = readPing(header, payload);
    if (frame instanceof FrameError) return frame;
    if (!frame.ack) this.output.writePing(frame.opaque, true);
    else if (KEEPALIVE_PING.equals(frame.opaque)) this.pong();
    else if (DRAIN_PING.equals(frame.opaque)) this.drainRead();
    return undefined;
  }

  #takeGoAway(header: FrameHeader, payload: Buffer): FrameError | undefined {
    const frame = readGoAway(header, payload);
    if (frame instanceof FrameError) return frame;
    this.goAwayArrived(frame.lastStreamId);
    return undefined;
  }

  #takeWindowUpdate(header: FrameHeader, payload: Buffer): FrameError | undefined {
    if (!this.limits.takeWindowUpdate()) return this.#flood(WINDOW_UPDATE_FLOOD);
    const frame = readWindowUpdate(header, payload);
    const { streamId } = header;
    const stream = this.streams.get(streamId);
    if (streamId !== 0 && stream === undefined && this.isIdle(streamId)) return ON_IDLE;
    if (frame instanceof FrameError) return frame;
    if (streamId === 0) {
      if (!this.#sendWindow.grow(frame.increment)) return WINDOW_TOO_LARGE;
      this.pump();
      this.tellDrained();
    } else if (stream !== undefined) {
      if (!stream.sendWindow.grow(frame.increment)) return STREAM_WINDOW_TOO_LARGE;
      if (!stream.hasQueue) return undefined;
      this.schedule(stream);
      if (!this.output.blocked) stream.tellDrained();
    }
    return undefined;
  }

  onDataFrame(header: FrameHeader): undefined {
    const error = this.#beginData(header);
    if (error !== undefined) this.failWith(error);
  }

  #beginData(header: FrameHeader): FrameError | undefined {
    if (this.#block.streamId !== 0) return INSIDE_BLOCK;
    if (!this.#settingsSeen) return NO_SETTINGS;
    const { length, streamId } = header;
    this.#dataStream = undefined;
    this.#dataLength = length;
    this.#dataGiven = 0;
    this.#dataEnds = (header.flags & Flag.EndStream) !== 0;
    // Padding counts too (RFC 9113 §6.1), and frames that nobody takes (§5.1).
    if (!this.#receiveWindow.consume(length)) return WINDOW_EXCEEDED;
    const stream = this.streams.get(streamId);
    if (stream === undefined) return this.isIdle(streamId) ? ON_IDLE : this.#dataOfClosed(streamId);
    if (stream.state === StreamState.Closed) return AFTER_END;
    if (!mayReceive(stream.state)) this.#breakStream(streamId, ON_CLOSED);
    else if (!stream.receiveWindow.consume(length)) this.#breakStream(streamId, STREAM_WINDOW_EXCEEDED);
    else if (this.takesData(stream)) {
      stream.wireBytesReceived += length + HEADER_BYTES;
      this.#dataStream = stream;
    }
    return undefined;
  }

  /** Whether DATA may stand here; if not, the stream has been dealt with. */
  protected abstract takesData(stream: Stream): boolean;

  #dataOfClosed(streamId: number): FrameError | undefined {
    switch (this.closed.find(streamId)) {
      case Ending.ResetByUs:
      case Ending.Forgotten:
        return undefined;
      case Ending.ResetByPeer:
        this.resetNobody(streamId, ErrorCode.StreamClosed);
        return undefined;
      default:
        return AFTER_END;
    }
  }

  onDataChunk(chunk: Buffer, last: boolean): undefined {
    const { length } = chunk;
    this.#dataGiven += length;
    const padding = last ? this.#dataLength - this.#dataGiven : 0;
    const stream = this.#dataStream;
    const ends = last && this.#dataEnds;
    if (last && !this.limits.takePayload(this.#dataGiven === 0 && !ends)) {
      const flood = this.#flood(EMPTY_FLOOD);
      if (flood !== undefined) this.failWith(flood);
      return;
    }
    if (length + padding > 0) {
      const increment = this.#receiveWindow.release(length + padding);
      if (increment > 0) this.output.writeWindowUpdate(0, increment);
    }
    if (stream !== undefined && mayReceive(stream.state)) {
      if (padding > 0 && !ends) this.giveBack(stream, padding);
      if (length > 0 || ends) stream.dataArrived(chunk, ends);
    }
    this.checkOutput();
  }

  // Errors.

  #flood(error: FrameError): FrameError {
    const { stats } = this.options;
    if (error === EMPTY_FLOOD) stats.inboundEmptyFramesFlood.add();
    else if (error === PRIORITY_FLOOD) stats.inboundPriorityFramesFlood.add();
    else if (error === WINDOW_UPDATE_FLOOD) stats.inboundWindowUpdateFramesFlood.add();
    return error;
  }

  /** A peer that does not read, or has us write more than it reads. */
  protected checkOutput(): void {
    const { options, output } = this;
    if (output.waiting <= this.#fewFrames || this.over) return;
    if (output.waitingControl > options.maxOutboundControlFrames) {
      options.stats.outboundControlFlood.add();
      this.failWith(CONTROL_FLOOD, true);
    } else if (output.waiting > options.maxOutboundFrames) {
      options.stats.outboundFlood.add();
      this.failWith(OUTBOUND_FLOOD, true);
    }
  }

  #breakStream(streamId: number, error: FrameError): void {
    const stream = this.streams.get(streamId);
    if (stream !== undefined && stream.state !== StreamState.Closed)
      this.breakStream(stream, error.code, error.detail, undefined);
    else this.failWith(new FrameError(error.code, "connection", error.detail)); // RFC 9113 §5.4.2 allows it
  }

  protected breakStream(stream: Stream, code: ErrorCode, detail: string, cause: MessageError | undefined): void {
    this.#writeReset(stream, code);
    this.takeOut(stream, Ending.ResetByUs);
    this.streamBroken(stream, detail, cause);
    this.streamLeft();
  }

  /** A message that breaks RFC 9113 §8.1.1. */
  protected messageBroken(stream: Stream | undefined, streamId: number, error: MessageError): void {
    this.options.stats.rxMessagingError.add();
    if (!this.options.streamErrorOnInvalidHttpMessage) {
      this.failAll(ErrorCode.ProtocolError, error.detail, this.failureOfMessage(error), false);
    } else if (stream !== undefined) this.breakStream(stream, ErrorCode.ProtocolError, error.detail, error);
    else this.resetNobody(streamId, ErrorCode.ProtocolError);
  }

  lengthBroken(stream: H2Stream): void {
    this.messageBroken(stream as Stream, stream.id, BAD_LENGTH);
  }

  protected resetNobody(streamId: number, code: ErrorCode): void {
    this.refuse(streamId, code);
    this.nobodyReset();
  }

  /** Resets a stream that never was in the table, or is no more. */
  protected refuse(streamId: number, code: ErrorCode): void {
    this.output.writeReset(streamId, code);
    this.options.stats.txReset.add();
    this.closed.add(streamId, Ending.ResetByUs);
  }

  /** Takes the stream out of the table. Whoever has its decoder has told it. */
  sendReset(stream: Stream, code: ErrorCode): void {
    this.#writeReset(stream, code);
    this.remove(stream, Ending.ResetByUs);
  }

  #writeReset(stream: Stream, code: ErrorCode): void {
    if (this.over) return;
    this.output.writeReset(stream.id, code);
    this.options.stats.txReset.add();
  }

  protected failWith(error: FrameError, destroy = false): void {
    this.failAll(error.code, error.detail, this.failureOf(error), destroy);
  }

  /** Ends the connection and all that it carries (RFC 9113 §5.4.1). */
  protected failAll(code: ErrorCode, detail: string, cause: Failure, destroy: boolean): void {
    if (this.over) return;
    this.writeGoAway(this.lastPeerStream, code, detail);
    this.finish();
    if (destroy) this.transport.destroy();
    else this.transport.end();
    this.tellAll(cause);
    this.connectionFailed(cause);
  }

  protected writeGoAway(lastStreamId: number, code: ErrorCode, debug = ""): void {
    this.options.stats.goawaySent.add();
    this.output.writeGoAway(lastStreamId, code, debug);
  }

  /** Nothing more is read or written. */
  protected finish(): void {
    this.over = true;
    this.reader.stop();
    this.#firstInLine = undefined;
    this.#lastInLine = undefined;
  }

  /** The streams end with the connection; what has been received to its end is still given on. */
  protected tellAll(cause: Failure): void {
    for (const stream of this.takeAll()) stream.fail(cause);
  }

  /** Empties the table. The streams that have not been received to their end. */
  protected takeAll(): Stream[] {
    const streams = this.streams.list();
    this.streams.clear();
    this.options.stats.streamsActive.add(-streams.length);
    return streams.filter(({ state }) => state !== StreamState.Closed);
  }

  // The table.

  protected add(stream: Stream): void {
    this.streams.add(stream);
    this.options.stats.streamsActive.add(1);
  }

  remove(stream: Stream, ending: Ending): void {
    if (this.takeOut(stream, ending)) this.streamLeft();
  }

  /** The same without telling the owner of the connection. False: it was not there. */
  protected takeOut(stream: Stream, ending: Ending): boolean {
    stream.state = StreamState.Closed;
    this.closed.add(stream.id, ending);
    if (!this.streams.delete(stream.id)) return false;
    this.options.stats.streamsActive.add(-1);
    return true;
  }

  // Sending.

  get blocked(): boolean {
    return this.output.blocked;
  }

  get streamBufferBytes(): number {
    return this.options.streamBufferBytes;
  }

  countWaiting(bytes: number): void {
    this.options.stats.pendingSendBytes.add(bytes);
  }

  trailersSeen(): void {
    this.options.stats.trailers.add();
  }

  roomFor(stream: H2Stream): number {
    if (this.output.blocked || this.over) return 0;
    return Math.max(0, Math.min(stream.sendWindow.available, this.#sendWindow.available));
  }

  writeData(stream: H2Stream, chunk: Uint8Array, endStream: boolean): void {
    this.#countData(stream, chunk.length);
    this.output.writeData(stream.id, chunk, endStream);
  }

  writeQueued(stream: H2Stream, queue: ByteQueue, bytes: number, endStream: boolean): void {
    this.#countData(stream, bytes);
    this.output.writeQueued(stream.id, queue, bytes, endStream);
  }

  #countData(stream: H2Stream, bytes: number): void {
    stream.sendWindow.consume(bytes);
    stream.wireBytesSent += bytes + HEADER_BYTES;
    this.#sendWindow.consume(bytes);
    this.limits.dataFrameSent();
  }

  /** `block` as the encoder gives it. */
  writeHeaders(stream: H2Stream, block: Buffer, endStream: boolean): void {
    stream.wireBytesSent += this.output.writeHeaders(stream.id, block, endStream);
    if (this.output.blocked) this.checkOutput();
  }

  giveBack(stream: H2Stream, bytes: number): void {
    if (this.over || bytes === 0 || !mayReceive(stream.state)) return;
    const increment = stream.receiveWindow.release(bytes);
    if (increment > 0) this.output.writeWindowUpdate(stream.id, increment);
  }

  schedule(stream: H2Stream): void {
    this.#join(stream);
    this.pump();
  }

  #join(stream: H2Stream): void {
    if (stream.inLine) return;
    stream.inLine = true;
    // Streams that were reset stay in line until their turn, which a client that never opens its window keeps from coming.
    if (++this.lineLength > 2 * this.streams.size + LINE_ROOM) this.#closeRanks();
    if (this.#lastInLine === undefined) this.#firstInLine = stream;
    else this.#lastInLine.nextInLine = stream;
    this.#lastInLine = stream;
  }

  /** Takes those out of the line that have nothing to send any more. */
  #closeRanks(): void {
    let next = this.#firstInLine;
    this.#firstInLine = undefined;
    this.#lastInLine = undefined;
    this.lineLength = 1; // who joins now
    while (next !== undefined) {
      const stream: H2Stream = next;
      next = stream.nextInLine;
      stream.nextInLine = undefined;
      stream.inLine = false;
      if (stream.hasQueue) this.#join(stream);
    }
  }

  /** One frame of each stream that has something to send and may, in turns, until nothing can be sent. */
  protected pump(): void {
    if (this.#pumping || this.over) return;
    this.#pumping = true;
    while (this.#firstInLine !== undefined && !this.output.blocked) {
      const stream: H2Stream = this.#firstInLine;
      const room = this.#sendWindow.available;
      if (room <= 0 && stream.queuedBytes > 0) break; // it stays the first
      this.#firstInLine = stream.nextInLine;
      if (this.#firstInLine === undefined) this.#lastInLine = undefined;
      stream.nextInLine = undefined;
      stream.inLine = false;
      this.lineLength--;
      if (!stream.maySendQueued(room)) continue; // a WINDOW_UPDATE brings it back
      stream.sendQueued(room, this);
      if (stream.hasQueue) this.#join(stream);
    }
    this.#pumping = false;
  }

  /** The stream has said that too much waits. */
  stalled(stream: H2Stream): void {
    if (stream.isStalled) return;
    stream.isStalled = true;
    this.#stalled.push(stream);
    if (this.#stalled.length > 2 * this.streams.size + LINE_ROOM) this.#stalled = this.#stalled.filter(stillStalled);
  }

  protected tellDrained(): void {
    if (this.#stalled.length === 0) return;
    const stalled = this.#stalled;
    this.#stalled = [];
    for (const stream of stalled) {
      stream.isStalled = false;
      if (!this.output.blocked && !this.over) stream.tellDrained();
      if (stream.needsDrain) this.stalled(stream);
    }
  }

  transportDrained(): void {
    if (this.over) return;
    this.output.drained();
    this.pump();
    this.tellDrained();
  }
}

const HEADER_BYTES = 9;
const LINE_ROOM = 32;
const PASSED_OVER = protocolError("HEADERS with a stream's number that is not above the last"); // RFC 9113 §5.1.1

function calm(detail: string): FrameError {
  return new FrameError(ErrorCode.EnhanceYourCalm, "connection", detail);
}

function stillStalled(stream: H2Stream): boolean {
  stream.isStalled = stream.needsDrain;
  return stream.needsDrain;
}
