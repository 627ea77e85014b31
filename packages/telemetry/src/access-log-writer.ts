import { close, closeSync, write, writeSync } from "node:fs";
import { type Clock, err, ok, type Result, type Timer } from "@heddle/base";
import type { AccessLogStats } from "./access-log-stats.ts";
import { type LogDescriptor, openLogFile } from "./log-descriptor.ts";

/** When lines that wait are written. */
export interface LogFlush {
  /** At the latest, so that many leave in one write (Envoy's `--file-flush-interval-msec`). */
  readonly afterMs: number;
  /** So many characters leave at once (Envoy's `--file-flush-min-size-kb`). */
  readonly at: number;
}

export interface AccessLogWriterOptions {
  readonly clock: Clock;
  readonly stats: AccessLogStats;
  /** Called at the first of a row of failures. */
  readonly onError?: (error: unknown) => void;
  /** Default: `DEFAULT_LOG_FLUSH`. */
  readonly flush?: LogFlush;
  /** Characters that may wait; beyond it lines are dropped. 1 Mi. */
  readonly maxQueued?: number;
}

/** How long lines wait for each other, and how many characters leave at once, where no flag says it. */
export const DEFAULT_LOG_FLUSH: LogFlush = { afterMs: 1000, at: 64 * 1024 };
const MAX_QUEUED = 1024 * 1024;
const RETRY_AFTER_MS = 10;
const PATIENCE_AT_END_MS = 3000;

/**
 * Writes lines to a descriptor, without waiting and without ever failing: lines gather and leave in one `fs.write` at a
 * time; when too many wait, lines are dropped and counted. (A worker's `process.stdout` would wait for the main thread.)
 *
 * Every write ends with a whole line, so lines of workers that append to one file do not mix.
 *
 *     closed ─> open ─> writing ─> open            closed: the file could not be opened (a FIFO that nobody reads);
 *        └── each flush tries ──┘                  each flush tries again, and lines wait meanwhile
 */
export class AccessLogWriter {
  /** Opens what is written to; called again to reopen. Throws what `fs` throws. */
  readonly #open: () => LogDescriptor;
  readonly #clock: Clock;
  readonly #stats: AccessLogStats;
  readonly #onError: ((error: unknown) => void) | undefined;
  readonly #flushAfterMs: number;
  readonly #flushAt: number;
  readonly #maxQueued: number;
  #descriptor: LogDescriptor | undefined;
  #lines = "";
  #count = 0;
  /** What `fs.write` has and has not finished; its lines are counted if it fails. */
  #writing: { readonly bytes: Buffer; at: number; readonly count: number; readonly to: LogDescriptor } | undefined;
  #timer: Timer | undefined;
  #failing = false;
  /** Takes no more lines, and closes when what waits has been written. */
  #ending = false;
  /** Until when a reader that has no room is waited for. */
  #patientUntilMs = Infinity;
  #closed = false;

  constructor(descriptor: LogDescriptor | undefined, open: () => LogDescriptor, options: AccessLogWriterOptions) {
    this.#descriptor = descriptor;
    this.#open = open;
    this.#clock = options.clock;
    this.#stats = options.stats;
    this.#onError = options.onError;
    this.#flushAfterMs = options.flush?.afterMs ?? DEFAULT_LOG_FLUSH.afterMs;
    this.#flushAt = options.flush?.at ?? DEFAULT_LOG_FLUSH.at;
    this.#maxQueued = options.maxQueued ?? MAX_QUEUED;
  }

  /** Appends to the file, which is made if it is not there. A FIFO need not have a reader yet. */
  static toFile(path: string, options: AccessLogWriterOptions): Result<AccessLogWriter, string> {
    const open = (): LogDescriptor => openLogFile(path);
    try {
      return ok(new AccessLogWriter(open(), open, options));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENXIO") return ok(new AccessLogWriter(undefined, open, options));
      return err(`access log ${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Takes a line that ends with "\n". */
  write(line: string): void {
    if (this.#ending || this.#lines.length + line.length > this.#maxQueued) {
      this.#stats.dropped.add();
      return;
    }
    this.#lines += line;
    this.#count++;
    this.#stats.writeBuffered.add();
    this.#stats.writeTotalBuffered.add(line.length);
    if (this.#lines.length >= this.#flushAt) this.#flush();
    else this.#timer ??= this.#clock.after(this.#flushAfterMs, this.#flushInTime, true);
  }

  /**
   * Opens the path anew, after somebody has moved the file away (Envoy: SIGUSR1, `/reopen_logs`). What waits goes to the
   * new file; a write under way ends in the old one. Where that fails the old one is kept.
   */
  reopen(): void {
    if (this.#ending) return;
    const before = this.#descriptor;
    if (!this.#tryOpen()) {
      this.#stats.reopenFailed.add();
      return;
    }
    if (before?.owned === true && this.#writing?.to !== before) close(before.fd, ignore);
  }

  /** Nobody writes here any more: closes when what waits has been written, or cannot be within a few seconds. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#patientUntilMs = this.#clock.now() + PATIENCE_AT_END_MS;
    this.#flush();
    if (this.#writing === undefined) this.#finish();
  }

  /** Writes what waits, this time waiting for the disk, and closes. For the end of the thread; a write under way ends by itself. */
  close(): void {
    if (this.#closed) return;
    this.#ending = true;
    this.#closed = true;
    this.#timer?.cancel();
    this.#writeAll(Buffer.from(this.#lines), this.#count);
    const descriptor = this.#descriptor;
    if (descriptor?.owned === true && this.#writing?.to !== descriptor) closeSync(descriptor.fd);
  }

  readonly #flushInTime = (): void => {
    this.#timer = undefined;
    this.#stats.flushedByTimer.add();
    this.#flush();
  };

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#writing !== undefined || this.#count === 0) return;
    if (this.#descriptor === undefined && !this.#tryOpen()) {
      if (!this.#ending) this.#timer = this.#clock.after(this.#flushAfterMs, this.#flushInTime, true);
      return;
    }
    this.#writing = { bytes: Buffer.from(this.#lines), at: 0, count: this.#count, to: this.#descriptor! }; // it is open
    this.#stats.writeTotalBuffered.add(-this.#lines.length);
    this.#lines = "";
    this.#count = 0;
    this.#go();
  }

  readonly #go = (): void => {
    const writing = this.#writing!; // set by whoever calls
    const { bytes, at, to } = writing;
    write(to.fd, bytes, at, bytes.length - at, null, (error, written) => {
      if (error?.code === "EAGAIN" && !this.#closed && this.#clock.now() < this.#patientUntilMs) {
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
        this.#stats.writeCompleted.add();
        this.#failing = false;
      }
      this.#writing = undefined;
      // Nobody else closes a descriptor that was being written to.
      if (to.owned && (this.#closed || to !== this.#descriptor)) close(to.fd, ignore);
      if (this.#closed) return;
      this.#flush();
      if (this.#ending && this.#writing === undefined) this.#finish();
    });
  };

  #finish(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#stats.dropped.add(this.#count);
    this.#stats.writeTotalBuffered.add(-this.#lines.length);
    this.#lines = "";
    this.#count = 0;
    if (this.#descriptor?.owned === true) close(this.#descriptor.fd, ignore);
  }

  #tryOpen(): boolean {
    try {
      this.#descriptor = this.#open();
      return true;
    } catch (error) {
      this.#tell(error);
      return false;
    }
  }

  #failed(error: unknown, lines: number): void {
    this.#stats.writeFailed.add();
    this.#stats.dropped.add(lines);
    this.#tell(error);
  }

  #tell(error: unknown): void {
    if (!this.#failing) this.#onError?.(error);
    this.#failing = true;
  }

  #writeAll(bytes: Buffer, lines: number): void {
    const descriptor = this.#descriptor;
    this.#stats.writeTotalBuffered.add(-this.#lines.length);
    this.#lines = "";
    if (descriptor === undefined) {
      this.#stats.dropped.add(lines);
      return;
    }
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(descriptor.fd, bytes, at, bytes.length - at);
    } catch (error) {
      this.#failed(error, lines);
    }
  }
}

const ignore = (): void => undefined;
