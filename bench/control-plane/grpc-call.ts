import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Credentials } from "./credentials.ts";

/*
 * One gRPC call with streams both ways on a connection of its own, as raw HTTP/2 frames on a socket: hundreds of them fit
 * into a process, and cost so little that they do not stand in the way of the server that is measured. It reads no header
 * block; whatever ends the stream is an end. Windows are those of gRPC's own clients (64 KiB), so that a server which
 * writes much has to wait as it would elsewhere.
 */

const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const ENABLE_PUSH = 2;
const FRAME_HEADER_BYTES = 9;
const GRPC_PREFIX_BYTES = 5;
const STREAM_ID = 1;
/** Half a window: what has been read is given back by then (RFC 9113 §6.9). */
const WINDOW_UPDATE_BYTES = 32 * 1024;
const NOTHING = Buffer.alloc(0);

export interface GrpcCallHandlers {
  readonly onMessage: (message: Buffer) => void;
  /** The call or its connection is over; called once, and not after `cut`. */
  readonly onEnd: (reason: string) => void;
}

export class GrpcCall {
  readonly #socket: Socket;
  readonly #handlers: GrpcCallHandlers;
  #pending: Buffer = NOTHING;
  /** What has come of a message that is not whole yet. */
  #parts: Buffer[] = [];
  #partBytes = 0;
  #unacknowledged = 0;
  #over = false;

  /** @param credentials undefined: in plaintext */
  constructor(port: number, path: string, credentials: Credentials | undefined, handlers: GrpcCallHandlers) {
    this.#handlers = handlers;
    const address = { host: "127.0.0.1", port, noDelay: true };
    this.#socket =
      credentials === undefined
        ? connect(address)
        : connectTls({ ...address, ...credentials, servername: "localhost", ALPNProtocols: ["h2"] });
    const settings = Buffer.from([0, ENABLE_PUSH, 0, 0, 0, 0]);
    this.#socket.write(
      Buffer.concat([
        Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        frame(SETTINGS, 0, 0, settings),
        frame(HEADERS, END_HEADERS, STREAM_ID, requestHead(`127.0.0.1:${port}`, path)),
      ]),
    );
    this.#socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on("error", (error) => this.#end(error.message));
    this.#socket.on("close", () => this.#end("the connection was closed"));
  }

  /** Requests are small: they fit into the window that the server opens with. */
  send(message: Buffer): void {
    if (this.#over) return;
    for (let at = 0; at < message.length + GRPC_PREFIX_BYTES; at += 16_384 - GRPC_PREFIX_BYTES) {
      const part = message.subarray(Math.max(0, at), at + 16_384 - GRPC_PREFIX_BYTES);
      if (at > 0 && part.length === 0) break;
      this.#socket.write(frame(DATA, 0, STREAM_ID, at === 0 ? Buffer.concat([prefix(message.length), part]) : part));
    }
  }

  /** As if the wire had been cut. */
  cut(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let at = 0;
    while (!this.#over && bytes.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3);
      if (bytes.length < end) break;
      this.#take(bytes[at + 3]!, bytes[at + 4]!, bytes.subarray(at + FRAME_HEADER_BYTES, end));
      at = end;
    }
    this.#pending = bytes.subarray(at);
  }

  #take(type: number, flags: number, payload: Buffer): void {
    if (type === DATA) this.#data(payload);
    else if (type === SETTINGS && (flags & ACK) === 0) this.#socket.write(frame(SETTINGS, ACK, 0, NOTHING));
    else if (type === PING && (flags & ACK) === 0) this.#socket.write(frame(PING, ACK, 0, payload));
    else if (type === RST_STREAM || type === GOAWAY) this.#end(type === GOAWAY ? "GOAWAY" : "the stream was reset");
    if ((type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0) this.#end("the server ended the stream");
  }

  #data(payload: Buffer): void {
    this.#unacknowledged += payload.length;
    if (this.#unacknowledged >= WINDOW_UPDATE_BYTES) {
      const increment = Buffer.alloc(4);
      increment.writeUInt32BE(this.#unacknowledged);
      this.#socket.write(
        Buffer.concat([frame(WINDOW_UPDATE, 0, 0, increment), frame(WINDOW_UPDATE, 0, STREAM_ID, increment)]),
      );
      this.#unacknowledged = 0;
    }
    this.#parts.push(payload);
    this.#partBytes += payload.length;
    for (;;) {
      if (this.#partBytes < GRPC_PREFIX_BYTES) return;
      if (this.#parts[0]!.length < GRPC_PREFIX_BYTES) this.#parts = [Buffer.concat(this.#parts)];
      const end = GRPC_PREFIX_BYTES + this.#parts[0]!.readUInt32BE(1);
      if (this.#partBytes < end) return;
      const bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
      this.#parts = bytes.length > end ? [bytes.subarray(end)] : [];
      this.#partBytes -= end;
      this.#handlers.onMessage(bytes.subarray(GRPC_PREFIX_BYTES, end));
    }
  }

  #end(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.destroy();
    this.#handlers.onEnd(reason);
  }
}

function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  payload.copy(bytes, FRAME_HEADER_BYTES);
  return bytes;
}

/** gRPC's: not compressed, and so long. */
function prefix(length: number): Buffer {
  const bytes = Buffer.alloc(GRPC_PREFIX_BYTES);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

/** Literals without indexing beside entries of the static table (RFC 7541 §6.2.2, appendix A). */
function requestHead(authority: string, path: string): Buffer {
  return Buffer.concat([
    Buffer.from([0x83, 0x86, 0x04]), // :method POST, :scheme http (nobody looks at it), :path
    hpackString(path),
    Buffer.from([0x01]), // :authority
    hpackString(authority),
    Buffer.from([0x0f, 0x10]), // content-type
    hpackString("application/grpc"),
    Buffer.from([0x00]),
    hpackString("te"),
    hpackString("trailers"),
  ]);
}

/** Without Huffman coding; shorter than 127 bytes (RFC 7541 §5.2). */
function hpackString(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, "latin1")]);
}
