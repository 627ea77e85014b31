import { Worker } from "node:worker_threads";
import { type Clock, err, ok, type Result, type Timer } from "@heddle/base";
import { type Diagnostic, documentsOf, type PlainYaml, type YamlDocument } from "@heddle/config";
import { fault, unavailable } from "./api-errors.ts";
import type { ApiError } from "./wire.ts";

export interface YamlText {
  /** For diagnostics: "shop.yaml". */
  readonly source: string;
  readonly text: string;
}

/** What the thread sends: of each text what stands in it, or what is wrong with it. */
export type YamlAnswer = readonly Result<PlainYaml, readonly Diagnostic[]>[];

export type ReadYaml = Result<readonly YamlDocument[], readonly Diagnostic[]>;

/** Of all texts of one call. An honest MiB takes 2 s, and more where the processors are busy. */
const LIMIT_S = 10;
const MAX_HEAP_MB = 512;
const MAX_WAITING = 16;
/** A thread costs 10 MB: nobody writes for long, so it is not kept for long. */
const IDLE_MS = 10_000;

/**
 * Reads YAML in a thread of its own, which is there while there is something to read: a text that takes seconds, whether it is
 * long or hostile, holds up nobody whom this process serves. One call after the other; each has a limit in time and memory.
 */
export class YamlThread {
  readonly #clock: Clock;
  /** The first is being read. */
  readonly #calls: {
    readonly texts: readonly YamlText[];
    readonly resolve: (answer: Result<readonly ReadYaml[], ApiError>) => void;
  }[] = [];
  #worker: Worker | undefined;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Of each text its documents, or what is wrong with it; an error where it takes too much. Never rejects. */
  read(texts: readonly YamlText[]): Promise<Result<readonly ReadYaml[], ApiError>> {
    if (this.#isClosed) return Promise.resolve(err(SHUTTING_DOWN));
    if (this.#calls.length >= MAX_WAITING)
      return Promise.resolve(err({ ...fault("RESOURCE_EXHAUSTED", "too many texts of YAML wait"), retryAfterS: 5 }));
    return new Promise((resolve) => {
      this.#calls.push({ texts, resolve });
      if (this.#calls.length === 1) this.#begin();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#endThread();
    for (const { resolve } of this.#calls.splice(0)) resolve(err(SHUTTING_DOWN));
  }

  #begin(): void {
    const [call] = this.#calls;
    if (call === undefined) return;
    this.#timer?.cancel();
    this.#timer = this.#clock.after(LIMIT_S * 1000, () => {
      this.#endThread();
      const message = `reading the YAML takes longer than the ${LIMIT_S} s that are allowed; JSON is read faster`;
      this.#finish(err(fault("INVALID_ARGUMENT", message)));
    });
    this.#worker ??= this.#startThread();
    this.#worker.ref();
    this.#worker.postMessage(call.texts);
  }

  #finish(answer: Result<readonly ReadYaml[], ApiError>): void {
    this.#timer?.cancel();
    this.#calls.shift()?.resolve(answer);
    if (this.#calls.length > 0) {
      this.#begin();
      return;
    }
    this.#worker?.unref();
    this.#timer = this.#worker && this.#clock.after(IDLE_MS, () => this.#endThread(), true);
  }

  #startThread(): Worker {
    const worker = new Worker(new URL(import.meta.resolve("#yaml-thread")), {
      name: "yaml",
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    const died = (message: string): void => {
      if (worker !== this.#worker) return; // it was ended
      this.#worker = undefined;
      this.#finish(err(fault("INVALID_ARGUMENT", message)));
    };
    worker.on("message", (answer: YamlAnswer) => {
      if (worker !== this.#worker) return;
      const texts = this.#calls[0]?.texts ?? [];
      this.#finish(
        ok(answer.map((one, index) => (one.ok ? ok(documentsOf(texts[index]?.source ?? "", one.value)) : one))),
      );
    });
    worker.on("error", (error: NodeJS.ErrnoException) =>
      died(
        error.code === "ERR_WORKER_OUT_OF_MEMORY"
          ? `reading the YAML takes more than the ${MAX_HEAP_MB} MiB that are allowed`
          : `the YAML cannot be read: ${error.message}`,
      ),
    );
    worker.on("exit", () => died("the thread that reads YAML has ended"));
    return worker;
  }

  #endThread(): void {
    this.#timer?.cancel();
    void this.#worker?.terminate();
    this.#worker = undefined;
  }
}

const SHUTTING_DOWN = unavailable("the control plane is shutting down");
