import type { Failure } from "@heddle/base";
import type { RequestDecoder, ResponseEncoder, ServerConnectionEvents } from "../codec.ts";
import { H1ServerConnection, type H1ServerOptions } from "../h1/server-connection.ts";
import { type RequestHead, ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { receiveReused } from "./cuts.ts";
import { ReceivedRequest } from "./received-message.ts";
import { RecordingTransport } from "./recording-transport.ts";

/** A server connection whose requests wait to be answered by the test. */
export class ScriptedServer implements ServerConnectionEvents {
  readonly transport = new RecordingTransport();
  readonly connection: H1ServerConnection;
  readonly requests: ReceivedRequest[] = [];
  readonly protocolErrors: { readonly failure: Failure; readonly answeredStatus: number | undefined }[] = [];
  idles = 0;

  constructor(options: H1ServerOptions = {}) {
    this.connection = new H1ServerConnection(this.transport, this, options);
  }

  onRequest(encoder: ResponseEncoder): RequestDecoder {
    const request = new ReceivedRequest(encoder);
    this.requests.push(request);
    return request;
  }

  onProtocolError(failure: Failure, answeredStatus: number | undefined): void {
    this.protocolErrors.push({ failure, answeredStatus });
  }

  onIdle(): void {
    this.idles++;
  }

  receive(...pieces: readonly (string | Uint8Array)[]): this {
    for (const piece of pieces) receiveReused(this.connection, piece);
    return this;
  }

  /** The request that arrived last. */
  get last(): ReceivedRequest {
    const request = this.requests.at(-1);
    if (request === undefined) throw new Error("no request has arrived");
    return request;
  }

  answer(status = 200, body = "", fields: Readonly<Record<string, string>> = {}): void {
    const { encoder } = this.last;
    encoder.sendHead(new ResponseHead(status, HeaderMap.from(fields)), body === "");
    if (body !== "") encoder.sendData(Buffer.from(body, "latin1"), true);
  }
}

/** A server connection that answers 200 to every complete request within the callback, and 200 to every tunnel. */
export class AnsweringServer extends ScriptedServer {
  override onRequest(encoder: ResponseEncoder): RequestDecoder {
    const request = new AnsweredRequest(encoder);
    this.requests.push(request);
    return request;
  }
}

class AnsweredRequest extends ReceivedRequest {
  override onHead(head: RequestHead, endStream: boolean): void {
    super.onHead(head, endStream);
    if (endStream) this.#answer();
    else if (head.method === "CONNECT") this.encoder.sendHead(new ResponseHead(200, new HeaderMap()), false);
    else if (head.upgrade !== undefined) this.encoder.sendHead(new ResponseHead(101, new HeaderMap()), false);
  }

  override onData(chunk: Uint8Array, endStream: boolean): void {
    super.onData(chunk, endStream);
    if (endStream) this.#answer();
  }

  override onTrailers(trailers: HeaderMap): void {
    super.onTrailers(trailers);
    this.#answer();
  }

  #answer(): void {
    this.encoder.sendHead(new ResponseHead(200, new HeaderMap()), true);
  }
}
