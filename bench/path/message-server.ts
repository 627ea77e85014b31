/**
 * `message-server.ts PORT MESSAGES`: answers every HTTP/2 request with so many gRPC messages of 1 KiB, each a DATA frame
 * of its own, and the trailer `grpc-status: 0`. Raw frames on a socket: node:http2 would be slower than what is measured.
 * It reads no header block, since it answers all alike; it does keep to the peer's windows (RFC 9113 §5.2).
 */
import { createServer, type Socket } from "node:net";

const MESSAGE_BYTES = 1024;
const GRPC_PREFIX_BYTES = 5;
const FRAME_HEADER_BYTES = 9;
const PAYLOAD_BYTES = GRPC_PREFIX_BYTES + MESSAGE_BYTES;
const PREFACE_BYTES = 24;
const FRAMES_A_WRITE = 60;

const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const WINDOW_UPDATE = 8;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const INITIAL_WINDOW_SIZE = 4;
const MAX_CONCURRENT_STREAMS = 3;

const [port, messages] = process.argv.slice(2).map(Number) as [number, number];

const message = Buffer.alloc(PAYLOAD_BYTES, "m");
message.writeUInt8(0, 0);
message.writeUInt32BE(MESSAGE_BYTES, 1);

// `:status: 200` (static entry 8), and literals without indexing (RFC 7541 §6.2.2): content-type is static entry 31.
const answerBlock = Buffer.concat([Buffer.from([0x88, 0x0f, 0x10]), hpackString("application/grpc")]);
const trailerBlock = Buffer.concat([Buffer.from([0x00]), hpackString("grpc-status"), hpackString("0")]);

createServer({ noDelay: true }, (socket) => new Session(socket)).listen(port, "127.0.0.1");

interface Answer {
  readonly id: number;
  window: number;
  left: number;
}

class Session {
  readonly #socket: Socket;
  readonly #answers = new Map<number, Answer>();
  #received: Buffer = Buffer.alloc(0);
  #prefaceSeen = false;
  #window = 65_535;
  #initialWindow = 65_535;
  #blocked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(MAX_CONCURRENT_STREAMS, 0);
    settings.writeUInt32BE(1000, 2);
    socket.write(frame(SETTINGS, 0, 0, settings));
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("drain", () => this.#send());
    socket.on("error", () => socket.destroy());
  }

  #receive(chunk: Buffer): void {
    let bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    if (!this.#prefaceSeen && bytes.length >= PREFACE_BYTES) {
      this.#prefaceSeen = true;
      bytes = bytes.subarray(PREFACE_BYTES);
    }
    while (this.#prefaceSeen && bytes.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + bytes.readUIntBE(0, 3);
      if (bytes.length < end) break;
      this.#frame(bytes[3]!, bytes[4]!, bytes.readUInt32BE(5), bytes.subarray(FRAME_HEADER_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.#received = Buffer.from(bytes);
    this.#send();
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === HEADERS) {
      this.#answers.set(id, { id, window: this.#initialWindow, left: messages });
      this.#socket.write(frame(HEADERS, END_HEADERS, id, answerBlock));
    } else if (type === WINDOW_UPDATE) {
      const answer = this.#answers.get(id);
      if (id === 0) this.#window += payload.readUInt32BE(0);
      else if (answer !== undefined) answer.window += payload.readUInt32BE(0);
    } else if (type === SETTINGS && (flags & ACK) === 0) {
      for (let at = 0; at < payload.length; at += 6)
        if (payload.readUInt16BE(at) === INITIAL_WINDOW_SIZE) this.#resize(payload.readUInt32BE(at + 2));
      this.#socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
    } else if (type === PING && (flags & ACK) === 0) this.#socket.write(frame(PING, ACK, 0, payload));
    else if (type === RST_STREAM) this.#answers.delete(id);
    else if (type === DATA && payload.length > 0) {
      const credit = Buffer.alloc(4);
      credit.writeUInt32BE(payload.length);
      this.#socket.write(frame(WINDOW_UPDATE, 0, 0, credit));
    }
  }

  #resize(initial: number): void {
    for (const answer of this.#answers.values()) answer.window += initial - this.#initialWindow;
    this.#initialWindow = initial;
  }

  /** One message of each stream in turn, until all have ended or wait for windows or for the socket. */
  #send(): void {
    let sent = true;
    this.#blocked = this.#socket.writableNeedDrain;
    while (sent && !this.#blocked) {
      sent = false;
      const frames: Buffer[] = [];
      for (const answer of this.#answers.values()) {
        if (frames.length >= FRAMES_A_WRITE) break;
        if (answer.window < PAYLOAD_BYTES || this.#window < PAYLOAD_BYTES) continue;
        answer.window -= PAYLOAD_BYTES;
        this.#window -= PAYLOAD_BYTES;
        answer.left -= 1;
        frames.push(frame(DATA, 0, answer.id, message));
        if (answer.left > 0) continue;
        frames.push(frame(HEADERS, END_HEADERS | END_STREAM, answer.id, trailerBlock));
        this.#answers.delete(answer.id);
      }
      if (frames.length === 0) return;
      sent = true;
      this.#blocked = !this.#socket.write(Buffer.concat(frames));
    }
  }
}

function frame(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(id, 5);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** Without Huffman, shorter than 127 bytes (RFC 7541 §5.2). */
function hpackString(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, "latin1")]);
}
