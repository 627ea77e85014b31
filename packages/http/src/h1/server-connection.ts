import { Buffer } from "node:buffer";
import { type Failure, failure } from "@heddle/base";
import type {
  Refusal,
  RequestDecoder,
  ResponseEncoder,
  ServerConnection,
  ServerConnectionEvents,
  Transport,
} from "../codec.ts";
import type { RequestHead, ResponseHead } from "../head.ts";
import type { HeaderMap } from "../header-map.ts";
import { defaultHttpLimits, type HttpLimits } from "../limits.ts";
import { INVALID_LENGTH, promisedLength } from "./content-length.ts";
import { MessageFields } from "./fields.ts";
import {
  type HeaderNameFormat,
  type HeaderNaming,
  keepsSpelling,
  namingOf,
  properCase,
  rename,
} from "./header-names.ts";
import { LatestLine, LineMemo } from "./known-line.ts";
import { type KnownSection, type LatestSection, SectionMemo } from "./known-section.ts";
import { BodyLength, MessageReader } from "./message-reader.ts";
import { Framing, OutgoingBody } from "./outgoing-body.ts";
import { ParseError, type RefusalStatus } from "./parse-error.ts";
import {
  NOT_HTTP,
  parseRequestHead,
  parseRequestLine,
  type RequestHeadOptions,
  type RequestLine,
} from "./parse-head.ts";
import { ResponseHandle } from "./response-handle.ts";
import { standardPhrase } from "./status-phrases.ts";
import { writeResponseHead } from "./write-head.ts";

export interface H1ServerOptions {
  /** How the client reached us: the scheme of every request. Default "http". */
  readonly scheme?: "http" | "https";
  readonly limits?: HttpLimits;
  /** Takes methods that no registry knows (Envoy `http_protocol_options.allow_custom_methods`). Default false: 501. */
  readonly allowCustomMethods?: boolean;
  /** False: a target in absolute form is handed on as it is, as the path (Envoy `allow_absolute_url`). Default true. */
  readonly allowAbsoluteUrl?: boolean;
  /** Of requests that are received and of responses that are sent. Default: lower case. */
  readonly headerNames?: HeaderNameFormat;
  /** A first line that is no HTTP at all gets no answer: what it is meant for is not known. Default false: 400. */
  readonly ignoresForeign?: boolean;
  /** Field lines for the answer to a request that cannot be read, each with its CRLF. */
  readonly refusalFields?: () => string;
}

/** Of all clients of this thread. */
const latestSection: LatestSection = { section: undefined };
const latestLine = new LatestLine<RequestLine>();

/** How far the response of the open exchange is. */
const Response = { None: 0, Head: 1, Body: 2, Done: 3 } as const;
type Response = (typeof Response)[keyof typeof Response];

/**
 * How much of a request is read and dropped after its response, to keep the connection. Beyond it closing is cheaper
 * for both (RFC 9112 §9.3 asks to read all or close).
 */
const MAX_DISCARDED_BYTES = 64 * 1024;

/** One read may hold thousands of requests, and what answers them at once would keep the thread for as long. */
const MAX_BURST = 64;

const NOT_A_TUNNEL = failure("internal", "local", "101 for a request that asked for no upgrade");
const BROKEN_LENGTH = failure("internal", "local", "the response body does not keep its content-length");
const CUT_SHORT = failure("downstream-reset", "downstream", "the client closed before its request was complete");

/**
 * HTTP/1 towards a client (RFC 9112): one exchange at a time, the next request is read when the response before it has
 * ended.
 *
 * Ending the transport: after the last response, and after a refusal, the codec calls `transport.end()`, sets `ended`
 * and ignores what still comes, so that the client can read the answer before an RST destroys it (RFC 9112 §9.6). The
 * owner destroys the transport when the client has closed too, or after a grace period. `transport.destroy()` and
 * `transport.reset()` are called only to cut an incomplete response, so that the client sees it is incomplete.
 *
 * After a response that ended early, the rest of the request is dropped and its decoder hears nothing more.
 */
export class H1ServerConnection extends MessageReader<RequestLine> implements ServerConnection, ResponseEncoder {
  readonly #events: ServerConnectionEvents;
  readonly #headOptions: RequestHeadOptions;
  readonly #body: OutgoingBody;
  readonly #headerNames: HeaderNameFormat | undefined;
  readonly #naming: HeaderNaming | undefined;
  readonly #refusalFields: (() => string) | undefined;
  #ignoresForeign: boolean;

  // The open exchange.
  #handle: ResponseHandle | undefined = undefined;
  #decoder: RequestDecoder | undefined = undefined;
  #head: RequestHead | undefined = undefined;
  #response: Response = Response.None;
  #requestDone = false;
  #keepAlive = false;
  /** The client waits with its body for 100 (Continue). */
  #awaitsContinue = false;
  #tunnel = false;
  #discardedBytes = 0;

  #draining = false;
  #ended = false;
  #becameIdle = false;
  /** The client has not read enough of its answers for the next request to be read. */
  #awaitsRoom = false;
  /** Others have their turn before the next request is read. */
  #awaitsTurn = false;
  /** Requests that were begun with bytes that one read gave. */
  #burst = 0;

  constructor(transport: Transport, events: ServerConnectionEvents, options: H1ServerOptions = {}) {
    const keeps = keepsSpelling(options.headerNames); // which a known section does not
    const fields = new MessageFields(keeps ? undefined : new SectionMemo(latestSection), keeps);
    super(transport, options.limits ?? defaultHttpLimits, fields, keeps ? undefined : new LineMemo(latestLine), true);
    this.#events = events;
    this.#headOptions = {
      scheme: options.scheme ?? "http",
      maxHeaderCount: this.limits.maxHeaderCount,
      allowCustomMethods: options.allowCustomMethods ?? false,
      allowAbsoluteUrl: options.allowAbsoluteUrl ?? true,
    };
    this.#body = new OutgoingBody(transport);
    this.#headerNames = options.headerNames;
    this.#naming = options.headerNames === "proper-case" ? properCase : undefined;
    this.#refusalFields = options.refusalFields;
    this.#ignoresForeign = options.ignoresForeign ?? false;
  }

  /** No exchange is open and no partial message has been read. */
  get idle(): boolean {
    return this.#response === Response.None && this.betweenMessages && !this.#ended;
  }

  get active(): number {
    return this.#response === Response.None ? 0 : 1;
  }

  get dropping(): boolean {
    return this.#response === Response.Done && !this.#tunnel && !this.#ended;
  }

  get ended(): boolean {
    return this.#ended;
  }

  override receive(bytes: Uint8Array): void {
    this.#burst = 0;
    super.receive(bytes);
    this.#tellIdle();
  }

  transportDrained(): void {
    if (this.#awaitsRoom) this.#startNext();
    else this.#decoder?.onDrain();
  }

  transportClosed(cause: Failure): void {
    this.#abandon()?.onReset(cause);
  }

  announceDrain(): void {}

  drain(): void {
    this.#draining = true;
    if (this.idle || this.dropping || this.#awaitsRoom) this.#end();
  }

  // The request.

  protected override headBegun(): void {
    this.#response = Response.Head;
    this.#requestDone = false;
    this.#keepAlive = false;
    this.#awaitsContinue = false;
    this.#tunnel = false;
    this.#discardedBytes = 0;
    this.#handle = new ResponseHandle(this);
    this.#decoder = this.#events.onRequest(this.#handle);
    // The answer may have ended the exchange within the call.
    if (this.#ended) this.#decoder = undefined;
  }

  protected override headComplete(
    text: string,
    section: KnownSection | undefined,
    known: RequestLine | undefined,
  ): number | ParseError {
    const { fields } = this;
    const options = this.#headOptions;
    const line = known ?? parseRequestLine(text, options.allowCustomMethods);
    if (line instanceof ParseError) return line;
    const head = parseRequestHead(text, line, options, fields, section);
    if (head instanceof ParseError) return head;
    // What one listener allows another may not.
    if (section !== undefined && known === undefined && !options.allowCustomMethods) this.lines?.missed(text, line);
    if (fields.spelling !== undefined) head.headers.naming = namingOf(fields.spelling, this.#headerNames!); // it keeps them
    this.#head = head;
    this.#ignoresForeign = false; // it speaks HTTP/1
    // HTTP/1.0 keeps a connection only when asked to (RFC 9112 §9.3).
    if (this.#response === Response.Head)
      this.#keepAlive = !fields.close && (head.httpVersion === "1.1" || fields.keepAlive);
    if (fields.transferEncoding !== undefined) {
      this.#awaitsContinue = fields.expectsContinue;
      return BodyLength.Chunked;
    }
    this.#awaitsContinue = fields.expectsContinue && fields.contentLength > 0;
    return Math.max(fields.contentLength, 0);
  }

  protected override headRead(last: boolean): void {
    const head = this.#head!; // set by headComplete
    this.#requestDone = last;
    // The direction of a tunnel stays open: it carries the tunnel's data later. Reading waits for the answer.
    const connect = head.method === "CONNECT";
    // What stands behind it may be meant for the tunnel. If that is refused nobody must take it for a request.
    if (connect) this.#keepAlive = false;
    const tunnelAsked = connect || head.upgrade !== undefined;
    this.#decoder?.onHead(head, last && !tunnelAsked);
  }

  protected override dataRead(chunk: Uint8Array, last: boolean): void {
    this.#awaitsContinue = false;
    if (last) this.#requestDone = true;
    if (this.#decoder === undefined) {
      this.#discard(chunk.length);
      return;
    }
    this.#decoder.onData(chunk, last);
    if (last && this.#tunnel) this.#settle();
  }

  protected override trailersRead(trailers: HeaderMap): void {
    this.#requestDone = true;
    if (this.#decoder === undefined) this.#discard(0);
    else this.#decoder.onTrailers(trailers);
  }

  protected override readFailed(error: ParseError): void {
    const hadHead = this.#head !== undefined;
    const answerable = this.#response === Response.Head && !(error === NOT_HTTP && this.#ignoresForeign);
    const unfinished = this.#response === Response.Body;
    const isHead = this.#head?.method === "HEAD";
    const decoder = this.#abandon();
    if (answerable) this.#refuse(error.status, decoder?.onRefusal?.(error.downstream), isHead);
    if (unfinished) this.#cut();
    else this.transport.end();
    decoder?.onReset(error.downstream);
    if (!hadHead) this.#events.onProtocolError(error.downstream, answerable ? error.status : undefined);
  }

  protected override endRead(): void {
    this.#keepAlive = false;
    this.#draining = true;
    if (this.#response === Response.None) {
      if (!this.#ended) this.#end();
      return;
    }
    // A client may half-close behind its request and still want the answer (RFC 9112 §9.6).
    if (this.#requestDone) return;
    if (this.insideHead) {
      this.readFailed(INCOMPLETE);
      return;
    }
    const unfinished = this.#response === Response.Body;
    const answerable = this.#response === Response.Head;
    const decoder = this.#abandon();
    if (answerable) this.#refuse(400); // RFC 9112 §8
    if (unfinished) this.#cut();
    else this.transport.end();
    decoder?.onReset(CUT_SHORT);
  }

  pauseRequest(): void {
    this.pauseReading();
  }

  resumeRequest(): void {
    this.resumeReading();
    this.#tellIdle();
  }

  // The response. Only the handle of the open exchange calls these.

  sendInformational(head: ResponseHead): void {
    // RFC 9110 §15.2: never to an HTTP/1.0 client.
    if (this.#response !== Response.Head || this.#head?.httpVersion !== "1.1") return;
    if (head.status === 100) this.#awaitsContinue = false;
    this.#writeHead(head, false, "");
  }

  sendHead(head: ResponseHead, endStream: boolean): void {
    if (this.#response !== Response.Head) return;
    const request = this.#head;
    if (head.status === 101 || (request?.method === "CONNECT" && head.status >= 200 && head.status < 300)) {
      this.#sendTunnelHead(head, endStream);
      return;
    }
    // Before a request's head has been read nothing is known about its body.
    if (this.#draining || request === undefined || this.#mayNotReadOn(endStream)) this.#keepAlive = false;
    const withoutBody = head.status === 204 || head.status === 304 || request?.method === "HEAD";
    const length = promisedLength(head.headers);
    if (!withoutBody && endStream && length > 0) {
      this.#breakOff(BROKEN_LENGTH);
      return;
    }
    let tail = "";
    // RFC 9110 §8.6: 204 has no content-length; for HEAD and 304 it tells what GET would give.
    const withLength = length >= 0 && head.status !== 204;
    if (withoutBody) this.#body.begin(Framing.None);
    else if (withLength) this.#body.begin(Framing.Length, length);
    else if (endStream && length !== INVALID_LENGTH) {
      this.#body.begin(Framing.Length, 0);
      tail = "content-length: 0\r\n";
    } else if (request?.httpVersion === "1.1") {
      this.#body.begin(Framing.Chunked);
      tail = "transfer-encoding: chunked\r\n";
    } else {
      this.#body.begin(Framing.UntilClose);
      this.#keepAlive = false;
    }
    if (!this.#keepAlive) tail += "connection: close\r\n";
    else if (request?.httpVersion === "1.0") tail += "connection: keep-alive\r\n";
    this.#response = Response.Body;
    this.#writeHead(head, withLength, tail);
    if (endStream) {
      this.#body.write(NO_DATA, true);
      this.#endResponse();
    }
  }

  sendData(chunk: Uint8Array, endStream: boolean): boolean {
    if (this.#response !== Response.Body) return true;
    if (!this.#body.fits(chunk.length, endStream)) {
      this.#breakOff(BROKEN_LENGTH);
      return true;
    }
    const below = this.#body.write(chunk, endStream);
    if (endStream) this.#endResponse();
    return below;
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.#response !== Response.Body) return;
    if (!this.#body.fits(0, true)) {
      this.#breakOff(BROKEN_LENGTH);
      return;
    }
    this.#body.end(trailers);
    this.#endResponse();
  }

  reset(_failure: Failure): void {
    if (this.#response === Response.None) return;
    this.#abandon();
    this.#cut();
  }

  /** From here both directions are raw bytes (RFC 9110 §7.8, §9.3.6). Bytes that came early were held until now. */
  #sendTunnelHead(head: ResponseHead, endStream: boolean): void {
    const request = this.#head;
    let tail = "";
    if (head.status === 101) {
      if (request?.upgrade === undefined) {
        this.#breakOff(NOT_A_TUNNEL);
        return;
      }
      tail = `connection: upgrade\r\nupgrade: ${head.headers.get("upgrade") ?? request.upgrade}\r\n`;
    }
    this.#keepAlive = false;
    this.#tunnel = true;
    this.#requestDone = false;
    this.#response = Response.Body;
    this.#body.begin(Framing.Tunnel);
    this.#writeHead(head, false, tail);
    if (endStream) {
      this.#body.write(NO_DATA, true);
      this.#endResponse();
    }
    this.becomeTunnel();
  }

  /** Whether the rest of the request, if there is any, is too much or too unsure to be waited for. */
  #mayNotReadOn(endStream: boolean): boolean {
    if (this.#requestDone) return false;
    // A client that waits for 100 and gets a final answer may or may not send its body (RFC 9110 §10.1.1). What it
    // sends next could be either, so the connection cannot be used again.
    return (
      this.#awaitsContinue ||
      (endStream && Number.isFinite(this.missingBytes) && this.missingBytes > MAX_DISCARDED_BYTES)
    );
  }

  #refuse(status: RefusalStatus, refusal?: Refusal, isHead = false): void {
    if (refusal !== undefined) {
      const { head, body } = refusal;
      const tail = "connection: close\r\n";
      this.#writeHead(head, true, tail);
      if (!isHead && body !== "") this.transport.writeBytes(Buffer.from(body)); // RFC 9110 §9.3.2: HEAD gets no body
      return;
    }
    const fields = `${this.#refusalFields?.() ?? ""}content-length: 0\r\nconnection: close\r\n`;
    const head = `HTTP/1.1 ${status} ${standardPhrase(status)}\r\n${fields}\r\n`;
    this.transport.writeLatin1(this.#naming === undefined ? head : rename(head, this.#naming));
  }

  #writeHead({ status, reason, headers }: ResponseHead, withLength: boolean, tail: string): void {
    writeResponseHead(this.transport, status, reason, headers, withLength, tail, this.#naming);
  }

  #endResponse(): void {
    this.#response = Response.Done;
    this.#settle();
  }

  /** One of the directions has ended. */
  #settle(): void {
    if (this.#response !== Response.Done) return;
    if (this.#tunnel) {
      if (this.#requestDone) this.#abandon();
      return;
    }
    if (!this.#keepAlive) {
      this.#end();
      return;
    }
    this.#release();
    if (!this.#requestDone) {
      this.resumeReading(); // to drop the rest
      return;
    }
    this.#response = Response.None;
    this.#head = undefined;
    this.#becameIdle = true;
    // A client that sends requests and reads no answers would have all of them kept here.
    this.#awaitsRoom = !this.transport.writeBytes(NO_DATA);
    if (this.#awaitsRoom) this.#events.onIdle();
    else if (this.hasUnread && ++this.#burst === MAX_BURST && this.#events.onBurst !== undefined) {
      this.#awaitsTurn = true;
      this.#events.onBurst();
    } else this.#startNext();
  }

  continueReading(): void {
    if (!this.#awaitsTurn) return;
    this.#burst = 0;
    this.#startNext();
  }

  #startNext(): void {
    this.#awaitsRoom = false;
    this.#awaitsTurn = false;
    this.resumeReading();
    this.nextMessage();
    this.#tellIdle();
  }

  #discard(bytes: number): void {
    this.#discardedBytes += bytes;
    if (this.#requestDone) this.#settle();
    else if (this.#discardedBytes > MAX_DISCARDED_BYTES) this.#end();
  }

  #tellIdle(): void {
    if (!this.#becameIdle || !this.idle) return;
    this.#becameIdle = false;
    if (this.#draining) this.#end();
    else this.#events.onIdle();
  }

  /** No further exchange. What has been written is still sent. */
  #end(): void {
    this.#abandon();
    this.transport.end();
  }

  /** The response cannot be completed. */
  #breakOff(cause: Failure): void {
    const decoder = this.#abandon();
    this.#cut();
    decoder?.onReset(cause);
  }

  /** Ends the connection so that an incomplete response shows: where FIN would complete it, by RST (RFC 9112 §8). */
  #cut(): void {
    if (this.#body.endsWithConnection) this.transport.reset();
    else this.transport.destroy();
  }

  #release(): RequestDecoder | undefined {
    const decoder = this.#decoder;
    this.#handle?.release();
    this.#handle = undefined;
    this.#decoder = undefined;
    this.fields.reset(); // its values are parts of the head's text and would keep it
    return decoder;
  }

  /** Ends the open exchange and the connection with it; returns whom to tell. */
  #abandon(): RequestDecoder | undefined {
    this.#ended = true;
    this.#awaitsRoom = false;
    this.#awaitsTurn = false;
    this.#response = Response.None;
    this.stopReading();
    return this.#release();
  }
}

const NO_DATA = new Uint8Array(0);
const INCOMPLETE = new ParseError(400, "the connection ended within a request head");
