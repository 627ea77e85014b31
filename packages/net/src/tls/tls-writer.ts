import type { Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import { giveOutputBuffer, OUTPUT_BUFFER_BYTES, type OutputBuffer } from "../output-pool.ts";
import { type OnWritten, startWrite } from "./tls-inside.ts";

/**
 * An output buffer with so many bytes that has to wait is not copied. Copies of that size are memory outside of V8's heap, and each
 * 32 MB of it cause a full collection: 90 of them, a sixth of the CPU, for 1 GiB each way. With fewer bytes in it a peer that
 * does not read could make us hold many buffers that are nearly empty.
 */
const LENT_BYTES = OUTPUT_BUFFER_BYTES / 2;

/**
 * Writes to a TLS socket's handle, without the socket's stream in between. The handle encrypts at once, so that what it was
 * given is free again; but it takes the next write only when the kernel has taken the last one. Until then bytes wait here, and leave in
 * one write. A write that fails destroys the socket, with the error.
 *
 * Beside this the socket's own `write` must not be used, and its `end` only while nothing is queued.
 */
export class TlsWriter {
  readonly #socket: Socket;
  readonly #onWritten: () => void;
  /** Bytes of the write that is on its way; 0: none is. */
  #leaving = 0;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Those in whose memory waiting bytes lie. */
  #lent: OutputBuffer[] = [];

  /** `onWritten`: the kernel has taken a write, and less is queued. Never called from within a write. */
  constructor(socket: Socket, onWritten: () => void) {
    this.#socket = socket;
    this.#onWritten = onWritten;
  }

  /** Bytes, before encryption, that the kernel has not taken yet. They stay once the socket is gone. */
  get queued(): number {
    return this.#leaving + this.#waitingBytes;
  }

  /**
   * Writes the first `length` bytes of an output buffer, of which it disposes, and `more` behind them, which stay the caller's.
   * Of both together there is at least one byte.
   */
  write(output: OutputBuffer | undefined, length: number, more: Uint8Array | undefined): void {
    const gathered = output === undefined ? undefined : new Uint8Array(output.buffer, 0, length);
    if (this.#leaving > 0) {
      if (output !== undefined && gathered !== undefined) this.#keepOutput(output, gathered);
      if (more !== undefined) this.#keep(Buffer.allocUnsafeSlow(more.byteLength), more);
      return;
    }
    this.#leaving = length + (more?.byteLength ?? 0);
    if (gathered === undefined) this.#start(more as Uint8Array);
    else this.#start(more === undefined ? gathered : [gathered, more]);
    if (output !== undefined) giveOutputBuffer(output);
  }

  #keepOutput(output: OutputBuffer, gathered: Uint8Array): void {
    const { byteLength } = gathered;
    if (byteLength < LENT_BYTES) {
      this.#keep(Buffer.allocUnsafe(byteLength), gathered);
      giveOutputBuffer(output);
      return;
    }
    this.#lent.push(output);
    this.#waiting.push(gathered);
    this.#waitingBytes += byteLength;
  }

  #keep(copy: Buffer, bytes: Uint8Array): void {
    copy.set(bytes);
    this.#waiting.push(copy);
    this.#waitingBytes += bytes.byteLength;
  }

  #start(bytes: Uint8Array | Uint8Array[]): void {
    const status = startWrite(this.#socket, bytes, this.#onComplete);
    if (status !== 0) this.#fail(status, undefined);
  }

  readonly #onComplete: OnWritten = (status, _handle, detail) => {
    if (status !== 0) {
      this.#fail(status, detail);
      return;
    }
    this.#leaving = this.#waitingBytes;
    if (this.#leaving > 0) {
      const [waiting, lent] = [this.#waiting, this.#lent];
      this.#waiting = [];
      this.#waitingBytes = 0;
      this.#lent = [];
      this.#start(waiting.length === 1 ? waiting[0]! : waiting); // just counted
      for (const output of lent) giveOutputBuffer(output);
    }
    this.#onWritten();
  };

  /** Bytes that could not be written stay queued for good, and are never told to be written. */
  #fail(status: number, detail: string | undefined): void {
    if (this.#socket.destroyed) return;
    const code = getSystemErrorName(status);
    const error = Object.assign(new Error(`write ${code}${detail === undefined ? "" : `: ${detail}`}`), { code });
    // The handle may be in the middle of this write.
    process.nextTick(() => this.#socket.destroy(error));
  }
}
