import { close, closeSync, openSync, write, writeSync } from "node:fs";
import { type Clock, err, ok, type Result, type Timer } from "@heddle/base";
import type { Counter } from "./metrics.ts";

export interface AccessLogWriterOptions {
  readonly clock: Clock;
  /** Lines that were dropped, since the disk or the reader was too slow, or failed. */
  readonly dropped: Counter;
  /** Called at the first of a row of failures. */
  readonly onError?: (error: unknown) => void;
  /** Lines wait for at most this long, so that many leave in one write. */
  readonly flushAfterMs?: number;
  /** Characters that may wait; beyond it lines are dropped. */
  readonly maxQueued?: number;
}

const FLUSH_AT = 64 * 1024;
const RETRY_AFTER_MS = 10;

/**
 * Writes lines to a descriptor, without waiting and without ever failing: lines gather and leave in one `fs.write` at a
 * time; when too many wait, lines are dropped and counted. (A worker's `process.stdout` would wait for the main thread.)
 *
 * Every write ends with a whole line, so lines of workers that append to one file do not mix.
 */
export class AccessLogWriter {
  readonly #descriptor: number;
  readonly #owned: boolean;
  readonly #clock: Clock;
  readonly #dropped: Counter;
  readonly #onError: ((error: unknown) => void) | undefined;
  readonly #flushAfterMs: number;
  readonly #maxQueued: number;
  #lines = "";
  #count = 0;
  /** What `fs.write` has and has not finished; its lines are counted if it fails. */
  #writing: { readonly bytes: Buffer; at: number; readonly count: number } | undefined;
  #timer: Timer | undefined;
  #failing = false;
  #closed = false;

  /** `owned`: the descriptor is closed at the end. */
  constructor(descriptor: number, owned: boolean, options: AccessLogWriterOptions) {
    this.#descriptor = descriptor;
    this.#owned = owned;
    this.#clock = options.clock;
    this.#dropped = options.dropped;
    this.#onError = options.onError;
    this.#flushAfterMs = options.flushAfterMs ?? 1000;
    this.#maxQueued = options.maxQueued ?? 1024 * 1024;
  }

  /** Appends to the file, which is made if it is not there. */
  static toFile(path: string, options: AccessLogWriterOptions): Result<AccessLogWriter, string> {
    try {
      return ok(new AccessLogWriter(openSync(path, "a", 0o644), true, options));
    } catch (error) {
      return err(`access log ${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Takes a line that ends with "\n". */
  write(line: string): void {
    if (this.#closed || this.#lines.length + line.length > this.#maxQueued) {
      this.#dropped.add();
      return;
    }
    this.#lines += line;
    this.#count++;
    if (this.#lines.length >= FLUSH_AT) this.#flush();
    else this.#timer ??= this.#clock.after(this.#flushAfterMs, this.#flush, true);
  }

  /** Writes what waits, this time waiting for the disk, and closes. For the end of the thread; a write under way ends by itself. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#writeAll(Buffer.from(this.#lines), this.#count);
    if (this.#owned && this.#writing === undefined) closeSync(this.#descriptor);
  }

  readonly #flush = (): void => {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#writing !== undefined || this.#count === 0) return;
    this.#writing = { bytes: Buffer.from(this.#lines), at: 0, count: this.#count };
    this.#lines = "";
    this.#count = 0;
    this.#go();
  };

  readonly #go = (): void => {
    const writing = this.#writing!; // set by whoever calls
    const { bytes, at } = writing;
    write(this.#descriptor, bytes, at, bytes.length - at, null, (error, written) => {
      if (error?.code === "EAGAIN" && !this.#closed) {
        this.#clock.after(RETRY_AFTER_MS, this.#go, true); // a pipe whose reader is slow
        return;
      }
      if (error !== null) this.#failed(error, writing.count);
      else {
        writing.at += written;
        if (writing.at < bytes.length) {
          this.#go();
          return;
        }
        this.#failing = false;
      }
      this.#writing = undefined;
      if (!this.#closed) this.#flush();
      else if (this.#owned) close(this.#descriptor, () => undefined);
    });
  };

  #failed(error: unknown, lines: number): void {
    this.#dropped.add(lines);
    if (!this.#failing) this.#onError?.(error);
    this.#failing = true;
  }

  #writeAll(bytes: Buffer, lines: number): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#descriptor, bytes, at, bytes.length - at);
    } catch (error) {
      this.#failed(error, lines);
    }
  }
}
