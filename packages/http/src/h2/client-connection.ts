import { Buffer } from "node:buffer"; // the global one is an accessor
import { type Failure, failure, type RetryAdvice } from "@heddle/base";
import type { ClientConnection, ClientConnectionEvents, RequestEncoder, ResponseDecoder, Transport } from "../codec.ts";
import type { RequestHead } from "../head.ts";
import { ClientStream, type ClientStreamOwner } from "./client-stream.ts";
import { Ending } from "./closed-streams.ts";
import { ErrorCode, type FrameError, protocolError, Setting } from "./frame/index.ts";
import { H2Connection } from "./h2-connection.ts";
import { type H2ClientOptions, settleH2Options } from "./h2-options.ts";
import type { DecodedBlock } from "./hpack/index.ts";
import { MessageError } from "./message-error.ts";
import { PREFACE } from "./preface.ts";
import { ResponseMeaning, readResponse } from "./read-response.ts";

/** Until the peer's SETTINGS have come, which may not limit streams at all (RFC 9113 §6.5.2; fewer than 100 nobody should set). */
const FIRST_MAX_STREAMS = 100;
/** Of a client, whose streams have odd numbers. */
const LAST_STREAM = 0x7fff_ffff;

const PUSH_ENABLED = protocolError("a server that enables push"); // RFC 9113 §6.5.2
const CONNECT_WITHDRAWN = protocolError("extended CONNECT was offered and is not any more"); // RFC 8441 §3
const SERVERS_HEADERS = protocolError("HEADERS on a stream that was not opened"); // RFC 9113 §5.1
const NO_UPGRADES = failure(
  "upgrade-refused",
  "upstream",
  "the upstream does not offer upgrades on HTTP/2 (SETTINGS_ENABLE_CONNECT_PROTOCOL)",
);
const REFUSED: Failure = {
  ...failure("reset-by-upstream", "upstream", "the upstream refused the stream", "safe"),
  code: "http2.remote_refuse",
};
const RESET: Failure = {
  ...failure("reset-by-upstream", "upstream", "the upstream reset the stream"),
  code: "http2.remote_reset",
};
/** The same as a refusal to whoever asked (RFC 9113 §6.8, §8.7), so it has the same name. */
const LEFT_OUT = failure("reset-by-upstream", "upstream", "the upstream's GOAWAY left the stream out", "safe");
const NO_ROOM = failure("connection-closed", "upstream", "the connection takes no more exchanges", "safe");
const CLOSED_EARLY = "the upstream closed before the response was complete";
const DATA_BEFORE_HEAD = "DATA before the head of a response";

/**
 * HTTP/2 towards a server (RFC 9113), many exchanges at a time.
 *
 * When the connection cannot be used again and holds nothing, `onClose` is called once, after the decoders have heard the last of
 * their exchanges; the owner then destroys the transport. What the codec still had to say (GOAWAY) has been sent with FIN before.
 */
export class H2ClientConnection extends H2Connection<ClientStream> implements ClientConnection, ClientStreamOwner {
  readonly #events: ClientConnectionEvents;
  #nextId = 1;
  #started = 0;
  /** Exchanges without a number: rarely more than one, since most heads follow at once. */
  #unopened: ClientStream[] = [];
  /** Heads that wait for SETTINGS, by their streams. */
  #waitingHeads = new Map<ClientStream, { readonly head: RequestHead; readonly endStream: boolean }>();
  #peerMaxStreams = Infinity;
  #peerAllowsConnect = false;
  /** The peer has sent GOAWAY, or we take no more. */
  #draining = false;
  #closed = false;

  constructor(transport: Transport, events: ClientConnectionEvents, options: H2ClientOptions = {}) {
    super(transport, settleH2Options(options));
    this.#events = events;
    transport.writeBytes(PREFACE);
    this.sendSettings([Setting.EnablePush, 0]);
  }

  /** The peer's SETTINGS_MAX_CONCURRENT_STREAMS and ours, whichever is less. */
  get maxConcurrentStreams(): number {
    const peers = this.settingsSeen ? this.#peerMaxStreams : FIRST_MAX_STREAMS;
    return Math.min(peers, this.options.maxConcurrentStreams);
  }

  get capacity(): number {
    if (this.#draining || this.over) return 0;
    return Math.max(0, this.maxConcurrentStreams - this.active);
  }

  get active(): number {
    return this.streams.size + this.#unopened.length;
  }

  get started(): number {
    return this.#started;
  }

  /** The peer's SETTINGS have come. */
  get settled(): boolean {
    return this.settingsSeen;
  }

  /** The peer has announced extended CONNECT (RFC 8441), and we allow it. */
  get acceptsUpgrades(): boolean {
    return this.#peerAllowsConnect && this.options.allowConnect;
  }

  startExchange(decoder: ResponseDecoder): RequestEncoder {
    if (this.capacity === 0) throw new Error("an exchange was started on a connection without capacity");
    this.#started++;
    const stream = new ClientStream(this, decoder, this.options.initialStreamWindowSize);
    this.#unopened.push(stream);
    return stream;
  }

  receive(bytes: Uint8Array): void {
    if (!this.over) this.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  receiveEnd(): void {
    if (this.over) return;
    this.finish();
    this.transport.end();
    const cut = this.active === 0 ? undefined : failure("connection-closed", "upstream", CLOSED_EARLY);
    this.#tellClosed((retry) => failure("connection-closed", "upstream", CLOSED_EARLY, retry), cut);
  }

  transportClosed(cause: Failure): void {
    if (this.#closed) return;
    this.finish();
    this.#tellClosed((retry) => ({ ...cause, retry }), cause);
  }

  drain(): void {
    if (this.#draining || this.over) return;
    this.#draining = true;
    if (this.active === 0) this.#end();
    else this.#events.onCapacityChange();
  }

  // A stream asks.

  open(stream: ClientStream, head: RequestHead, endStream: boolean): boolean {
    const isUpgrade = head.upgrade !== undefined && head.method !== "CONNECT";
    if (isUpgrade && !this.settingsSeen && this.options.allowConnect && !this.over) {
      this.#waitingHeads.set(stream, { head, endStream }); // what it may ask is not known yet
      return false;
    }
    const unusable = this.over || this.#nextId > LAST_STREAM;
    if (unusable || (isUpgrade && !this.acceptsUpgrades)) {
      this.forget(stream);
      stream.fail(unusable ? NO_ROOM : NO_UPGRADES);
      return false;
    }
    this.#leaveUnopened(stream);
    stream.opened(this.#nextId, this.peerInitialWindow);
    this.#nextId += 2;
    if (this.#nextId > LAST_STREAM) this.#draining = true; // the numbers are used up (RFC 9113 §5.1.1)
    this.limits.streamOpened();
    this.add(stream);
    return true;
  }

  forget(stream: ClientStream): void {
    this.#waitingHeads.delete(stream);
    if (this.#leaveUnopened(stream)) this.streamLeft();
  }

  #leaveUnopened(stream: ClientStream): boolean {
    const at = this.#unopened.lastIndexOf(stream);
    if (at < 0) return false;
    if (at === this.#unopened.length - 1) this.#unopened.pop();
    else this.#unopened.splice(at, 1);
    return true;
  }

  // The base asks.

  protected override get lastPeerStream(): number {
    return 0;
  }

  protected override isIdle(streamId: number): boolean {
    return streamId >= this.#nextId || streamId % 2 === 0;
  }

  protected override headersBegun(): void {
    // Its exchange is there already.
  }

  protected override headersArrived(streamId: number, block: DecodedBlock, endStream: boolean): void {
    const stream = this.streams.get(streamId);
    if (stream === undefined) {
      if (this.isIdle(streamId)) this.failWith(SERVERS_HEADERS);
      else this.headersOfClosed(streamId);
      return;
    }
    const error = this.#takeSection(stream, block, endStream);
    if (error !== undefined) this.#refuseMessage(stream, error);
  }

  #takeSection(stream: ClientStream, block: DecodedBlock, endStream: boolean): MessageError | undefined {
    if (stream.hasHead) {
      const trailers = this.readTrailers(stream, block, endStream);
      if (trailers instanceof MessageError) return trailers;
      stream.trailersArrived(trailers);
      return undefined;
    }
    const meaning = block.overLimit ? this.overLimit(block) : this.#meaningOf(block);
    return meaning instanceof MessageError ? meaning : stream.headArrived(meaning, endStream, block);
  }

  #meaningOf(block: DecodedBlock): ResponseMeaning | MessageError {
    const { meaning, like } = block;
    if (meaning instanceof ResponseMeaning) return meaning;
    const alike = like?.meaning instanceof ResponseMeaning ? like.meaning.ofLike(block) : undefined;
    if (alike !== undefined) return alike;
    const read = readResponse(block.fields, this.options.limits.maxHeaderCount);
    block.meaning = read;
    return read;
  }

  #refuseMessage(stream: ClientStream, error: MessageError): void {
    this.countOverflow(error);
    if (error.status === 0) this.messageBroken(stream, stream.id, error);
    else this.breakStream(stream, ErrorCode.Cancel, error.detail, error);
  }

  protected override takesData(stream: ClientStream): boolean {
    if (stream.hasHead) return true;
    this.options.stats.rxMessagingError.add();
    this.breakStream(stream, ErrorCode.ProtocolError, DATA_BEFORE_HEAD, undefined); // RFC 9113 §8.1
    return false;
  }

  protected override settingsArrived(setting: number, value: number): FrameError | undefined {
    switch (setting) {
      case Setting.MaxConcurrentStreams:
        this.#peerMaxStreams = value;
        return undefined;
      case Setting.EnablePush:
        return value === 1 ? PUSH_ENABLED : undefined;
      case Setting.EnableConnectProtocol:
        if (this.#peerAllowsConnect && value === 0) return CONNECT_WITHDRAWN;
        this.#peerAllowsConnect = value === 1;
        return undefined;
      default:
        return undefined;
    }
  }

  protected override settingsDone(): void {
    const waiting = this.#waitingHeads;
    this.#waitingHeads = new Map();
    for (const [stream, { head, endStream }] of waiting) stream.sendWaitingHead(head, endStream);
    if (!this.over) this.#events.onCapacityChange();
  }

  protected override goAwayArrived(lastStreamId: number): void {
    const wasDraining = this.#draining;
    this.#draining = true;
    const left: ClientStream[] = [];
    for (const stream of this.streams.list()) if (stream.id > lastStreamId) left.push(stream);
    for (const stream of left) this.takeOut(stream, Ending.ResetByUs);
    left.push(...this.#unopened);
    this.#unopened = [];
    this.#waitingHeads.clear();
    if (!wasDraining) this.#events.onGoAway?.();
    for (const stream of left) stream.fail(LEFT_OUT);
    if (this.over) return;
    if (this.active === 0) this.#end();
    else this.#events.onCapacityChange();
  }

  protected override pong(): void {
    this.#events.onPong?.();
  }

  protected override drainRead(): void {
    // A client has no drain to tell of.
  }

  protected override resetArrived(stream: ClientStream, errorCode: ErrorCode): void {
    if (errorCode === ErrorCode.RefusedStream) this.options.stats.streamRefusedErrors.add();
    stream.fail(errorCode === ErrorCode.RefusedStream ? REFUSED : RESET);
  }

  protected override streamBroken(stream: ClientStream, detail: string, cause: MessageError | undefined): void {
    stream.fail(cause?.upstream ?? failure("upstream-protocol-error", "upstream", detail));
  }

  protected override nobodyReset(): void {
    // No exchange is the poorer for it.
  }

  protected override streamLeft(): void {
    if (this.over) return;
    if (this.#draining && this.active === 0) this.#end();
    else this.#events.onCapacityChange();
  }

  protected override failureOf({ detail }: FrameError): Failure {
    return failure("upstream-protocol-error", "upstream", detail);
  }

  protected override failureOfMessage(error: MessageError): Failure {
    return error.upstream;
  }

  protected override connectionFailed(cause: Failure): void {
    this.#tellClosed(() => NO_ROOM, cause);
  }

  /** All is done, and nothing more may begin. */
  #end(): void {
    this.writeGoAway(0, ErrorCode.NoError);
    this.finish();
    this.transport.end();
    this.#tellClosed(() => NO_ROOM, undefined);
  }

  /** Tells every exchange that is left what `toExchange` makes of whether it may be sent again, then the owner. */
  #tellClosed(toExchange: (retry: RetryAdvice) => Failure, toOwner: Failure | undefined): void {
    const left = [...this.takeAll(), ...this.#unopened];
    this.#unopened = [];
    this.#waitingHeads.clear();
    for (const stream of left) stream.fail(toExchange(retryAdvice(stream)));
    if (this.#closed) return;
    this.#closed = true;
    this.#events.onClose(toOwner);
  }
}

function retryAdvice(stream: ClientStream): RetryAdvice {
  if (!stream.bytesHandedOver) return "safe";
  return stream.responseBegun ? "never" : "if-connection-was-reused";
}
