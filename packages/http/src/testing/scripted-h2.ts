import type { Failure } from "@heddle/base";
import type { RequestDecoder, RequestEncoder, ResponseEncoder, ServerConnectionEvents } from "../codec.ts";
import { H2ClientConnection } from "../h2/client-connection.ts";
import type { H2ClientOptions, H2ServerOptions } from "../h2/h2-options.ts";
import { PREFACE } from "../h2/preface.ts";
import { H2ServerConnection } from "../h2/server-connection.ts";
import { RequestHead, ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { receiveReused } from "./cuts.ts";
import { H2Peer, type SeenFrame } from "./h2-peer.ts";
import { ReceivedRequest, ReceivedResponse } from "./received-message.ts";
import { RecordingTransport } from "./recording-transport.ts";

/** A server connection whose requests wait to be answered by the test, and a client that keeps no rules. */
export class ScriptedH2Server implements ServerConnectionEvents {
  readonly transport = new RecordingTransport();
  readonly connection: H2ServerConnection;
  readonly client = new H2Peer();
  readonly requests: ReceivedRequest[] = [];
  readonly protocolErrors: Failure[] = [];
  /** By whom each was reset: true is the client. */
  readonly streamResets: boolean[] = [];
  idles = 0;
  pongs = 0;
  drainsRead = 0;

  constructor(options: H2ServerOptions = {}) {
    this.connection = new H2ServerConnection(this.transport, this, options);
  }

  onRequest(encoder: ResponseEncoder): RequestDecoder {
    const request = new ReceivedRequest(encoder);
    this.requests.push(request);
    return request;
  }

  onProtocolError(failure: Failure): void {
    this.protocolErrors.push(failure);
  }

  onIdle(): void {
    this.idles++;
  }

  onPong(): void {
    this.pongs++;
  }

  onDrainRead(): void {
    this.drainsRead++;
  }

  onStreamReset(byPeer: boolean): void {
    this.streamResets.push(byPeer);
  }

  /** The client's preface and SETTINGS; what the server answers is taken. */
  begin(...settings: readonly (readonly [setting: number, value: number])[]): this {
    this.receive(PREFACE, this.client.settings(...settings), this.client.settingsAck());
    this.sent();
    return this;
  }

  receive(...pieces: readonly (string | Uint8Array)[]): this {
    for (const piece of pieces) receiveReused(this.connection, piece);
    return this;
  }

  /** A request without body, unless more than its head is to come. */
  get(streamId: number, more: readonly string[] = [], endStream = true): this {
    return this.receive(this.client.headers(streamId, [...GET, ...more], endStream));
  }

  post(streamId: number, more: readonly string[] = []): this {
    return this.receive(this.client.headers(streamId, [...POST, ...more], false));
  }

  /** The frames that the server wrote since the last call. */
  sent(): SeenFrame[] {
    return this.client.read(this.transport.take());
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

export const GET: readonly string[] = [":method", "GET", ":scheme", "http", ":authority", "a.test", ":path", "/"];
export const POST: readonly string[] = [":method", "POST", ":scheme", "http", ":authority", "a.test", ":path", "/"];

/** A client connection with what its owner heard, and a server that keeps no rules. */
export class ScriptedH2Client {
  readonly transport = new RecordingTransport();
  readonly connection: H2ClientConnection;
  readonly server = new H2Peer();
  readonly responses: ReceivedResponse[] = [];
  capacityChanges = 0;
  goAways = 0;
  pongs = 0;
  /** Each call of `onClose`. */
  readonly closed: (Failure | undefined)[] = [];

  constructor(options: H2ClientOptions = {}) {
    this.connection = new H2ClientConnection(this.transport, this, options);
  }

  onCapacityChange(): void {
    this.capacityChanges++;
  }

  onClose(failure: Failure | undefined): void {
    this.closed.push(failure);
  }

  onPong(): void {
    this.pongs++;
  }

  onGoAway(): void {
    this.goAways++;
  }

  /** The server's SETTINGS; what the client wrote until then is taken. */
  begin(...settings: readonly (readonly [setting: number, value: number])[]): this {
    this.receive(this.server.settings(...settings), this.server.settingsAck());
    this.sent();
    return this;
  }

  start(): { readonly encoder: RequestEncoder; readonly response: ReceivedResponse } {
    const response = new ReceivedResponse();
    this.responses.push(response);
    return { encoder: this.connection.startExchange(response), response };
  }

  /** An exchange whose request has been sent. */
  get(path = "/"): { readonly encoder: RequestEncoder; readonly response: ReceivedResponse } {
    const exchange = this.start();
    exchange.encoder.sendHead(new RequestHead("GET", "http", "a.test", path, new HeaderMap()), true);
    return exchange;
  }

  receive(...pieces: readonly (string | Uint8Array)[]): this {
    for (const piece of pieces) receiveReused(this.connection, piece);
    return this;
  }

  sent(): SeenFrame[] {
    return this.server.read(this.transport.take());
  }
}
