import { type Failure, failure } from "@heddle/base";
import type { RequestDecoder, ResponseEncoder } from "../codec.ts";
import { INVALID_LENGTH, promisedLength } from "../h1/content-length.ts";
import { type RequestHead, ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { Ending } from "./closed-streams.ts";
import { ErrorCode } from "./frame/index.ts";
import { H2Stream, type StreamOwner } from "./h2-stream.ts";
import { LeaveOut } from "./head-encoder.ts";
import { afterEndReceived, afterEndSent, maySend, StreamState } from "./stream-state.ts";

/** How far the response is. */
const Response = { None: 0, Body: 1, Ending: 2 } as const;
type Response = (typeof Response)[keyof typeof Response];

const NOT_A_TUNNEL = failure("internal", "local", "101 for a request that asked for no upgrade");
const NO_TUNNEL = failure(
  "upgrade-refused",
  "upstream",
  "the upstream answered an upgrade with success, but not with 101",
);
const BROKEN_LENGTH = failure("internal", "local", "the response body does not keep its content-length");
const NOTHING = new Uint8Array(0);

/** What a stream needs of a connection that is a server's. */
export interface ServerStreamOwner extends StreamOwner {
  sendReset(stream: ServerStream, code: ErrorCode): void;
  remove(stream: ServerStream, ending: Ending): void;
}

/** An exchange with a client, and the encoder of its response. It is dead when the response has ended, or after a reset. */
export class ServerStream extends H2Stream implements ResponseEncoder {
  declare readonly owner: ServerStreamOwner;
  #decoder: RequestDecoder | undefined = undefined;
  #response: Response = Response.None;
  #hasHead = false;
  #isHead = false;
  #isConnect = false;
  #upgrade: string | undefined = undefined;
  /** 101, or 2xx to CONNECT, has been sent. */
  #tunnel = false;
  #pausedByOwner = false;
  /** The request asks for a tunnel, and what comes of it waits for the answer. */
  #awaitsTunnel = false;
  /** What waited of a complete answer when the owner last looked; -1: nothing. */
  #waitedBytes = -1;

  constructor(owner: ServerStreamOwner, id: number, sendWindow: number, receiveWindow: number) {
    super(owner, id, sendWindow, receiveWindow);
  }

  /** Who hears of the request. */
  set decoder(decoder: RequestDecoder) {
    if (this.state !== StreamState.Closed) this.#decoder = decoder; // the answer may have ended it within `onRequest`
  }

  get decoder(): RequestDecoder | undefined {
    return this.#decoder;
  }

  /** The request's head has come. */
  get hasHead(): boolean {
    return this.#hasHead;
  }

  /** Once. `contentLength` in bytes, -1 if it is not said. */
  begin(head: RequestHead, endStream: boolean, contentLength: number): void {
    this.#hasHead = true;
    this.#isHead = head.method === "HEAD";
    this.#isConnect = head.method === "CONNECT";
    this.#upgrade = head.upgrade;
    if (this.#isConnect || this.#upgrade !== undefined) {
      this.#awaitsTunnel = true;
      this.pause();
      this.#decoder?.onHead(head, false);
      if (endStream && this.state !== StreamState.Closed) this.dataArrived(Buffer.alloc(0), true);
      return;
    }
    this.missing = contentLength;
    if (endStream && this.state !== StreamState.Closed) this.state = afterEndReceived(this.state);
    this.#decoder?.onHead(head, endStream);
  }

  // The request.

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

  protected override endDelivered(): void {
    if (this.state === StreamState.Closed) this.#leave();
  }

  override fail(cause: Failure): void {
    const decoder = this.#decoder;
    this.release();
    decoder?.onReset(cause);
  }

  override release(): void {
    super.release();
    this.#decoder = undefined;
  }

  pauseRequest(): void {
    this.#pausedByOwner = true;
    this.pause();
  }

  resumeRequest(): void {
    this.#pausedByOwner = false;
    if (!this.#awaitsTunnel) this.resume();
  }

  // The response.

  sendInformational(head: ResponseHead): void {
    if (this.#response !== Response.None || !maySend(this.state) || head.status === 101) return; // RFC 9113 §8.6
    this.#writeHead(head.status, head.headers, LeaveOut.ContentLength, false);
  }

  sendHead(head: ResponseHead, endStream: boolean): void {
    if (this.#response !== Response.None || !maySend(this.state)) return;
    const { status, headers } = head;
    const isSuccess = status >= 200 && status < 300;
    if (status === 101 || (this.#isConnect && isSuccess)) {
      this.#sendTunnelHead(headers, endStream);
      return;
    }
    if (this.#upgrade !== undefined && isSuccess) {
      // On this stream it would say that the tunnel is open (RFC 8441 §5).
      this.#refuseTunnel();
      return;
    }
    const withoutBody = status === 204 || status === 304 || this.#isHead;
    const length = promisedLength(headers);
    if (!withoutBody && endStream && length > 0) {
      this.#breakOff(BROKEN_LENGTH);
      return;
    }
    // RFC 9110 §8.6: 204 has no content-length; for HEAD and 304 it tells what GET would give.
    const leaveOut = length === INVALID_LENGTH || status === 204 ? LeaveOut.ContentLength : LeaveOut.Nothing;
    this.promised = withoutBody ? -1 : length;
    const ends = endStream || withoutBody;
    this.#response = ends ? Response.Ending : Response.Body;
    this.#writeHead(status, headers, leaveOut, ends);
    if (ends) this.endSent();
  }

  sendData(chunk: Uint8Array, endStream: boolean): boolean {
    if (this.#response !== Response.Body || !maySend(this.state)) return true;
    if (!this.keepsPromise(chunk.length, endStream)) {
      this.#breakOff(BROKEN_LENGTH);
      return true;
    }
    if (endStream) this.#response = Response.Ending;
    return this.writeBody(chunk, endStream);
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.#response !== Response.Body || !maySend(this.state)) return;
    if (this.promised > 0) {
      this.#breakOff(BROKEN_LENGTH);
      return;
    }
    this.#response = Response.Ending;
    this.writeEnd(trailers, this.#tunnel);
  }

  /** Whether the answer is complete and waits for the client, and nothing of it has left since this was last asked. */
  hasStalled(): boolean {
    const waits = this.#response === Response.Ending && maySend(this.state) && this.hasQueue;
    const waitedBytes = this.#waitedBytes;
    this.#waitedBytes = waits ? this.queuedBytes : -1;
    return waits && this.queuedBytes === waitedBytes;
  }

  reset(cause: Failure): void {
    if (this.state === StreamState.Closed && this.#decoder === undefined) return;
    this.#decoder = undefined;
    if (this.state !== StreamState.Closed) this.owner.sendReset(this, this.#codeFor(cause));
    else this.owner.remove(this, Ending.Complete);
    this.release();
  }

  /** REFUSED_STREAM says that the request may be sent again (RFC 9113 §8.7). */
  #codeFor({ retry, side }: Failure): ErrorCode {
    if (retry === "safe" && this.#response === Response.None) return ErrorCode.RefusedStream;
    return side === "downstream" ? ErrorCode.Cancel : ErrorCode.InternalError;
  }

  protected override endSent(): void {
    if (this.state === StreamState.Closed) return; // a flood has ended the connection
    this.state = afterEndSent(this.state);
    if (this.state === StreamState.Closed) {
      if (!this.keeps || !this.#tunnel) this.#leave();
    } else if (!this.#tunnel) {
      // The rest of the request is not wanted any more (RFC 9113 §8.1).
      this.owner.sendReset(this, ErrorCode.NoError);
      this.release();
    }
  }

  #leave(): void {
    this.owner.remove(this, Ending.Complete);
    this.release();
  }

  /** From here both directions are raw bytes (RFC 9113 §8.5, RFC 8441 §4). */
  #sendTunnelHead(headers: HeaderMap, endStream: boolean): void {
    if (!this.#awaitsTunnel) {
      this.#breakOff(NOT_A_TUNNEL);
      return;
    }
    this.#tunnel = true;
    this.#awaitsTunnel = false;
    this.#response = endStream ? Response.Ending : Response.Body;
    this.#writeHead(200, headers, LeaveOut.ContentLength | LeaveOut.WebSocketAccept, endStream);
    if (endStream) this.endSent();
    if (!this.#pausedByOwner) this.resume();
  }

  #refuseTunnel(): void {
    this.#response = Response.Ending;
    const decoder = this.#decoder;
    this.#decoder = undefined;
    this.#writeHead(502, new HeaderMap(["content-length", "0"]), LeaveOut.Nothing, true);
    this.endSent();
    decoder?.onReset(NO_TUNNEL);
  }

  #writeHead(status: number, headers: HeaderMap, leaveOut: number, endStream: boolean): void {
    STATUS_LEAD[1] = STATUS_TEXTS[status] ?? String(status);
    this.owner.writeHeaders(this, this.owner.encoder.encode(STATUS_LEAD, headers, leaveOut), endStream);
  }

  /** The response cannot be completed. */
  #breakOff(cause: Failure): void {
    const decoder = this.#decoder;
    this.owner.sendReset(this, ErrorCode.InternalError);
    this.release();
    decoder?.onReset(cause);
  }

  /** Answers a message that cannot be read; the decoder hears of it last. */
  refuse(status: number, cause: Failure, endStream: boolean): void {
    if (this.state === StreamState.Closed) return; // it has been answered within `onRequest`
    this.#hasHead = true;
    if (endStream) this.state = afterEndReceived(this.state);
    const decoder = this.#decoder;
    const refusal = decoder?.onRefusal?.(cause);
    this.#decoder = undefined;
    const body = refusal === undefined ? NOTHING : Buffer.from(refusal.body);
    this.sendHead(refusal?.head ?? new ResponseHead(status, new HeaderMap(["content-length", "0"])), body.length === 0);
    if (body.length > 0) this.sendData(body, true);
    decoder?.onReset(cause);
  }
}

/** Made once; the encoder copies what it keeps. */
const STATUS_LEAD = [":status", ""];
const STATUS_TEXTS: readonly string[] = Array.from({ length: 600 }, (_, status) => String(status));
