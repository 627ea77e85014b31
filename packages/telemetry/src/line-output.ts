import { fstatSync, writeSync } from "node:fs";
import type { Clock, Timer } from "@heddle/base";
import type { Counter } from "./metrics.ts";

export interface LineOutputOptions {
  readonly clock: Clock;
  /** Bytes that may wait for a slow reader; beyond it lines are dropped. */
  readonly maxQueuedBytes?: number;
  /** A line that tells the reader, once it reads again, how many it has missed. */
  readonly describeLoss?: (dropped: number) => string;
}

const RETRY_AFTER_MS = 50;
const DEFAULT_MAX_QUEUED_BYTES = 256 * 1024;

/**
 * The way of a program's own log to a descriptor: it never waits, never throws and holds a bounded number of bytes, whatever is
 * at the other end: a pipe that nobody reads, one that is closed, a full disk. What cannot be written is dropped and counted.
 *
 * `process.stderr` is no such thing: it queues without bound what a pipe does not take, and a closed pipe is an `error` event
 * that ends the process; in a worker it also waits for the main thread.
 *
 * The descriptor must be a non-blocking one where it is a pipe or a socket (see `unblockStandardStreams`).
 */
export class LineOutput {
  readonly #descriptor: number;
  readonly #clock: Clock;
  readonly #maxQueuedBytes: number;
  readonly #describeLoss: ((dropped: number) => string) | undefined;
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  /** Of the queue's first line the kernel has taken this much. */
  #takenOfFirst = 0;
  #timer: Timer | undefined;
  #dropped = 0;
  #counter: Counter | undefined;
  /** Dropped, and not yet told. */
  #untold = 0;

  constructor(descriptor: number, options: LineOutputOptions) {
    this.#descriptor = descriptor;
    this.#clock = options.clock;
    this.#maxQueuedBytes = options.maxQueuedBytes ?? DEFAULT_MAX_QUEUED_BYTES;
    this.#describeLoss = options.describeLoss;
  }

  /** Lines that nobody will see. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Counts in it what was dropped, and what will be. */
  countIn(counter: Counter): void {
    this.#counter = counter;
    if (this.#dropped > 0) counter.add(this.#dropped);
  }

  /** Takes a line that ends with "\n". */
  readonly write = (line: string): void => {
    if (this.#untold > 0 && this.#queue.length === 0) this.#tellLoss();
    this.#add(Buffer.from(line));
  };

  /** A last try for what waits. For the end of the program. */
  close(): void {
    this.#stopTimer();
    this.#flush();
    this.#stopTimer();
    this.#drop(this.#queue.length);
    this.#queue.length = 0;
    this.#queuedBytes = 0;
  }

  #add(bytes: Buffer): void {
    if (this.#queuedBytes + bytes.length > this.#maxQueuedBytes) {
      this.#drop(1);
      return;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#timer === undefined) this.#flush();
  }

  #tellLoss(): void {
    const line = this.#describeLoss?.(this.#untold);
    this.#untold = 0;
    if (line !== undefined) this.#add(Buffer.from(line));
  }

  readonly #flush = (): void => {
    this.#timer = undefined;
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const taken = this.#tryWrite(first.subarray(this.#takenOfFirst));
      if (taken === WOULD_BLOCK) {
        this.#timer = this.#clock.after(RETRY_AFTER_MS, this.#flush, true);
        return;
      }
      if (taken === FAILED) this.#drop(1);
      else {
        this.#takenOfFirst += taken;
        if (this.#takenOfFirst < first.length) continue;
      }
      this.#queue.shift();
      this.#queuedBytes -= first.length;
      this.#takenOfFirst = 0;
    }
  };

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Bytes that the kernel took. */
  #tryWrite(bytes: Buffer): number {
    try {
      return writeSync(this.#descriptor, bytes);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === "EAGAIN" || code === "EWOULDBLOCK" ? WOULD_BLOCK : FAILED;
    }
  }

  #drop(lines: number): void {
    if (lines === 0) return;
    this.#counter?.add(lines);
    this.#dropped += lines;
    this.#untold += lines;
  }
}

const WOULD_BLOCK = -1;
const FAILED = -2;

/**
 * Makes descriptors 1 and 2 non-blocking where they are pipes or sockets, and keeps Node's own streams on them from ending the
 * process when the other end is closed. For the main thread, before anything is written. Whoever shares the other end of the
 * pipe notices nothing; whoever shares this end may: as with every program of Node's that has used `process.stdout`, and
 * Node puts the flags back when the process ends.
 */
export function unblockStandardStreams(): void {
  for (const [descriptor, stream] of [
    [1, () => process.stdout],
    [2, () => process.stderr],
  ] as const) {
    try {
      const stat = fstatSync(descriptor);
      if (!stat.isFIFO() && !stat.isSocket()) continue;
      stream().on("error", () => undefined); // that Node opens it is what makes it non-blocking
    } catch {
      // The descriptor is closed: what is written there is lost, and that is all.
    }
  }
}
