import { setFlagsFromString } from "node:v8";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { Json } from "@heddle/base";
import type { FromWorker, InspectedPart, ToWorker, WorkerStart } from "../../traffic/worker/worker-messages.ts";
import { SharedLook } from "./shared-look.ts";

/**
 * Young generation of a traffic worker, in MiB: half-spaces of 4 MiB. An exchange allocates 5 kB, so with 1 MiB, which is what the
 * control thread has, a busy worker is collected a hundred times a second: 27.3 instead of 23.1 µs of user time for an exchange with a
 * 170-byte answer. Half-spaces of 8 MiB save 1 µs more and cost 11 MB.
 */
const YOUNG_GENERATION_MB = 15;

/**
 * Bytecode of a function that V8 may inline, and of all in one: twice and three times its defaults. The way of an exchange is many small
 * functions, of which V8 leaves out those that come last: 47,200 instructions of user mode for a request of HTTP/1 with the defaults,
 * 42,600 with these (callgrind, 175,000 requests warm).
 */
const INLINED_BYTES = 920;
const INLINED_BYTES_IN_ALL = 2760;

/**
 * What a worker's old generation may hold before it is collected for the first time, in MiB. Left to itself V8 comes down to 20 as the
 * young one is collected, and so collects all of it, 2 to 5 ms in one go, while the first ten thousand endpoints come; after that it
 * allows 48 to 104 (measured). Where the heap's limit is small, V8 takes half of that.
 */
const OLD_GENERATION_AT_FIRST_MB = 64;

export interface WorkerThreadEvents {
  onMessage(message: Exclude<FromWorker, { type: "inspected" }>): void;
  /** `onMessage` has thrown. */
  onThrow(error: unknown): void;
  /** The thread is gone. `error`: what it died of; undefined if it was asked to end. */
  onExit(error: unknown): void;
}

/**
 * The control thread's end of one traffic worker. It outlives the thread: messages to a thread that is gone are dropped.
 */
export class WorkerThread {
  readonly id: number;
  readonly #thread: Worker;
  readonly #inspecting = new Map<number, Inspection>();
  #nextInspection = 0;
  /** Goes through all endpoints: a worker that is slow to answer must not be asked ever more. */
  readonly #endpoints = new SharedLook(() => this.#ask("endpoints"));
  readonly #start: MessagePort;
  #gone = false;
  #asked = false;
  /** With what it died of; undefined if it was asked to end. */
  readonly #exited: Promise<unknown>;

  /**
   * Starts the thread, which loads its modules and then waits for `begin`.
   *
   * @param entry the module that it runs
   * @param heapMb what its heap may grow to; full, it ends the thread alone. Undefined: V8's default.
   */
  constructor(entry: URL, id: number, heapMb: number | undefined) {
    this.id = id;
    // The flag that the process is started with (`NODE_FLAGS`) has done its work for the control thread; it would count more here.
    setFlagsFromString("--max-semi-space-size=0");
    setFlagsFromString(`--initial-old-space-size=${OLD_GENERATION_AT_FIRST_MB}`);
    setFlagsFromString(`--max-inlined-bytecode-size=${INLINED_BYTES}`);
    setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTES_IN_ALL}`);
    const { port1: near, port2: far } = new MessageChannel();
    this.#start = near;
    this.#thread = new Worker(entry, {
      name: `traffic-${id}`,
      workerData: far,
      transferList: [far],
      resourceLimits: {
        maxYoungGenerationSizeMb: YOUNG_GENERATION_MB,
        ...(heapMb !== undefined && { maxOldGenerationSizeMb: heapMb }),
      },
    });
    let error: unknown;
    this.#thread.on("error", (reason) => {
      error = reason;
    });
    this.#exited = new Promise((resolve) => {
      this.#thread.on("exit", (code) => {
        this.#gone = true;
        near.close();
        for (const { answer } of this.#inspecting.values()) answer(null);
        this.#inspecting.clear();
        resolve(this.#asked ? undefined : (error ?? new Error(`the thread ended with code ${code}`)));
      });
    });
  }

  /** Has the thread run, once. What it has died of by then is told as if it died now. */
  begin(start: Omit<WorkerStart, "worker">, events: WorkerThreadEvents): void {
    this.#thread.on("message", (message: FromWorker) => {
      if (message.type === "inspected") this.#inspected(message);
      else this.#hand(message, events);
    });
    this.#start.postMessage({ ...start, worker: this.id } satisfies WorkerStart);
    this.#start.close(); // what has been posted arrives
    void this.#exited.then((error) => events.onExit(error));
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** `transferred`: ports in the message. They close if the thread is gone. */
  post(message: ToWorker, transferred: readonly MessagePort[] = []): void {
    if (!this.#gone) this.#thread.postMessage(message, transferred);
    else for (const port of transferred) port.close();
  }

  /** A picture of the worker's inside, or null if it ends before it answers. */
  inspect(about: InspectedPart): Promise<Json> {
    return about === "endpoints" ? this.#endpoints.take() : this.#ask(about);
  }

  /** Asks the thread to end at once. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#asked = true;
    this.post({ type: "stop" });
    await this.#exited;
  }

  /**
   * Ends the thread without asking. Its JavaScript runs no further from this moment, unless it waits within a system call: then it
   * is gone when that returns. One connection of each place may be lost: the thread's loop still accepts it, and nobody is told.
   */
  async terminate(): Promise<void> {
    this.#asked = true;
    await this.#thread.terminate();
    await this.#exited;
  }

  #ask(about: InspectedPart): Promise<Json> {
    if (this.#gone) return Promise.resolve(null);
    const id = this.#nextInspection++;
    return new Promise((resolve) => {
      this.#inspecting.set(id, { parts: [], answer: resolve });
      this.post({ type: "inspect", id, about });
    });
  }

  /** What a worker says must not end the thread that owns all of them. */
  #hand(message: Parameters<WorkerThreadEvents["onMessage"]>[0], events: WorkerThreadEvents): void {
    try {
      events.onMessage(message);
    } catch (error) {
      events.onThrow(error);
    }
  }

  #inspected({ id, value, more }: Extract<FromWorker, { type: "inspected" }>): void {
    const inspection = this.#inspecting.get(id);
    if (inspection === undefined) return;
    inspection.parts.push(value);
    if (more) return;
    this.#inspecting.delete(id);
    // In parts only lists come.
    inspection.answer(inspection.parts.length === 1 ? value : (inspection.parts as (readonly Json[])[]).flat());
  }
}

interface Inspection {
  readonly parts: Json[];
  readonly answer: (value: Json) => void;
}
