import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Flag, FrameType, HpackDecoder, HpackError } from "@heddle/http/testing";
import { PATIENCE_MS } from "./eventually.ts";
import {
  block,
  data,
  type Fields,
  type Frame,
  headers,
  PREFACE,
  ping,
  settings,
  settingsAck,
  splitFrames,
  windowUpdate,
} from "./h2-frames.ts";
import type { Owner } from "./owner.ts";

/** Larger frames are cut; a peer takes at least this (RFC 9113 §4.2). */
const FRAME_BYTES = 16_384;

/** What has come of one stream. */
export class H2Message {
  readonly streamId: number;
  readonly informational: Fields[] = [];
  /** Of the head; undefined until it has come. */
  fields: Fields | undefined = undefined;
  trailers: Fields | undefined = undefined;
  body = "";
  bodyBytes = 0;
  /** END_STREAM has come. */
  ended = false;
  /** Of the RST_STREAM, if one has come. */
  resetCode: number | undefined = undefined;

  constructor(streamId: number) {
    this.streamId = streamId;
  }

  get status(): number {
    return Number(this.field(":status"));
  }

  field(name: string): string | undefined {
    return this.fields?.find(([found]) => found === name)?.[1];
  }

  get closed(): boolean {
    return this.ended || this.resetCode !== undefined;
  }
}

export interface H2PeerOptions {
  /** That we begin with. */
  readonly settings?: readonly (readonly [setting: number, value: number])[];
  /** SETTINGS and PING are acknowledged, and windows given back. Default: true. */
  readonly polite?: boolean;
  /** Bodies are counted, and not kept. */
  readonly countBodies?: boolean;
  /** Nothing is sent on its own, not even the preface. */
  readonly silent?: boolean;
}

/**
 * One end of an HTTP/2 connection as a script: any bytes may be sent, and every frame that comes is kept. It does by itself only
 * what a polite peer must do, unless told otherwise.
 */
export class H2Peer {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  readonly messages = new Map<number, H2Message>();
  goAway: { readonly lastStreamId: number; readonly code: number } | undefined = undefined;
  /** The other side has sent FIN or RST. */
  ended = false;
  /** Why the connection broke: "ECONNRESET". */
  error: string | undefined = undefined;
  polite: boolean;
  /** Bytes that have come. */
  received = 0;
  readonly #countBodies: boolean;
  readonly #decoder = new HpackDecoder({ maxListSize: 1 << 20, maxCount: 10_000 });
  #rest: Buffer = Buffer.alloc(0);
  /** Of the preface, which the frames of a client follow. */
  #prefaceLeft: number;
  #fragments: Buffer[] = [];
  #wakers: (() => void)[] = [];
  #pings = 0;
  #requestsTaken = 0;
  readonly #requests: H2Message[] = [];

  constructor(socket: Socket, role: "client" | "server", options: H2PeerOptions = {}) {
    this.socket = socket;
    this.polite = options.polite ?? !options.silent;
    this.#countBodies = options.countBodies ?? false;
    this.#prefaceLeft = role === "server" ? PREFACE.length : 0;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
    });
    if (options.silent) return;
    if (role === "client") socket.write(PREFACE);
    socket.write(settings(...(options.settings ?? [])));
  }

  /** A client whose preface and SETTINGS have been sent. */
  static async connect(port: number, owner: Owner, options: H2PeerOptions = {}): Promise<H2Peer> {
    const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    owner.after(() => void socket.destroy());
    const peer = new H2Peer(socket, "client", options);
    await once(socket, "connect");
    return peer;
  }

  /** Resolves when the kernel has taken the bytes, or they can no longer be sent. */
  send(...parts: readonly (Uint8Array | string)[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const bytes = parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part));
    if (this.socket.destroyed || this.socket.writableEnded) resolve();
    else this.socket.write(Buffer.concat(bytes), () => resolve());
    return promise;
  }

  /** What has come of a stream so far. */
  message(streamId: number): H2Message {
    let message = this.messages.get(streamId);
    if (message === undefined) {
      message = new H2Message(streamId);
      this.messages.set(streamId, message);
    }
    return message;
  }

  /** The stream's message once it has ended or was reset; fails if the connection ends before. */
  async response(streamId: number): Promise<H2Message> {
    const message = this.message(streamId);
    await this.until(`stream ${streamId} ends`, () => message.closed);
    return message;
  }

  /** The next request whose head has come. For servers. */
  async nextRequest(): Promise<H2Message> {
    await this.until("a request comes", () => this.#requests.length > this.#requestsTaken);
    return this.#requests[this.#requestsTaken++]!; // it is there
  }

  /** Heads of requests so far. */
  get requestCount(): number {
    return this.#requests.length;
  }

  /** Sends a response. */
  answer(streamId: number, fields: Fields = [[":status", "200"]], body: string | Uint8Array = ""): Promise<void> {
    const bytes = typeof body === "string" ? Buffer.from(body, "latin1") : body;
    const frames = [headers(streamId, block(fields), { endStream: bytes.length === 0 })];
    for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
      const end = Math.min(at + FRAME_BYTES, bytes.length);
      frames.push(data(streamId, bytes.subarray(at, end), end === bytes.length));
    }
    return this.send(...frames);
  }

  /** Whether the other side still answers a PING. All that was sent before has been dealt with then. */
  async alive(): Promise<boolean> {
    const opaque = `ping${String(this.#pings++).padStart(4, "0")}`;
    const answered = (): boolean =>
      this.frames.some(
        ({ type, flags, payload }) =>
          type === FrameType.Ping && (flags & Flag.Ack) !== 0 && payload.toString("latin1") === opaque,
      );
    await this.send(ping(opaque));
    await this.until("a PING is answered", () => answered() || this.ended, true);
    return answered();
  }

  /** Resolves when the other side has ended the connection. */
  async closed(): Promise<void> {
    await this.until("the connection ends", () => this.ended, true);
  }

  /** A frame of the type has come; with `streamId` on that stream. */
  async frame(type: number, streamId?: number): Promise<Frame> {
    const find = (): Frame | undefined =>
      this.frames.find((found) => found.type === type && (streamId === undefined || found.streamId === streamId));
    await this.until(`a frame of type ${type} comes`, () => find() !== undefined);
    return find()!; // just seen
  }

  /** Resolves once the condition holds. Whatever comes wakes it. `mayEnd`: the end of the connection is not its failure. */
  async until(what: string, condition: () => boolean, mayEnd = false): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!condition()) {
      if (this.ended && !mayEnd) throw new Error(`the connection ended while waiting: ${what}; ${this.summary()}`);
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`waited ${PATIENCE_MS / 1000} s: ${what}; ${this.summary()}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wakers.push(resolve);
      const timer = setTimeout(resolve, Math.min(left, 250));
      await promise;
      clearTimeout(timer);
    }
  }

  /** What has come, in short. */
  summary(): string {
    const last = this.frames.slice(-12).map(({ type, flags, streamId, payload }) => {
      const code = type === FrameType.RstStream ? ` code ${payload.readUInt32BE(0)}` : "";
      return `${NAMES[type] ?? type}(${streamId}, flags ${flags}, ${payload.length} bytes${code})`;
    });
    const goAway = this.goAway && `GOAWAY(${this.goAway.lastStreamId}, code ${this.goAway.code})`;
    return [...last, goAway, this.ended ? `ended ${this.error ?? "FIN"}` : "open"].filter(Boolean).join(" ");
  }

  #end(): void {
    this.ended = true;
    this.#wake();
  }

  #receive(chunk: Buffer): void {
    this.received += chunk.length;
    let bytes = chunk;
    if (this.#prefaceLeft > 0) {
      const expected = PREFACE.subarray(PREFACE.length - this.#prefaceLeft);
      const taken = bytes.subarray(0, expected.length);
      if (!expected.subarray(0, taken.length).equals(taken)) throw new Error("no preface of HTTP/2");
      this.#prefaceLeft -= taken.length;
      bytes = bytes.subarray(taken.length);
    }
    const { frames, rest } = splitFrames(this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]));
    this.#rest = rest;
    for (const frame of frames) this.#take(frame);
    this.#wake();
  }

  #take(frame: Frame): void {
    const { type, flags, streamId, payload } = frame;
    const isData = type === FrameType.Data;
    this.frames.push(isData && this.#countBodies ? { type, flags, streamId, payload: Buffer.alloc(0) } : frame);
    if (type === FrameType.GoAway)
      this.goAway = { lastStreamId: payload.readUInt32BE(0) & 0x7fff_ffff, code: payload.readUInt32BE(4) };
    else if (type === FrameType.RstStream) this.message(streamId).resetCode = payload.readUInt32BE(0);
    else if (isData) this.#takeData(frame);
    else if (type === FrameType.Headers || type === FrameType.Continuation) this.#takeFragment(frame);
    if (!this.polite || (flags & Flag.Ack) !== 0) return;
    if (type === FrameType.Settings) void this.send(settingsAck());
    if (type === FrameType.Ping) void this.send(ping(payload, Flag.Ack));
  }

  #takeData({ flags, streamId, payload }: Frame): void {
    const message = this.message(streamId);
    message.bodyBytes += payload.length; // whoever is tested pads nothing
    if (!this.#countBodies) message.body += payload.toString("latin1");
    message.ended = (flags & Flag.EndStream) !== 0;
    if (!this.polite || payload.length === 0) return;
    void this.send(windowUpdate(0, payload.length));
    if (!message.ended) void this.send(windowUpdate(streamId, payload.length));
  }

  #takeFragment({ type, flags, streamId, payload }: Frame): void {
    if (type === FrameType.Headers) this.message(streamId).ended ||= (flags & Flag.EndStream) !== 0;
    this.#fragments.push(payload);
    if ((flags & Flag.EndHeaders) === 0) return;
    const decoded = this.#decoder.decode(Buffer.concat(this.#fragments));
    this.#fragments = [];
    if (decoded instanceof HpackError) throw new Error(`a block that cannot be decoded: ${decoded.detail}`);
    const fields: (readonly [string, string])[] = [];
    for (let i = 0; i < decoded.fields.length; i += 2) fields.push([decoded.fields[i]!, decoded.fields[i + 1]!]); // in pairs
    const message = this.message(streamId);
    if (fields[0]?.[0] === ":status" && fields[0][1].startsWith("1")) message.informational.push(fields);
    else if (message.fields === undefined) {
      message.fields = fields;
      if (fields.some(([name]) => name === ":method")) this.#requests.push(message);
    } else message.trailers = fields;
  }

  #wake(): void {
    for (const wake of this.#wakers.splice(0)) wake();
  }
}

const NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(FrameType).map(([name, type]) => [type, name]),
);

/** An upstream of HTTP/2 whose connections are scripts. */
export class H2Upstream {
  readonly port: number;
  readonly peers: H2Peer[] = [];
  readonly #server: Server;
  #handler: ((peer: H2Peer) => Promise<void>) | undefined;

  private constructor(server: Server, options: H2PeerOptions) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => {
      const peer = new H2Peer(socket, "server", options);
      this.peers.push(peer);
      this.#handler?.(peer).catch(() => socket.destroy());
    });
  }

  static async listen(owner: Owner, options: H2PeerOptions = {}): Promise<H2Upstream> {
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const upstream = new H2Upstream(server, options);
    owner.after(() => upstream.close());
    return upstream;
  }

  /** From now on connections are served by a script that runs once for each. When it throws the connection is over. */
  serve(handler: (peer: H2Peer) => Promise<void>): void {
    this.#handler = handler;
  }

  /** Every request is answered at once, whether its body has come or not. */
  answerAll(fields: Fields = [[":status", "200"]], body = ""): void {
    this.serve(async (peer) => {
      for (;;) await peer.answer((await peer.nextRequest()).streamId, fields, body);
    });
  }

  /** Connections that the other side has not ended. */
  get open(): number {
    return this.peers.filter(({ ended }) => !ended).length;
  }

  async close(): Promise<void> {
    for (const { socket } of this.peers) socket.destroy();
    if (!this.#server.listening) return;
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
