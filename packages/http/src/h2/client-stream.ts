import { type Failure, failure } from "@heddle/base";
import type { RequestEncoder, ResponseDecoder } from "../codec.ts";
import { INVALID_LENGTH, promisedLength } from "../h1/content-length.ts";
import { isTargetText } from "../h1/request-target.ts";
import { isToken } from "../h1/tokens.ts";
import type { RequestHead, ResponseHead } from "../head.ts";
import type { HeaderMap } from "../header-map.ts";
import { webSocketAccept } from "../websocket/handshake.ts";
import { Ending } from "./closed-streams.ts";
import { ErrorCode } from "./frame/index.ts";
import { H2Stream, type StreamOwner } from "./h2-stream.ts";
import { LeaveOut } from "./head-encoder.ts";
import { badMessage, type MessageError } from "./message-error.ts";
import type { ResponseMeaning } from "./read-response.ts";
import { afterEndReceived, afterEndSent, maySend, StreamState } from "./stream-state.ts";

/** How far the request is. `Waiting`: its head waits for the peer's SETTINGS. */
const Request = { None: 0, Waiting: 1, Body: 2, Ending: 3 } as const;
type Request = (typeof Request)[keyof typeof Request];

/** Interim responses have no flow control of their own; an upstream that sends them without end is broken. */
const MAX_INFORMATIONAL = 32;

const ENDLESS_INTERIM = badMessage("too many interim responses");
const INTERIM_END = badMessage("an interim response that ends the stream"); // RFC 9113 §8.1
const UNSENDABLE = failure("internal", "local", "the method, the path or the authority cannot be sent");
const BROKEN_LENGTH = failure("internal", "local", "the request body does not keep its content-length");
const NOTHING = new Uint8Array(0);

/** What a stream needs of a connection that is a client's. */
export interface ClientStreamOwner extends StreamOwner {
  /**
   * Gives the stream its number, for its head to be sent at once. False: it cannot have one, and has been told; or it has to wait
   * for SETTINGS, and `sendHead` comes again.
   */
  open(stream: ClientStream, head: RequestHead, endStream: boolean): boolean;
  sendReset(stream: ClientStream, code: ErrorCode): void;
  remove(stream: ClientStream, ending: Ending): void;
  /** An exchange has ended that never had a number. */
  forget(stream: ClientStream): void;
}

/** An exchange with an upstream, and the encoder of its request. It is dead when the response has ended, or after a reset. */
export class ClientStream extends H2Stream implements RequestEncoder {
  declare readonly owner: ClientStreamOwner;
  #decoder: ResponseDecoder | undefined;
  #request: Request = Request.None;
  #isHead = false;
  #isConnect = false;
  #upgrade: string | undefined = undefined;
  #webSocketKey: string | undefined = undefined;
  /** The upstream has agreed to the tunnel. */
  #tunnel = false;
  #headReceived = false;
  #informational = 0;
  #bytesHandedOver = false;
  /** The request has ended before its head could be sent. */
  #earlyEnd = false;

  constructor(owner: ClientStreamOwner, decoder: ResponseDecoder, receiveWindow: number) {
    super(owner, 0, 0, receiveWindow);
    this.#decoder = decoder;
  }

  /** `sendWindow`: the peer's initial window, in bytes. */
  opened(id: number, sendWindow: number): void {
    this.id = id;
    this.sendWindow.grow(sendWindow);
  }

  get bytesHandedOver(): boolean {
    return this.#bytesHandedOver;
  }

  /** Something of the response has come. */
  get responseBegun(): boolean {
    return this.#headReceived || this.#informational > 0;
  }

  // The request.

  sendHead(head: RequestHead, endStream: boolean): void {
    if (this.#request !== Request.None || this.#decoder === undefined) return;
    const { method, upgrade, headers } = head;
    const isConnect = method === "CONNECT";
    const path = isConnect ? "/" : head.path;
    if (!isToken(method) || !isSendablePath(path) || !isSendableAuthority(head.authority)) {
      this.#refuse(UNSENDABLE);
      return;
    }
    const isTunnel = isConnect || upgrade !== undefined;
    const length = isTunnel ? -1 : promisedLength(headers);
    if (endStream && length > 0) {
      this.#refuse(BROKEN_LENGTH);
      return;
    }
    if (!this.owner.open(this, head, endStream)) {
      if (this.#decoder !== undefined) this.#request = Request.Waiting;
      return;
    }
    this.#isHead = method === "HEAD";
    this.#isConnect = isConnect;
    this.#upgrade = upgrade?.split(", ", 1)[0]; // of several an h1 client would take any; a stream asks for one
    this.promised = length;
    this.#bytesHandedOver = true;
    this.heldBack = isTunnel;
    const ends = endStream && !isTunnel;
    this.#request = ends ? Request.Ending : Request.Body;
    this.owner.writeHeaders(this, this.#encodeHead(head, isTunnel || length === INVALID_LENGTH), ends);
    if (ends) this.endSent();
    else if (endStream) this.#endTunnel();
  }

  /** SETTINGS have come, and what `sendHead` wanted may be sent, or is known to be impossible. */
  sendWaitingHead(head: RequestHead, endStream: boolean): void {
    this.#request = Request.None;
    this.sendHead(head, endStream || this.#earlyEnd);
  }

  /** RFC 9113 §8.3.1, §8.5; RFC 8441 §4. */
  #encodeHead({ method, scheme, authority, path, headers }: RequestHead, withoutLength: boolean): Buffer {
    const { encoder } = this.owner;
    const leaveOut = withoutLength ? LeaveOut.ContentLength : LeaveOut.Nothing;
    if (this.#upgrade !== undefined) {
      this.#webSocketKey = headers.get("sec-websocket-key");
      return encoder.encode(
        [":method", "CONNECT", ":protocol", this.#upgrade, ":scheme", scheme, ":authority", authority, ":path", path],
        headers,
        leaveOut | LeaveOut.WebSocketKey,
      );
    }
    if (this.#isConnect) return encoder.encode([":method", "CONNECT", ":authority", authority], headers, leaveOut);
    if (authority === "")
      return encoder.encode([":method", method, ":scheme", scheme, ":path", path], headers, leaveOut);
    LEAD[1] = method;
    LEAD[3] = scheme;
    LEAD[5] = authority;
    LEAD[7] = path;
    return encoder.encode(LEAD, headers, leaveOut);
  }

  sendData(chunk: Uint8Array, endStream: boolean): boolean {
    if (this.#request === Request.Waiting) {
      this.#keepEarly(chunk, endStream);
      return false;
    }
    if (this.#request !== Request.Body || !maySend(this.state)) return true;
    if (!this.keepsPromise(chunk.length, endStream)) {
      this.#refuse(BROKEN_LENGTH);
      return true;
    }
    if (endStream) this.#request = Request.Ending;
    return this.writeBody(chunk, endStream);
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.#request !== Request.Body || !maySend(this.state)) return;
    if (this.promised > 0) {
      this.#refuse(BROKEN_LENGTH);
      return;
    }
    this.#request = Request.Ending;
    this.writeEnd(trailers, this.#isConnect || this.#upgrade !== undefined);
  }

  /** The head waits; what comes behind it is of a tunnel, and waits for its own reason. */
  #keepEarly(chunk: Uint8Array, endStream: boolean): void {
    this.heldBack = true;
    this.#earlyEnd ||= endStream;
    this.writeBody(chunk, false);
  }

  #endTunnel(): void {
    this.#request = Request.Ending;
    this.writeBody(NOTHING, true);
  }

  reset(_cause: Failure): void {
    if (this.#decoder === undefined) return;
    this.#decoder = undefined;
    this.#giveUp(ErrorCode.Cancel);
  }

  /** Tells the peer where that means anything. */
  #giveUp(code: ErrorCode): void {
    if (this.id === 0) this.owner.forget(this);
    else if (this.state === StreamState.Closed) this.owner.remove(this, Ending.Complete);
    else this.owner.sendReset(this, code);
    this.release();
  }

  pauseResponse(): void {
    this.pause();
  }

  resumeResponse(): void {
    this.resume();
  }

  protected override endSent(): void {
    if (this.state === StreamState.Closed) return; // a flood has ended the connection
    this.state = afterEndSent(this.state);
    if (this.state === StreamState.Closed && !this.keeps) this.#leave();
  }

  // The response.

  /** A head, interim or final; `endStream` is of its frame. Why it is refused, if it is. */
  headArrived(meaning: ResponseMeaning, endStream: boolean, block: { neverIndexed: readonly string[] | undefined }) {
    if (meaning.status < 200) return this.#takeInterim(meaning, endStream);
    const head = meaning.toHead();
    head.headers.neverIndexed = block.neverIndexed;
    this.#headReceived = true;
    if ((this.#isConnect || this.#upgrade !== undefined) && meaning.status < 300) {
      this.#openTunnel(head, endStream);
      return undefined;
    }
    const withoutBody = this.#isHead || head.status === 204 || head.status === 304;
    if (head.status === 204) head.headers.remove("content-length"); // RFC 9110 §8.6
    this.missing = withoutBody ? 0 : meaning.contentLength;
    if (endStream && this.missing > 0) return BROKEN_PROMISE;
    if (this.heldBack) this.#dropEarly();
    if (endStream) this.state = afterEndReceived(this.state);
    this.#decoder?.onHead(head, endStream);
    if (endStream) this.endDelivered();
    return undefined;
  }

  get hasHead(): boolean {
    return this.#headReceived;
  }

  #takeInterim(meaning: ResponseMeaning, endStream: boolean): MessageError | undefined {
    if (endStream) return INTERIM_END;
    if (++this.#informational > MAX_INFORMATIONAL) return ENDLESS_INTERIM;
    const head = meaning.toHead();
    head.headers.remove("content-length");
    this.#decoder?.onInformational(head);
    return undefined;
  }

  #openTunnel(head: ResponseHead, endStream: boolean): void {
    this.#tunnel = true;
    head.headers.remove("content-length"); // RFC 9110 §9.3.6
    if (this.#upgrade !== undefined) {
      // What HTTP/1 says in its place (RFC 8441 §5).
      head.status = 101;
      head.headers.append("upgrade", this.#upgrade);
      if (this.#upgrade === "websocket" && this.#webSocketKey !== undefined)
        head.headers.set("sec-websocket-accept", webSocketAccept(this.#webSocketKey));
    }
    this.#decoder?.onHead(head, false);
    if (endStream && this.#decoder !== undefined) this.dataArrived(Buffer.alloc(0), true);
    this.heldBack = false;
    if (this.state === StreamState.Closed) return;
    if (this.hasQueue) this.owner.schedule(this);
    if (!this.owner.blocked) this.tellDrained(); // `sendData` has said false until now
  }

  /** An upgrade that was refused leaves a request without a body. */
  #dropEarly(): void {
    this.heldBack = false;
    this.needsDrain = false;
    this.dropQueue();
    this.#request = Request.Ending;
    this.owner.writeData(this, NOTHING, true);
    this.endSent();
  }

  override get isTunnel(): boolean {
    return this.#tunnel;
  }

  protected override deliverData(chunk: Uint8Array, endStream: boolean): void {
    this.#decoder?.onData(chunk, endStream);
  }

  protected override deliverTrailers(trailers: HeaderMap): void {
    this.#decoder?.onTrailers(trailers);
  }

  protected override deliverDrain(): void {
    this.#decoder?.onDrain();
  }

  /** The response is complete. What is left of the request nobody waits for, unless both are a tunnel. */
  protected override endDelivered(): void {
    if (this.#decoder === undefined) return; // given up within the call
    if (this.state === StreamState.Closed) this.#leave();
    else if (!this.#tunnel) {
      this.#decoder = undefined;
      this.#giveUp(ErrorCode.Cancel);
    }
  }

  override fail(cause: Failure): void {
    const decoder = this.#decoder;
    this.release();
    decoder?.onReset(cause);
  }

  override release(): void {
    super.release();
    this.#decoder = undefined;
    this.#request = Request.Ending;
  }

  #leave(): void {
    this.release();
    this.owner.remove(this, Ending.Complete);
  }

  /** The request cannot be sent, or not to its end. */
  #refuse(cause: Failure): void {
    const decoder = this.#decoder;
    this.#decoder = undefined;
    decoder?.onReset(cause);
    this.#giveUp(ErrorCode.Cancel);
  }
}

const BROKEN_PROMISE = badMessage("a response without the body that its content-length promises");
/** Filled for each request; the encoder copies what it keeps. */
const LEAD = [":method", "", ":scheme", "", ":authority", "", ":path", ""];

// What was good last is not looked at again: most requests in a row have it in common, and 21 characters cost 1000 instructions.
let goodPath = "/";
let goodAuthority = "";

function isSendablePath(path: string): boolean {
  if (path === goodPath) return true;
  if (!isTargetText(path)) return false;
  goodPath = path;
  return true;
}

/** None is sendable too. */
function isSendableAuthority(authority: string): boolean {
  if (authority === "" || authority === goodAuthority) return true;
  if (!isTargetText(authority)) return false;
  goodAuthority = authority;
  return true;
}
