import { type Failure, failure } from "@heddle/base";
import type { Connection, ConnectionHandler, TlsInfo } from "@heddle/net";

/** A connection without a socket. */
export class MemoryConnection implements Connection {
  static #ids = 0;
  readonly id = ++MemoryConnection.#ids;
  readonly remoteAddress = "192.0.2.1";
  readonly remotePort = 40000;
  readonly localAddress = "192.0.2.2";
  readonly localPort = 15001;
  bytesRead = 0;
  bytesWritten = 0;
  closed = false;
  /** As if TLS had agreed on it. */
  alpnProtocol = "";
  tls: TlsInfo | undefined = undefined;
  ended = false;
  paused = false;
  /** Above this many bytes `writeBytes` answers false. */
  highWatermarkBytes = Infinity;
  readonly address: string;
  #handler: ConnectionHandler | undefined = undefined;
  #queued: Buffer[] = [];
  #sent: Buffer[] = [];
  #incoming: (Uint8Array | "end")[] = [];
  #closeReason: Failure | undefined = undefined;
  #toldClose = false;
  #stalled = false;
  #refused = false;

  constructor(address = "") {
    this.address = address;
  }

  // What the code under test calls.

  get bytesQueued(): number {
    return this.#queued.reduce((sum, { length }) => sum + length, 0);
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler;
    this.paused = false;
  }

  release(unread: Uint8Array): void {
    this.#handler = undefined;
    this.bytesRead = 0;
    if (unread.length > 0) this.#incoming.unshift(Buffer.from(unread));
  }

  writeLatin1(text: string): void {
    if (!this.closed && !this.ended) this.#queued.push(Buffer.from(text, "latin1"));
  }

  writeBytes(bytes: Uint8Array): boolean {
    if (!this.closed && !this.ended) this.#queued.push(Buffer.from(bytes));
    this.#refused ||= this.bytesQueued > this.highWatermarkBytes;
    return this.bytesQueued <= this.highWatermarkBytes;
  }

  end(): void {
    this.ended = true;
  }

  destroy(): void {
    this.closed = true;
  }

  reset(): void {
    this.destroy();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  // What the peer does.

  send(text: string | Uint8Array): void {
    this.#incoming.push(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  }

  sendEnd(): void {
    this.#incoming.push("end");
  }

  /** The connection breaks: what is queued is lost. */
  break(reason?: Failure): void {
    this.#closeReason = reason ?? failure("reset-by-upstream", "upstream", "ECONNRESET", "if-connection-was-reused");
    this.closed = true;
    this.#queued = [];
  }

  /** The peer stops and starts reading. */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
  }

  /** What the peer has got since it was last asked. */
  take(): string {
    const text = Buffer.concat(this.#sent).toString("latin1");
    this.#sent = [];
    return text;
  }

  /** One turn of the event loop for this connection. True if anything happened. */
  turn(): boolean {
    let moved = this.#flush();
    while (!this.paused && !this.closed && this.#handler !== undefined) {
      const next = this.#incoming.shift();
      if (next === undefined) break;
      moved = true;
      if (next === "end") this.#handler.onEnd();
      else {
        this.bytesRead += next.length;
        this.#handler.onData(next);
      }
      this.#flush();
    }
    if (this.closed && !this.#toldClose && this.#handler !== undefined) {
      this.#toldClose = true;
      this.#handler.onClose(this.#closeReason);
      moved = true;
    }
    return moved;
  }

  #flush(): boolean {
    if (this.#queued.length === 0 || this.#stalled) return false;
    for (const bytes of this.#queued) this.bytesWritten += bytes.length;
    this.#sent.push(...this.#queued);
    this.#queued = [];
    if (this.#refused) {
      this.#refused = false;
      this.#handler?.onDrain();
    }
    return true;
  }
}
