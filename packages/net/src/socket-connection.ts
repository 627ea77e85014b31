import { writevSync } from "node:fs";
import type { Socket } from "node:net";
import type { Failure } from "@heddle/base";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { enterCallback, type Flushable, leaveCallback, scheduleFlush } from "./flush-queue.ts";
import { type ConnectionSide, connectionFailure, wouldBlock } from "./node-errors.ts";
import { giveOutputBuffer, OUTPUT_BUFFER_BYTES, type OutputBuffer, takeOutputBuffer } from "./output-pool.ts";
import { Descriptor, type Reader, type ReadHook, resetSocket, startReading, stopReading } from "./rewrap.ts";
import { sendNow } from "./send-now.ts";
import type { TlsInfo } from "./tls/tls-info.ts";
import { writesToHandles } from "./tls/tls-inside.ts";
import { TlsWriter } from "./tls/tls-writer.ts";

export interface ConnectionOptions {
  readonly side: ConnectionSide;
  /** Above this many queued bytes `writeBytes` answers false; `onDrain` comes below half of it. */
  readonly highWatermarkBytes: number;
  /**
   * Called when a handler throws; the connection is destroyed afterwards. Left out, the error goes on to the thread,
   * which is right only where nobody else shares the thread.
   */
  readonly onThrow?: (error: unknown) => void;
  /** Left out: plaintext. */
  readonly secured?: Secured;
}

/** What a TLS handshake has left behind. */
export interface Secured {
  /** Of the connection whose socket it has taken. */
  readonly id: number;
  readonly alpnProtocol: string;
  readonly info: TlsInfo;
  /** The socket that carries the encrypted bytes. */
  readonly beneath: Socket;
  /** Asked once the socket has ended: nobody but the network has said so. */
  readonly wasCut: () => boolean;
}

/** A body chunk from this size on is sent from where it lies, beside the gathered head, instead of being copied. */
const DIRECT_BYTES = 8 * 1024;

let nextId = 1;

/** Where an end delimits, an end that anybody can make must not look like one of the peer's (RFC 8446 §6.1). */
const CUT = new Error("the peer closed without TLS close_notify");

/**
 * A connection over a socket of Node's.
 *
 * Output first gathers in a pooled buffer. The flush writes it straight to the descriptor, since only so is known how much
 * the kernel took: what it took is gone from here at once, and only a rest is copied and left to the socket's queue. (Leaving
 * all of it to the socket costs 2 µs more for a small message and 35 µs for 64 KiB; bench/micro/connection.ts.) While
 * the socket's queue holds anything, everything goes there, in order. A write that fails does not end the connection while
 * it is being read: a peer that answers early and closes has its answer in our receive buffer, behind the broken pipe.
 * Over TLS a writer of its own takes what has gathered.
 *
 * Invariants: `#output` is held only between the first write of a turn and its flush; direct writes happen only while
 * the socket's queue is empty and the socket is alive.
 */
export class SocketConnection implements Connection, Flushable, Reader {
  readonly id: number;
  readonly #socket: Socket;
  readonly #descriptor: Descriptor;
  /** Of its `onread`, if it has one. */
  readonly #hook: ReadHook | undefined;
  readonly #side: ConnectionSide;
  readonly #highWatermark: number;
  readonly #onThrow: ((error: unknown) => void) | undefined;
  readonly #secured: Secured | undefined;
  /** Of TLS, where this Node lets its handles be written to. */
  readonly #writer: TlsWriter | undefined;
  #handler: ConnectionHandler | undefined;
  #output: OutputBuffer | undefined;
  #outputLength = 0;
  /** Bytes ever given to the socket's own queue, or to the writer. */
  #queuedToSocket = 0;
  #written = 0;
  #read = 0;
  #paused = true;
  /** What `release` has put back. */
  #unread: Buffer | undefined;
  /** Something has been read that comes before what is read now: `#unread`, then what lies in the socket's stream. */
  #holds = false;
  #ended = false;
  #closed = false;
  #above = false;
  #failure: Failure | undefined;
  #writeFailed = false;
  #remoteAddress: string | undefined;
  #remotePort = 0;
  #localAddress: string | undefined;
  #localPort = 0;

  /** `hook` is that of the socket's `onread`; without one the socket is read by `data` events (no re-wrapping). */
  constructor(socket: Socket, options: ConnectionOptions, hook?: ReadHook) {
    this.id = options.secured === undefined ? nextId++ : options.secured.id;
    this.#socket = socket;
    this.#hook = hook;
    this.#descriptor = new Descriptor(socket);
    this.#side = options.side;
    this.#highWatermark = options.highWatermarkBytes;
    this.#onThrow = options.onThrow;
    this.#secured = options.secured;
    if (this.#secured !== undefined && writesToHandles) this.#writer = new TlsWriter(socket, this.#onWritten);
    if (hook === undefined) socket.pause().on("data", this.#onBytes);
    else {
      hook.reader = this;
      this.#holds = socket.readableLength > 0;
    }
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  get remoteAddress(): string {
    if (this.#remoteAddress === undefined) {
      this.#remoteAddress = this.#socket.remoteAddress ?? "";
      this.#remotePort = this.#socket.remotePort ?? 0;
    }
    return this.#remoteAddress;
  }

  get remotePort(): number {
    return this.remoteAddress === "" ? 0 : this.#remotePort;
  }

  get localAddress(): string {
    if (this.#localAddress === undefined) {
      // On a Unix socket Node has neither.
      this.#localAddress = this.#socket.localAddress ?? "";
      this.#localPort = this.#socket.localPort ?? 0;
    }
    return this.#localAddress;
  }

  get localPort(): number {
    return this.localAddress === "" ? 0 : this.#localPort;
  }

  /** For calls that Node has no face for, until they return: -1 where the socket is gone, or encrypted. */
  get descriptor(): number {
    return this.#descriptor.current;
  }

  get bytesRead(): number {
    return this.#read;
  }

  get bytesWritten(): number {
    return this.#written + this.#queuedToSocket - this.#inSocket();
  }

  get bytesQueued(): number {
    return this.#outputLength + this.#inSocket();
  }

  /** Bytes in the socket's own queue, or the writer's. Most plain connections never have any, and do not ask. */
  #inSocket(): number {
    if (this.#queuedToSocket === 0) return 0;
    return this.#writer === undefined ? this.#socket.writableLength : this.#writer.queued;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get tls(): TlsInfo | undefined {
    return this.#secured?.info;
  }

  get alpnProtocol(): string {
    return this.#secured === undefined ? "" : this.#secured.alpnProtocol;
  }

  start(handler: ConnectionHandler): void {
    if (this.#handler !== undefined) throw new TypeError("a connection is started once");
    this.#handler = handler;
    this.resume();
  }

  release(unread: Uint8Array): void {
    this.pause();
    this.#handler = undefined;
    this.#read = 0;
    if (unread.byteLength === 0) return;
    this.#unread = Buffer.from(unread);
    this.#holds = true;
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    if (this.#hook !== undefined) stopReading(this.#socket);
    else this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.#closed || this.#handler === undefined) return;
    this.#paused = false;
    if (this.#holds) process.nextTick(this.#readAgain);
    else if (this.#hook !== undefined) startReading(this.#socket);
    else this.#socket.resume();
  }

  writeLatin1(text: string): void {
    const { length } = text;
    if (this.#deaf()) return;
    if (length > OUTPUT_BUFFER_BYTES) {
      this.writeBytes(Buffer.from(text, "latin1"));
      return;
    }
    this.#room(length).latin1Write(text, this.#outputLength, length);
    this.#outputLength += length;
  }

  writeBytes(bytes: Uint8Array): boolean {
    if (this.#deaf()) return true;
    const { byteLength } = bytes;
    // TLS sends nothing from where it lies: what fits is gathered, and encrypted from there.
    if (byteLength >= (this.#secured === undefined ? DIRECT_BYTES : OUTPUT_BUFFER_BYTES + 1)) this.#sendWith(bytes);
    else if (byteLength > 0) {
      this.#room(byteLength).set(bytes, this.#outputLength);
      this.#outputLength += byteLength;
    }
    if (this.bytesQueued <= this.#highWatermark) return true;
    // What waits only for this turn's end is no reason to stop anybody.
    if (this.#outputLength > 0) this.flush();
    if (this.bytesQueued <= this.#highWatermark) return true;
    this.#above = true;
    return false;
  }

  end(): void {
    if (this.#ended || this.#closed) return;
    this.flush();
    this.#ended = true;
    if (this.#writer === undefined || this.#writer.queued === 0) this.#socket.end(); // or else behind the last write
  }

  destroy(): void {
    if (this.#closed) return;
    // A client that is cut off has all that was written for it before. What an upstream was to get and has not got may be
    // on its way to another one already.
    if (this.#side === "downstream") this.flush();
    this.#close();
    this.#socket.destroy();
  }

  reset(): void {
    if (this.#closed) return;
    this.#close();
    const socket = this.#socket;
    // A Unix socket knows no RST.
    if (socket.remoteFamily === undefined) socket.destroy();
    else {
      const isEnding = socket.writableEnded && socket.writableLength === 0 && !socket.writableFinished;
      resetSocket(this.#secured?.beneath ?? socket, isEnding);
    }
  }

  /**
   * For TLS, which takes the socket: this connection is no more, and tells nobody. Only before `start`, or after `release`.
   * `unread` are bytes that have been read from the socket and that nobody has had.
   */
  surrender(): { readonly socket: Socket; readonly unread: Buffer | undefined } {
    if (this.#handler !== undefined) throw new TypeError("a connection that somebody uses cannot change hands");
    if (this.#secured !== undefined) throw new TypeError("there is no TLS within TLS");
    this.flush();
    this.#close();
    const socket = this.#socket;
    if (this.#hook !== undefined) this.#hook.reader = undefined;
    socket.off("data", this.#onBytes).off("end", this.#onEnd).off("error", this.#onError).off("close", this.#onClose);
    const unread = this.#unread;
    this.#unread = undefined;
    return { socket, unread };
  }

  /**
   * Lets go of the connection without the peer's notice: of two descriptors one is closed, so nothing is sent. Answers the
   * other one, or -1 if the connection has to stay here; then nothing has happened.
   */
  detach(duplicate: (descriptor: number) => number): number {
    const { current } = this.#descriptor;
    if (this.#deaf() || this.#hook === undefined || this.bytesQueued > 0 || current < 0 || this.#socket.readableEnded)
      return -1;
    const copy = duplicate(current);
    // No byte is lost: nothing is read between the two calls, and what has come lies in the kernel.
    if (copy >= 0) this.destroy();
    return copy;
  }

  /** Sends what has gathered. Called by the flush queue at the end of the turn. */
  flush(): void {
    const output = this.#output;
    if (output === undefined) return;
    const length = this.#outputLength;
    this.#output = undefined;
    this.#outputLength = 0;
    if (!this.#deaf() && length > 0) {
      if (this.#writer !== undefined) {
        this.#queuedToSocket += length;
        this.#writer.write(output, length, undefined);
        return;
      }
      const taken = this.#writeNow(output, length, undefined);
      if (taken < length) this.#queue(Buffer.from(output.subarray(taken, length)));
    }
    giveOutputBuffer(output);
  }

  /** For the socket's `onread`. */
  receive(bytes: Uint8Array): void {
    // One read of a TLS socket may be many records, each of which comes, whatever has become of the reading.
    if ((this.#paused || this.#holds) && this.#hook !== undefined) this.#hold(bytes);
    else this.#deliver(bytes);
  }

  /** In the stream, since that does not tell of its end before somebody has taken what is in it. */
  #hold(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#holds = true;
    if (!this.#socket.push(Buffer.from(bytes))) stopReading(this.#socket);
  }

  #deliver(bytes: Uint8Array): void {
    this.#read += bytes.byteLength;
    if (this.#closed) return;
    enterCallback();
    try {
      this.#handler?.onData(bytes);
    } catch (error) {
      this.#threw(error);
    } finally {
      leaveCallback();
    }
  }

  #deaf(): boolean {
    return this.#closed || this.#ended || this.#writeFailed;
  }

  /** An output buffer with room for `length` more bytes; `length` is at most a whole buffer. */
  #room(length: number): OutputBuffer {
    if (this.#output !== undefined && this.#outputLength + length > OUTPUT_BUFFER_BYTES) this.flush();
    if (this.#output === undefined) {
      this.#output = takeOutputBuffer();
      scheduleFlush(this);
    }
    return this.#output;
  }

  /** Sends what has gathered and these bytes in one write. */
  #sendWith(bytes: Uint8Array): void {
    const output = this.#output;
    const length = this.#outputLength;
    const total = length + bytes.byteLength;
    this.#output = undefined;
    this.#outputLength = 0;
    if (this.#writer !== undefined) {
      this.#queuedToSocket += total;
      this.#writer.write(output, length, bytes);
      return;
    }
    const taken =
      output === undefined ? this.#writeNow(bytes, total, undefined) : this.#writeNow(output, length, bytes);
    if (taken < total) {
      const rest = Buffer.allocUnsafeSlow(total - taken);
      const gathered = Math.max(0, length - taken);
      if (output !== undefined && gathered > 0) output.copy(rest, 0, taken, length);
      rest.set(taken > length ? bytes.subarray(taken - length) : bytes, gathered);
      this.#queue(rest);
    }
    if (output !== undefined) giveOutputBuffer(output);
  }

  /** Gives the kernel what it takes, and answers how much that was. After a failed write that is all: nobody wants a rest. */
  #writeNow(first: Uint8Array, length: number, second: Uint8Array | undefined): number {
    if (this.#inSocket() > 0) return 0;
    const descriptor = this.#descriptor.current;
    if (descriptor < 0) return 0; // the socket is gone, or has no descriptor (TLS): its own queue deals with it
    try {
      const taken =
        second === undefined
          ? sendNow(descriptor, first, length)
          : writevSync(descriptor, [first.subarray(0, length), second]);
      this.#written += taken;
      return taken;
    } catch (error) {
      if (wouldBlock(error)) return 0;
      this.#failWrite(error);
      return length + (second?.byteLength ?? 0);
    }
  }

  #queue(bytes: Buffer): void {
    this.#queuedToSocket += bytes.byteLength;
    this.#socket.write(bytes, this.#onWritten);
  }

  #failWrite(error: unknown): void {
    this.#writeFailed = true;
    this.#failure ??= connectionFailure(error, this.#side);
    // While it is read, the reading side meets the same end in a moment, after what the peer still said.
    if (this.#paused || this.#socket.readableEnded) this.#socket.destroy();
  }

  /** What was put back comes first, then what is held; only then is the socket read. */
  readonly #readAgain = (): void => {
    if (!this.#holds || this.#paused || this.#closed) return;
    const bytes: Buffer | null = this.#unread ?? this.#socket.read();
    this.#unread = undefined;
    this.#holds = this.#hook !== undefined && this.#socket.readableLength > 0;
    if (bytes !== null) this.#deliver(bytes);
    if (this.#paused) return; // `resume` goes on
    this.#paused = true;
    this.resume();
  };

  readonly #onBytes = (bytes: Buffer): void => this.#deliver(bytes);

  readonly #onWritten = (): void => {
    if (this.#ended && !this.#closed && this.#writer?.queued === 0) this.#socket.end();
    if (!this.#above || this.#closed || this.bytesQueued > this.#highWatermark / 2) return;
    this.#above = false;
    this.#tell("drain");
  };

  readonly #onEnd = (): void => {
    if (this.#secured?.wasCut() === true && !this.#closed) {
      this.#failure ??= connectionFailure(CUT, this.#side);
      this.#socket.destroy();
    } else if (this.#writeFailed) this.#socket.destroy();
    else if (!this.#closed) this.#tell("end");
  };

  readonly #onError = (error: Error): void => {
    this.#failure ??= connectionFailure(error, this.#side);
    // What breaks TLS is told, and leaves the socket open.
    if (this.#secured !== undefined) this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    if (this.#closed) this.#failure = undefined; // by our own doing
    this.#close();
    this.#tell("close");
  };

  #tell(event: "drain" | "end" | "close"): void {
    enterCallback();
    try {
      if (event === "drain") this.#handler?.onDrain();
      else if (event === "end") this.#handler?.onEnd();
      else this.#handler?.onClose(this.#failure);
    } catch (error) {
      this.#threw(error);
    } finally {
      leaveCallback();
    }
  }

  #threw(error: unknown): void {
    this.reset();
    if (this.#onThrow === undefined) throw error;
    this.#onThrow(error);
  }

  #close(): void {
    this.#closed = true;
    if (this.#output === undefined) return;
    giveOutputBuffer(this.#output);
    this.#output = undefined;
    this.#outputLength = 0;
  }
}
