import { Buffer } from "node:buffer"; // the global one is an accessor
import { type Failure, failure } from "@heddle/base";
import type { ServerConnection, ServerConnectionEvents, Transport } from "../codec.ts";
import { webSocketKey } from "../websocket/handshake.ts";
import { ErrorCode, type FrameError, MAX_STREAM_ID, protocolError, Setting } from "./frame/index.ts";
import { BAD_LENGTH, H2Connection } from "./h2-connection.ts";
import { type H2ServerOptions, settleH2Options } from "./h2-options.ts";
import type { DecodedBlock } from "./hpack/index.ts";
import { MessageError } from "./message-error.ts";
import { PREFACE } from "./preface.ts";
import { RequestMeaning, type RequestReading, readRequest } from "./read-request.ts";
import { ServerStream } from "./server-stream.ts";

const BAD_PREFACE = protocolError("the connection does not begin with the preface");
const SERVERS_STREAM = protocolError("HEADERS on a stream that only a server may open"); // RFC 9113 §5.1.1
const CLIENT_GONE = failure("downstream-reset", "downstream", "the client closed before its exchanges were complete");
const CUT_OFF = failure("downstream-reset", "downstream", "the connection was ended for what the client did");
const RESET = {
  ...failure("downstream-reset", "downstream", "the client reset the stream"),
  code: "http2.remote_reset",
};

/** One read may hold thousands of requests, and what answers them at once would keep the thread for as long. */
const MAX_BURST = 64;

/**
 * HTTP/2 towards a client (RFC 9113).
 *
 * Ending the transport: after the last exchange of a drain, and after a connection error's GOAWAY, the codec calls
 * `transport.end()`, sets `ended` and ignores what still comes. The owner destroys the transport when the client has closed too, or
 * after a grace period. A client that lets frames pile up loses its transport at once.
 *
 * A response that ends before its request resets the stream with NO_ERROR, and the rest of the request is dropped.
 */
export class H2ServerConnection extends H2Connection<ServerStream> implements ServerConnection {
  readonly #events: ServerConnectionEvents;
  readonly #reading: RequestReading;
  /** Bytes of the preface that have come. */
  #prefaceLength = 0;
  /** The highest stream that the client has opened. */
  #last = 0;
  #draining = false;
  /** How far the word that a drain is coming has got. */
  #notice: "unsaid" | "said" | "read" = "unsaid";
  #becameIdle = false;
  #isReading = false;
  /** Requests that were begun with bytes that one read gave. */
  #burst = 0;
  #endReceived = false;
  readonly dropping = false;

  constructor(transport: Transport, events: ServerConnectionEvents, options: H2ServerOptions = {}) {
    const settled = settleH2Options(options);
    super(transport, settled);
    this.#events = events;
    this.#reading = {
      scheme: options.scheme ?? "http",
      maxHeaderCount: settled.limits.maxHeaderCount,
      allowCustomMethods: options.allowCustomMethods ?? false,
      allowConnect: settled.allowConnect,
    };
    this.sendSettings(
      [Setting.MaxConcurrentStreams, settled.maxConcurrentStreams],
      ...(settled.allowConnect ? [[Setting.EnableConnectProtocol, 1] as const] : []),
    );
  }

  get idle(): boolean {
    return this.streams.size === 0 && !this.over && this.betweenMessages;
  }

  get active(): number {
    return this.streams.size;
  }

  get ended(): boolean {
    return this.over;
  }

  override get partialFrame(): number {
    return this.#prefaceLength > 0 && this.#prefaceLength < PREFACE.length ? 0 : super.partialFrame;
  }

  receive(bytes: Uint8Array): void {
    if (this.over) return;
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.#prefaceLength < PREFACE.length) {
      const end = Math.min(rest.length, PREFACE.length - this.#prefaceLength);
      if (rest.compare(PREFACE, this.#prefaceLength, this.#prefaceLength + end, 0, end) !== 0) {
        this.failWith(BAD_PREFACE);
        return;
      }
      this.#prefaceLength += end;
      rest = rest.subarray(end);
    }
    this.#burst = 0;
    this.#isReading = true;
    this.read(rest);
    this.#isReading = false;
    this.#tellIdle();
  }

  continueReading(): void {
    if (!this.reader.held || this.over) return;
    this.#burst = 0;
    this.transport.resume();
    this.#isReading = true;
    this.readOn();
    this.#isReading = false;
    if (this.#endReceived && !this.reader.held) this.receiveEnd();
    this.#tellIdle();
  }

  /** HTTP/2 knows no half-closed connection: whoever sends FIN is gone. */
  receiveEnd(): void {
    if (this.over) return;
    if (this.reader.held) {
      this.#endReceived = true; // behind what was kept
      return;
    }
    this.#end();
    this.tellAll(CLIENT_GONE);
  }

  transportClosed(cause: Failure): void {
    this.finish();
    this.tellAll(cause);
  }

  announceDrain(): void {
    if (this.over || this.#notice !== "unsaid" || this.#draining) return;
    this.#notice = "said";
    this.writeGoAway(MAX_STREAM_ID, ErrorCode.NoError);
    this.pingForDrain();
  }

  drain(): void {
    if (this.over || this.#draining) return;
    this.#draining = true;
    this.writeGoAway(this.#last, ErrorCode.NoError);
    if (this.streams.size === 0) this.#end();
  }

  /**
   * The owner has had enough of what this client does: everything ends, and the client is told why (ENHANCE_YOUR_CALM, RFC 9113
   * §7). `detail` is for people, ASCII. No `onProtocolError` follows.
   */
  giveUp(detail: string): void {
    if (this.over) return;
    this.writeGoAway(this.#last, ErrorCode.EnhanceYourCalm, detail);
    this.#end();
    this.tellAll(CUT_OFF);
  }

  /**
   * Resets streams whose answer is complete and waits for the client, where nothing of it has left since the last call; answers how
   * many. Their exchanges have ended, so nobody else gives them up. To be called again and again while `active` tells of them.
   */
  resetStalled(): number {
    let count = 0;
    for (const stream of this.streams.list()) {
      if (!stream.hasStalled()) continue;
      this.sendReset(stream, ErrorCode.Cancel);
      stream.release();
      count++;
    }
    return count;
  }

  // The base asks.

  protected override get lastPeerStream(): number {
    return this.#last;
  }

  protected override isIdle(streamId: number): boolean {
    return streamId > this.#last || streamId % 2 === 0;
  }

  /** A request whose head comes slowly is one already, for the owner's timeouts. */
  protected override headersBegun(streamId: number): void {
    if (streamId > this.#last && streamId % 2 === 1 && this.#mayTake()) this.#open(streamId, 0); // its bytes are counted when it is whole
  }

  protected override headersArrived(streamId: number, block: DecodedBlock, endStream: boolean): void {
    const stream = this.streams.get(streamId);
    if (stream !== undefined) {
      if (stream.hasHead) this.#takeTrailers(stream, block, endStream);
      else this.#takeHead(stream, streamId, block, endStream);
    } else if (streamId % 2 === 0) this.failWith(SERVERS_STREAM);
    else if (streamId <= this.#last) this.headersOfClosed(streamId);
    else this.#takeRequest(streamId, block, endStream);
  }

  #takeRequest(streamId: number, block: DecodedBlock, endStream: boolean): void {
    if (this.#mayTake() && !this.selfDependent) {
      this.#takeHead(undefined, streamId, block, endStream);
      return;
    }
    const { stats } = this.options;
    this.#last = streamId;
    this.limits.streamOpened();
    if (this.selfDependent) this.resetNobody(streamId, ErrorCode.ProtocolError);
    else if (this.#draining) {
      stats.headersCbNoStream.add();
      this.refuse(streamId, ErrorCode.RefusedStream); // RFC 9113 §6.8
    } else {
      stats.streamRefusedErrors.add();
      this.refuse(streamId, ErrorCode.RefusedStream); // RFC 9113 §5.1.2
      this.nobodyReset();
    }
  }

  #mayTake(): boolean {
    return !this.#draining && this.streams.size < this.options.maxConcurrentStreams;
  }

  #open(streamId: number, wireBytes: number): ServerStream {
    this.#last = streamId;
    this.limits.streamOpened();
    const stream = new ServerStream(this, streamId, this.peerInitialWindow, this.options.initialStreamWindowSize);
    stream.wireBytesReceived = wireBytes;
    this.add(stream);
    stream.decoder = this.#events.onRequest(stream);
    return stream;
  }

  /** `begun`: undefined where the head came in one piece, and is looked at before anybody hears of a request. */
  #takeHead(begun: ServerStream | undefined, streamId: number, block: DecodedBlock, endStream: boolean): void {
    let meaning = block.overLimit ? this.overLimit(block) : this.#meaningOf(block);
    if (meaning instanceof RequestMeaning && endStream && meaning.contentLength > 0) meaning = BAD_LENGTH;
    if (meaning instanceof MessageError) this.countOverflow(meaning);
    if (meaning instanceof MessageError && meaning.status === 0) {
      if (begun === undefined) {
        this.#last = streamId;
        this.limits.streamOpened();
      }
      this.messageBroken(begun, streamId, meaning);
      return;
    }
    const stream = begun ?? this.#open(streamId, this.headBytes);
    if (meaning instanceof MessageError) stream.refuse(meaning.status, meaning.downstream, endStream);
    else this.#beginRequest(stream, meaning, block, endStream);
    this.#countBurst();
  }

  #meaningOf(block: DecodedBlock): RequestMeaning | MessageError {
    const { meaning, like } = block;
    if (meaning instanceof RequestMeaning) return meaning;
    const alike = like?.meaning instanceof RequestMeaning ? like.meaning.ofLike(block) : undefined;
    if (alike !== undefined) return alike;
    const read = readRequest(block.fields, this.#reading);
    block.meaning = read;
    return read;
  }

  #beginRequest(stream: ServerStream, meaning: RequestMeaning, block: DecodedBlock, endStream: boolean): void {
    const head = meaning.toHead();
    head.headers.neverIndexed = block.neverIndexed;
    if (meaning.upgrade === "websocket") {
      // HTTP/1, which may be behind us, wants what HTTP/2 does not have (RFC 8441 §5).
      if (!head.headers.has("sec-websocket-key")) head.headers.append("sec-websocket-key", webSocketKey());
      if (!head.headers.has("sec-websocket-version")) head.headers.append("sec-websocket-version", "13");
    }
    stream.begin(head, endStream, meaning.contentLength);
  }

  #takeTrailers(stream: ServerStream, block: DecodedBlock, endStream: boolean): void {
    const trailers = this.readTrailers(stream, block, endStream);
    if (!(trailers instanceof MessageError)) {
      stream.trailersArrived(trailers);
      return;
    }
    this.countOverflow(trailers);
    if (trailers.status === 0) this.messageBroken(stream, stream.id, trailers);
    else this.breakStream(stream, ErrorCode.EnhanceYourCalm, trailers.detail, trailers);
  }

  #countBurst(): void {
    if (++this.#burst < MAX_BURST || this.#events.onBurst === undefined || this.over || this.reader.held) return;
    this.reader.hold();
    this.transport.pause();
    this.#events.onBurst();
  }

  /** A stream is a tunnel or has a message whose DATA may come. */
  protected override takesData(): boolean {
    return true;
  }

  protected override settingsArrived(): FrameError | undefined {
    return undefined;
  }

  protected override goAwayArrived(): void {
    // A client says that it takes no pushes any more. It goes on with its own streams.
  }

  protected override pong(): void {
    this.#events.onPong?.();
  }

  protected override drainRead(): void {
    if (this.#notice !== "said") return; // an answer to what was not asked, or a second one
    this.#notice = "read";
    this.#events.onDrainRead?.();
  }

  protected override resetArrived(stream: ServerStream): void {
    stream.fail(RESET);
    this.#events.onStreamReset?.(true);
  }

  protected override streamBroken(stream: ServerStream, detail: string, cause: MessageError | undefined): void {
    stream.fail(cause?.downstream ?? { ...failure("bad-request", "downstream", detail), code: CODEC_ERROR });
    this.#events.onStreamReset?.(false);
  }

  protected override nobodyReset(): void {
    this.#events.onStreamReset?.(false);
  }

  protected override streamLeft(): void {
    if (this.streams.size > 0) return;
    this.#becameIdle = true;
    if (!this.#isReading) this.#tellIdle();
  }

  protected override failureOf({ detail }: FrameError): Failure {
    return { ...failure("bad-request", "downstream", detail), code: CODEC_ERROR };
  }

  protected override failureOfMessage(error: MessageError): Failure {
    return error.downstream;
  }

  protected override connectionFailed(cause: Failure): void {
    this.#events.onProtocolError(cause, undefined);
  }

  #tellIdle(): void {
    if (!this.#becameIdle || this.streams.size > 0 || this.over) return;
    this.#becameIdle = false;
    if (this.#draining) this.#end();
    else this.#events.onIdle(); // whatever has come of a next frame: who sends no more of it must not stay for ever
  }

  /** The owner has to see the end of a transport that was paused. */
  protected override finish(): void {
    if (this.reader.held && !this.over) this.transport.resume();
    super.finish();
  }

  #end(): void {
    this.finish();
    this.transport.end();
  }
}

const CODEC_ERROR = "codec_error";
