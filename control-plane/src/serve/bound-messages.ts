import { constants, type ServerHttp2Stream } from "node:http2";
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from "@grpc/grpc-js";
import type { Clock, Timer } from "@heddle/base";
import type { MessageBudget } from "./message-budget.ts";
import { type CallLimit, OpenCalls } from "./open-calls.ts";
import type { CallWithPeer } from "./peer-svid.ts";

export interface MessageBounds {
  readonly budget: MessageBudget;
  readonly clock: Clock;
  /** The largest message that a call may send, before compression and after it. Asked once, before the first byte. */
  readonly messageBytes: (path: string, metadata: Metadata) => number;
  /** Who has the connection of a call, as text. Left out, or undefined: each connection is a client of its own. */
  readonly clientOf?: (call: CallWithPeer) => string | undefined;
  /** How many calls of that path may be open. Left out, or undefined: as many as a connection may have streams. */
  readonly callLimit?: (path: string) => CallLimit | undefined;
  /** Of each call that is ended for its messages. */
  readonly onRefused: (path: string, why: string) => void;
}

/** One that has begun has to be whole by then. Who sends a byte now and then would hold what it has for ever. */
export const MESSAGE_TIMEOUT_MS = 60_000;

/** The flag and the length before each message (gRPC over HTTP/2, Length-Prefixed-Message). */
const PREFIX_BYTES = 5;

/** gRPC keeps each frame of a message as an object of its own until the last one has come. */
const FRAME_COST_BYTES = 256;

/** No compression that gRPC has gets more out of a byte (deflate). */
const MAX_INFLATION = 1032;

/**
 * Holds the messages of each call to a budget from their first byte on. gRPC itself bounds one message, and keeps what has come
 * of it however many there are. A message of a stream is done with when the service has taken it; that of a single call, when
 * it is answered.
 *
 * A compressed message is counted as what it may become.
 */
export function boundMessages(bounds: MessageBounds): ServerInterceptor {
  const openCalls = new OpenCalls();
  return ({ path, requestStream }, call) => {
    const watch = new MessageWatch(path, call, bounds);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, forward) => {
            if (watch.start(bounds.messageBytes(path, metadata), openCalls)) forward(metadata);
          },
          onReceiveMessage: (message, forward) => {
            forward(message);
            if (requestStream) watch.taken();
          },
        }),
    });
  };
}

class MessageWatch {
  readonly #path: string;
  readonly #call: ServerInterceptingCallInterface;
  readonly #bounds: MessageBounds;
  readonly #stream: ServerHttp2Stream;
  /** What each message that has begun and is not done with holds, the oldest first. */
  readonly #held: number[] = [];
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixRead = 0;
  /** Of the message that is being read. */
  #left = 0;
  #timer: Timer | undefined;
  #ended = false;

  constructor(path: string, call: ServerInterceptingCallInterface, bounds: MessageBounds) {
    this.#path = path;
    this.#call = call;
    this.#bounds = bounds;
    this.#stream = streamOf(call);
  }

  /** False: there are too many such calls, and this one has been ended. */
  start(maxBytes: number, openCalls: OpenCalls): boolean {
    // A session is its connection; a stream that is gone already has neither, and sends nothing.
    const connection = this.#stream.session ?? this.#stream;
    const limit = this.#bounds.callLimit?.(this.#path);
    if (limit !== undefined && !this.#stream.destroyed) {
      const leave = openCalls.open(limit, connection);
      if (leave === undefined) {
        const { connectionCalls, calls } = limit;
        this.#end(`${connectionCalls} such calls of the connection, or ${calls} in all, are open; try again`);
        return false;
      }
      this.#stream.once("close", leave);
    }
    const client = this.#bounds.clientOf?.(this.#call) ?? connection;
    const share = this.#bounds.budget.open(connection, client, (why) => this.#end(why));
    this.#share = share;
    this.#stream.on("data", (bytes: Buffer) => this.#read(bytes, maxBytes));
    this.#stream.once("close", () => {
      this.#ended = true;
      this.#timer?.cancel();
      share.close();
    });
    return true;
  }

  /** The oldest message has been taken. */
  taken(): void {
    this.#share?.giveBack(this.#held.shift() ?? 0);
  }

  #share: ReturnType<MessageBudget["open"]> | undefined;

  #read(bytes: Buffer, maxBytes: number): void {
    for (let at = 0; at < bytes.length && !this.#ended; ) {
      if (this.#prefixRead < PREFIX_BYTES) {
        this.#prefix[this.#prefixRead] = bytes[at]!; // it is not at its end
        this.#prefixRead += 1;
        at += 1;
        if (this.#prefixRead === PREFIX_BYTES) this.#begin(maxBytes);
        continue;
      }
      const part = Math.min(this.#left, bytes.length - at);
      at += part;
      this.#left -= part;
      if (!this.#isCompressed) this.#take(part + FRAME_COST_BYTES);
      if (this.#left === 0) this.#whole();
      else this.#timer ??= this.#bounds.clock.after(MESSAGE_TIMEOUT_MS, () => this.#tooSlow(), true);
    }
  }

  get #isCompressed(): boolean {
    return this.#prefix[0] !== 0;
  }

  #begin(maxBytes: number): void {
    this.#left = this.#prefix.readUInt32BE(1);
    this.#held.push(0);
    if (this.#left > maxBytes) this.#end(`found a message of ${this.#left} bytes, allowed are ${maxBytes}`);
    else if (this.#isCompressed) this.#take(this.#left + Math.min(this.#left * MAX_INFLATION, maxBytes));
    if (this.#left === 0) this.#whole();
  }

  #whole(): void {
    this.#prefixRead = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #take(bytes: number): void {
    this.#held[this.#held.length - 1]! += bytes; // a message has begun
    this.#share?.take(bytes);
  }

  #tooSlow(): void {
    this.#end(`a message has not come whole in ${MESSAGE_TIMEOUT_MS} ms`, status.DEADLINE_EXCEEDED);
  }

  /** The stream is closed too: until then gRPC keeps what has come of the message. */
  #end(why: string, code = status.RESOURCE_EXHAUSTED): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#timer?.cancel();
    this.#bounds.onRefused(this.#path, why);
    this.#call.sendStatus({ code, details: why });
    // Behind the status, which is on its way by then.
    this.#bounds.clock.after(0, () => this.#stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM));
  }
}

/** gRPC's calls have it, and do not say so; its version is pinned. */
function streamOf(call: ServerInterceptingCallInterface): ServerHttp2Stream {
  const { stream } = call as ServerInterceptingCallInterface & { readonly stream?: ServerHttp2Stream };
  if (stream === undefined) throw new Error("a gRPC call without its HTTP/2 stream: another version of @grpc/grpc-js");
  return stream;
}
