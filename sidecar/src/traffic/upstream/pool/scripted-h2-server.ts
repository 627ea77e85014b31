import type { MemoryConnection } from "../../http/testing-connection.ts";

/*
 * For tests: the other end of an upstream connection that speaks HTTP/2, frame by frame (RFC 9113 §4.1), with none of the
 * code under test. Heads are not read: streams are told apart by their ids.
 */

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const Frame = { Data: 0, Headers: 1, Reset: 3, Settings: 4, Ping: 6, GoAway: 7 } as const;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;

export const MAX_CONCURRENT_STREAMS = 3;
export const ENABLE_CONNECT_PROTOCOL = 8;
export const REFUSED_STREAM = 7;
export const INTERNAL_ERROR = 2;

export class ScriptedH2Server {
  readonly connection: MemoryConnection;
  /** Streams in the order in which they were opened. */
  readonly streams: number[] = [];
  readonly resets: number[] = [];
  /** Both in their order; a reset is the stream's id below zero. */
  readonly beginsAndResets: number[] = [];
  /** Of streams: bytes of DATA, as latin1 text. */
  readonly data = new Map<number, string>();
  readonly pings: Buffer[] = [];
  goAways = 0;
  /** Our SETTINGS have been sent, which have to be first (RFC 9113 §3.4). */
  #settled = false;
  #received = Buffer.alloc(0);
  #prefaceRead = false;

  constructor(connection: MemoryConnection) {
    this.connection = connection;
  }

  /** Takes what has come. */
  read(): this {
    this.#received = Buffer.concat([this.#received, Buffer.from(this.connection.take(), "latin1")]);
    if (!this.#prefaceRead && this.#received.length >= PREFACE.length) {
      if (this.#received.toString("latin1", 0, PREFACE.length) !== PREFACE) throw new Error("no HTTP/2 preface");
      this.#received = this.#received.subarray(PREFACE.length);
      this.#prefaceRead = true;
    }
    while (this.#prefaceRead && this.#received.length >= 9) {
      const length = this.#received.readUIntBE(0, 3);
      if (this.#received.length < 9 + length) break;
      const id = this.#received.readUInt32BE(5);
      this.#frame(this.#received[3]!, this.#received[4]!, id, this.#received.subarray(9, 9 + length)); // both are there
      this.#received = this.#received.subarray(9 + length);
    }
    return this;
  }

  settings(entries: Readonly<Record<number, number>> = {}): this {
    const payload = Buffer.concat(
      Object.entries(entries).map(([setting, value]) => {
        const entry = Buffer.alloc(6);
        entry.writeUInt16BE(Number(setting), 0);
        entry.writeUInt32BE(value, 2);
        return entry;
      }),
    );
    this.#send(Frame.Settings, 0, 0, payload);
    if (!this.#settled) this.#send(Frame.Settings, ACK, 0, NOTHING);
    this.#settled = true;
    return this;
  }

  /** 200 without a body. */
  answer(...ids: readonly number[]): this {
    for (const id of ids) this.#send(Frame.Headers, END_STREAM | END_HEADERS, id, STATUS_200);
    return this;
  }

  /** 200, and the body is still to come. */
  answerHead(id: number): this {
    return this.#send(Frame.Headers, END_HEADERS, id, STATUS_200);
  }

  /** 200 and a status of gRPC, in one head (trailers-only). */
  grpcStatus(id: number, status: number): this {
    // Literals without indexing, RFC 7541 §6.2.2.
    const literal = (text: string): readonly Buffer[] => [Buffer.of(text.length), Buffer.from(text)];
    const field = Buffer.concat([Buffer.of(0), ...literal("grpc-status"), ...literal(String(status))]);
    return this.#send(Frame.Headers, END_STREAM | END_HEADERS, id, Buffer.concat([STATUS_200, field]));
  }

  body(id: number, text: string, last: boolean): this {
    return this.#send(Frame.Data, last ? END_STREAM : 0, id, Buffer.from(text));
  }

  reset(id: number, code: number): this {
    return this.#send(Frame.Reset, 0, id, uint32(code));
  }

  goAway(lastStreamId: number, code = 0): this {
    return this.#send(Frame.GoAway, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(code)]));
  }

  /** Answers the last PING. */
  pong(): this {
    return this.#send(Frame.Ping, ACK, 0, this.pings.at(-1) ?? Buffer.alloc(8));
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === Frame.Headers && !this.streams.includes(id)) {
      this.streams.push(id);
      this.beginsAndResets.push(id);
    }
    if (type === Frame.Data) this.data.set(id, (this.data.get(id) ?? "") + payload.toString("latin1"));
    if (type === Frame.Reset) {
      this.resets.push(id);
      this.beginsAndResets.push(-id);
    }
    if (type === Frame.GoAway) this.goAways++;
    if (type === Frame.Ping && (flags & ACK) === 0) this.pings.push(Buffer.from(payload));
  }

  #send(type: number, flags: number, id: number, payload: Buffer): this {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(id, 5);
    this.connection.send(Buffer.concat([head, payload]));
    return this;
  }
}

/** `:status: 200` is entry 8 of the static table (RFC 7541 appendix A). */
const STATUS_200 = Buffer.of(0x88);

const NOTHING = Buffer.alloc(0);

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
