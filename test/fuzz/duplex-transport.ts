import type { Duplex } from "node:stream";
import { type Failure, failure } from "@heddle/base";
import type { Transport } from "@heddle/http";
import { receiveReused } from "@heddle/http/testing";

/** What a connection of ours needs to hear of its transport. */
interface Receiver {
  receive(bytes: Uint8Array): void;
  receiveEnd(): void;
  transportDrained(): void;
  transportClosed(failure: Failure): void;
}

const GONE = failure("connection-closed", "upstream", "the stream has closed");

/**
 * A stream of Node as a transport of ours. What comes is cut into pieces of these lengths, in turn, and given in a buffer that is
 * overwritten afterwards.
 */
export class DuplexTransport implements Transport {
  readonly #stream: Duplex;
  #closed = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("error", () => undefined);
  }

  /** Begins to give what comes. */
  attach(connection: Receiver, cuts: readonly number[]): void {
    const stream = this.#stream;
    let turn = 0;
    stream.on("data", (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; ) {
        const length = cuts[turn++ % cuts.length] ?? chunk.length;
        if (!this.#closed) receiveReused(connection, chunk.subarray(at, at + length));
        at += length;
      }
    });
    stream.on("end", () => {
      if (!this.#closed) connection.receiveEnd();
    });
    stream.on("drain", () => {
      if (!this.#closed) connection.transportDrained();
    });
    stream.on("close", () => {
      if (this.#closed) return;
      this.#closed = true;
      connection.transportClosed(GONE);
    });
  }

  writeLatin1(text: string): void {
    this.writeBytes(Buffer.from(text, "latin1"));
  }

  writeBytes(bytes: Uint8Array): boolean {
    return this.#closed || this.#stream.writableEnded || this.#stream.write(Buffer.from(bytes));
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  reset(): void {
    this.#stream.destroy();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }
}
