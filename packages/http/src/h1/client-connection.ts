import { type Failure, failure } from "@heddle/base";
import type { ClientConnection, ClientConnectionEvents, RequestEncoder, ResponseDecoder, Transport } from "../codec.ts";
import type { RequestHead, ResponseHead } from "../head.ts";
import type { HeaderMap } from "../header-map.ts";
import { defaultHttpLimits, type HttpLimits } from "../limits.ts";
import { promisedLength } from "./content-length.ts";
import { MessageFields } from "./fields.ts";
import { type HeaderNameFormat, type HeaderNaming, keepsSpelling, namingOf, properCase } from "./header-names.ts";
import { LatestLine, LineMemo } from "./known-line.ts";
import { type KnownSection, type LatestSection, SectionMemo } from "./known-section.ts";
import { BodyLength, MessageReader } from "./message-reader.ts";
import { Framing, OutgoingBody } from "./outgoing-body.ts";
import { ParseError } from "./parse-error.ts";
import { parseResponseHead, parseStatusLine, type StatusLine } from "./parse-head.ts";
import { RequestHandle } from "./request-handle.ts";
import { requestLines, writeRequestHead } from "./write-head.ts";

export interface H1ClientOptions {
  readonly limits?: HttpLimits;
  /** Of requests that are sent and of responses that are received. Default: lower case. */
  readonly headerNames?: HeaderNameFormat;
}

/** Of all upstreams of this thread. */
const latestSection: LatestSection = { section: undefined };
const latestLine = new LatestLine<StatusLine>();

/** How far the request of the open exchange is. */
const Request = { None: 0, Head: 1, Body: 2, Done: 3 } as const;
type Request = (typeof Request)[keyof typeof Request];

/** Interim responses have no flow control of their own; an upstream that sends them without end is broken. */
const MAX_INFORMATIONAL = 32;

const UNASKED = new ParseError(400, "the upstream sent bytes that no request asked for");
const WRONG_UPGRADE = new ParseError(400, "101 without the upgrade that was asked for");
const ENDLESS_INTERIM = new ParseError(400, "too many interim responses");
const UNSENDABLE = failure("internal", "local", "the method or the path cannot stand in a request line");
const BROKEN_LENGTH = failure("internal", "local", "the request body does not keep its content-length");
const CLOSED_EARLY = "the upstream closed before the response was complete";

/**
 * HTTP/1 towards a server (RFC 9112), one exchange at a time, no pipelining: an upstream that closes would leave it
 * unknown which of several requests it has served.
 *
 * The codec never ends or destroys the transport, but for the FIN of a tunnel. When the connection cannot be used again
 * it calls `onClose` once, after the decoder has heard the last of its exchange; the owner then destroys the transport.
 */
export class H1ClientConnection extends MessageReader<StatusLine> implements ClientConnection, RequestEncoder {
  readonly #events: ClientConnectionEvents;
  readonly #headerNames: HeaderNameFormat | undefined;
  readonly #naming: HeaderNaming | undefined;
  readonly #body: OutgoingBody;

  // The open exchange.
  #handle: RequestHandle | undefined = undefined;
  #decoder: ResponseDecoder | undefined = undefined;
  #request: Request = Request.None;
  #method = "";
  #upgrade: string | undefined = undefined;
  #head: ResponseHead | undefined = undefined;
  #responseBegun = false;
  #responseDone = false;
  #informational = 0;
  #reusable = true;
  /** The request has a body, asks for 100 (Continue) or something else first, and the upstream has not said 100. */
  #expects = false;
  #tunnel = false;
  /** What the request sent of a tunnel that the upstream has not agreed to yet. */
  #early: Uint8Array[] = [];
  #earlyEnd = false;

  #bytesHandedOver = false;
  #started = 0;
  #draining = false;
  #closed = false;
  #keepAliveTimeoutMs: number | undefined = undefined;

  constructor(transport: Transport, events: ClientConnectionEvents, options: H1ClientOptions = {}) {
    const keeps = keepsSpelling(options.headerNames); // which a known section does not
    const fields = new MessageFields(keeps ? undefined : new SectionMemo(latestSection), keeps);
    super(transport, options.limits ?? defaultHttpLimits, fields, keeps ? undefined : new LineMemo(latestLine), false);
    this.#events = events;
    this.#body = new OutgoingBody(transport);
    this.#headerNames = options.headerNames;
    this.#naming = options.headerNames === "proper-case" ? properCase : undefined;
  }

  get capacity(): number {
    return this.#decoder === undefined && !this.#closed && !this.#draining && !this.hasUnread ? 1 : 0;
  }

  get active(): number {
    return this.#decoder === undefined ? 0 : 1;
  }

  get started(): number {
    return this.#started;
  }

  /** What the upstream last said about how long it keeps an idle connection (`Keep-Alive: timeout=N`). */
  get keepAliveTimeoutMs(): number | undefined {
    return this.#keepAliveTimeoutMs;
  }

  /** Of the last exchange. */
  get bytesHandedOver(): boolean {
    return this.#bytesHandedOver;
  }

  startExchange(decoder: ResponseDecoder): RequestEncoder {
    if (this.capacity === 0) throw new Error("an exchange was started on a connection without capacity");
    this.#started++;
    this.#decoder = decoder;
    this.#request = Request.Head;
    this.#upgrade = undefined;
    this.#responseBegun = false;
    this.#responseDone = false;
    this.#informational = 0;
    this.#reusable = false;
    this.#expects = false;
    this.#tunnel = false;
    this.#bytesHandedOver = false;
    const handle = new RequestHandle(this);
    this.#handle = handle;
    return handle;
  }

  transportDrained(): void {
    this.#decoder?.onDrain();
  }

  transportClosed(cause: Failure): void {
    if (this.#closed) return;
    this.#close({ ...cause, retry: this.#retryAdvice() }, cause);
  }

  drain(): void {
    if (this.#draining || this.#closed) return;
    this.#draining = true;
    if (this.#decoder === undefined) this.#close(undefined, undefined);
    else this.#events.onCapacityChange();
  }

  // The request. Only the handle of the open exchange calls these.

  sendHead(head: RequestHead, endStream: boolean): void {
    if (this.#request !== Request.Head) return;
    const connect = head.method === "CONNECT";
    const target = connect ? head.authority : head.path;
    const lines = requestLines(head.method, target, head.authority);
    if (lines === undefined) {
      this.#refuse(UNSENDABLE);
      return;
    }
    const length = promisedLength(head.headers);
    if (endStream && length > 0) {
      this.#refuse(BROKEN_LENGTH);
      return;
    }
    this.#method = head.method;
    this.#upgrade = head.upgrade;
    const tunnelAsked = connect || head.upgrade !== undefined;
    let options = head.headers.has("te") ? "te" : ""; // RFC 9110 §10.1.4
    let tail = "";
    if (head.upgrade !== undefined) {
      options = options === "" ? "upgrade" : "upgrade, te";
      tail = `upgrade: ${head.upgrade}\r\n`;
    }
    if (options !== "") tail += `connection: ${options}\r\n`;
    const withLength = !tunnelAsked && length >= 0;
    if (tunnelAsked) this.#body.begin(Framing.None);
    else if (withLength) this.#body.begin(Framing.Length, length);
    else if (!endStream) {
      this.#body.begin(Framing.Chunked);
      tail += "transfer-encoding: chunked\r\n";
    } else {
      this.#body.begin(Framing.None);
      if (expectsContent(head.method)) tail += "content-length: 0\r\n"; // RFC 9110 §8.6
    }
    if (!endStream) this.#expects = head.headers.has("expect");
    this.#bytesHandedOver = true;
    this.#earlyEnd = tunnelAsked && endStream;
    this.#request = endStream && !tunnelAsked ? Request.Done : Request.Body;
    writeRequestHead(this.transport, lines, head.headers, withLength, tail, this.#naming);
  }

  sendData(chunk: Uint8Array, endStream: boolean): boolean {
    if (this.#request !== Request.Body) return true;
    if (this.#upgradeOpen()) {
      // Written before the upstream agrees, these bytes could be read as the next request. They wait for its answer.
      if (chunk.length > 0) this.#early.push(chunk.slice());
      this.#earlyEnd ||= endStream;
      return false;
    }
    if (!this.#body.fits(chunk.length, endStream)) {
      this.#close(BROKEN_LENGTH, BROKEN_LENGTH);
      return true;
    }
    const below = this.#body.write(chunk, endStream);
    if (endStream) this.#endRequest();
    return below;
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.#request !== Request.Body) return;
    if (this.#upgradeOpen()) {
      this.#earlyEnd = true;
      return;
    }
    if (!this.#body.fits(0, true)) {
      this.#close(BROKEN_LENGTH, BROKEN_LENGTH);
      return;
    }
    this.#body.end(trailers);
    this.#endRequest();
  }

  reset(cause: Failure): void {
    if (this.#decoder === undefined) return;
    this.#release();
    if (this.#bytesHandedOver) this.#close(undefined, cause);
    else this.#offerAgain(); // nothing was sent, so nothing is wrong with the connection
  }

  pauseResponse(): void {
    this.pauseReading();
  }

  resumeResponse(): void {
    this.resumeReading();
  }

  // The response.

  protected override headBegun(): void {
    if (!this.#bytesHandedOver || this.#decoder === undefined) {
      this.readFailed(UNASKED);
      return;
    }
    this.#responseBegun = true;
  }

  protected override headComplete(
    text: string,
    section: KnownSection | undefined,
    known: StatusLine | undefined,
  ): number | ParseError {
    const { fields } = this;
    const line = known ?? parseStatusLine(text);
    if (line instanceof ParseError) return line;
    const head = parseResponseHead(text, line, this.limits.maxHeaderCount, fields, section);
    if (head instanceof ParseError) return head;
    if (section !== undefined && known === undefined) this.lines?.missed(text, line);
    if (fields.spelling !== undefined) head.headers.naming = namingOf(fields.spelling, this.#headerNames!); // it keeps them
    this.#head = head;
    if (fields.keepAliveTimeoutSeconds !== undefined) this.#keepAliveTimeoutMs = fields.keepAliveTimeoutSeconds * 1000;
    const { status } = head;
    if (status < 200) return this.#interim(head);
    if (this.#method === "CONNECT" && status < 300) {
      this.#tunnel = true;
      head.headers.remove("content-length"); // RFC 9110 §9.3.6
      return BodyLength.UntilClose;
    }
    // Who answers an expectation with a final response may take the body that comes all the same for the next request
    // (RFC 9110 §10.1.1).
    this.#reusable = !fields.close && !this.#expects && (head.httpVersion === "1.1" || fields.keepAlive);
    // RFC 9112 §6.3, rule by rule.
    if (status === 204) head.headers.remove("content-length");
    if (this.#method === "HEAD" || status === 204 || status === 304) return 0;
    if (fields.transferEncoding !== undefined) return BodyLength.Chunked;
    if (fields.contentLength !== -1) return fields.contentLength;
    this.#reusable = false;
    return BodyLength.UntilClose;
  }

  protected override headRead(last: boolean): void {
    const head = this.#head!; // set by headComplete
    if (this.#tunnel) {
      this.#openTunnel(head);
      return;
    }
    if (head.status < 200) {
      this.#decoder?.onInformational(head);
      this.nextMessage();
      return;
    }
    // An upgrade that was refused leaves a request without a body.
    if (this.#upgradeOpen()) this.#endEarly();
    if (last) this.#responseDone = true;
    this.#decoder?.onHead(head, last);
    if (last) this.#settle();
  }

  protected override dataRead(chunk: Uint8Array, last: boolean): void {
    if (last) this.#responseDone = true;
    this.#decoder?.onData(chunk, last);
    if (last) this.#settle();
  }

  protected override trailersRead(trailers: HeaderMap): void {
    this.#responseDone = true;
    this.#decoder?.onTrailers(trailers);
    this.#settle();
  }

  protected override readFailed(error: ParseError): void {
    const cause = this.#bytesHandedOver ? error.upstream : { ...error.upstream, retry: this.#retryAdvice() };
    this.#close(cause, error.upstream);
  }

  protected override endRead(): void {
    if (this.#decoder === undefined) this.#close(undefined, undefined);
    else if (!this.#tunnel) {
      const cut = failure("connection-closed", "upstream", CLOSED_EARLY, this.#retryAdvice());
      this.#close(cut, cut);
    }
  }

  /** 1xx: no body, whatever its fields say (RFC 9112 §6.3). */
  #interim(head: ResponseHead): number | ParseError {
    head.headers.remove("content-length");
    if (++this.#informational > MAX_INFORMATIONAL) return ENDLESS_INTERIM;
    if (head.status === 100) this.#expects = false;
    if (head.status !== 101) return 0;
    // RFC 9110 §15.2.2: the upstream may choose only among what was asked.
    const chosen = this.fields.upgrade;
    if (chosen === undefined || !(this.#upgrade?.split(", ").includes(chosen) ?? false)) return WRONG_UPGRADE;
    head.headers.append("upgrade", chosen);
    this.#tunnel = true;
    return BodyLength.UntilClose;
  }

  /** The request asks for a tunnel and the upstream has not answered. */
  #upgradeOpen(): boolean {
    return (
      (this.#upgrade !== undefined || this.#method === "CONNECT") && !this.#tunnel && this.#request === Request.Body
    );
  }

  #openTunnel(head: ResponseHead): void {
    const waiting = this.#early;
    this.#early = [];
    this.#body.begin(Framing.Tunnel);
    let below = true;
    for (const chunk of waiting) below = this.#body.write(chunk, false);
    if (this.#earlyEnd) {
      this.#body.write(NO_DATA, true);
      this.#request = Request.Done;
    }
    this.#decoder?.onHead(head, false);
    if (below) this.#decoder?.onDrain(); // `sendData` has said false until now
  }

  #endEarly(): void {
    this.#early = [];
    this.#request = Request.Done;
  }

  #endRequest(): void {
    this.#request = Request.Done;
    this.#settle();
  }

  /** One of the directions has ended. */
  #settle(): void {
    if (this.#decoder === undefined || !this.#responseDone) return;
    const requestDone = this.#request === Request.Done;
    if (this.#tunnel && !requestDone) return;
    const extra = this.hasUnread;
    this.#release();
    // An upstream that answered before it had the whole request may not read the rest; bytes behind a response belong
    // to no request. Either way the next exchange would get what is not its own.
    if (extra) this.#close(undefined, UNASKED.upstream);
    else if (!requestDone || !this.#reusable || this.#draining) this.#close(undefined, undefined);
    else this.#offerAgain();
  }

  #offerAgain(): void {
    this.#reusable = true;
    this.resumeReading();
    this.nextMessage();
    if (this.#closed) return;
    if (this.#draining) this.#close(undefined, undefined);
    else this.#events.onCapacityChange();
  }

  /** The request cannot be sent, and no byte of it was. */
  #refuse(cause: Failure): void {
    const decoder = this.#release();
    decoder?.onReset(cause);
    this.#offerAgain();
  }

  #retryAdvice(): "never" | "if-connection-was-reused" | "safe" {
    if (!this.#bytesHandedOver) return "safe";
    return this.#responseBegun ? "never" : "if-connection-was-reused";
  }

  #release(): ResponseDecoder | undefined {
    const decoder = this.#decoder;
    this.#handle?.release();
    this.#handle = undefined;
    this.#decoder = undefined;
    this.#head = undefined;
    this.fields.reset(); // its values are parts of the head's text and would keep it
    this.#request = Request.None;
    this.#early = [];
    this.#earlyEnd = false;
    return decoder;
  }

  /** Tells the open exchange `toExchange`, then the owner `toOwner`. */
  #close(toExchange: Failure | undefined, toOwner: Failure | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stopReading();
    const decoder = this.#release();
    if (toExchange !== undefined) decoder?.onReset(toExchange);
    this.#events.onClose(toOwner);
  }
}

const NO_DATA = new Uint8Array(0);

/** Methods whose request is expected to have content (RFC 9110 §9.3). */
function expectsContent(method: string): boolean {
  return method === "POST" || method === "PUT" || method === "PATCH";
}
