import { Backoff, type Clock, type JsonObject, type Timer } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { KubeApi } from "./kube-client.ts";
import { KubeError, reasonOf } from "./kube-error.ts";
import { pause } from "./pause.ts";

/** The status that an object is to get. */
export interface StatusChange {
  /** "/apis/.../httproutes/web/status" */
  readonly path: string;
  /** What `status` was made for: if the object is another one by now, nothing is written. */
  readonly resourceVersion: string;
  readonly status: JsonObject;
}

export interface StatusWriterOptions {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly log: Log;
  /** What is to be written now: of all objects those alone that have not what they should. */
  readonly plan: () => Iterable<StatusChange>;
  readonly random?: () => number;
}

/** Between two writes: a cluster's routes after an upgrade come within minutes, and the API server does not notice. */
const EVERY_MS = 50;
const BACKOFF = { baseMs: 2000, maxMs: 60_000 };

/** Writes what has become of objects into their status, as long as it may: by the leader alone. */
export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #backoff: Backoff;
  /** By path: of which version the object had been when it was written. Until the watch brings the next one it is done. */
  readonly #written = new Map<string, string>();
  /** By path: whose status the API server does not take. None of them keeps another one waiting. */
  readonly #refused = new Map<string, Refused>();
  #retry: Timer | undefined;
  #stopping: AbortController | undefined;
  #isAsked = false;
  #running: Promise<void> = Promise.resolve();
  #isRunning = false;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.random);
  }

  /** We are the leader. */
  start(): void {
    this.#stopping ??= new AbortController();
    this.#written.clear();
    this.#refused.clear();
    this.look();
  }

  /** We are not the leader any more. Resolves when nothing is written any more. */
  async stop(): Promise<void> {
    this.#stopping?.abort();
    this.#retry?.cancel();
    this.#stopping = undefined;
    await this.#running;
  }

  /** Something may have to be written. */
  look(): void {
    this.#isAsked = true;
    if (this.#stopping === undefined || this.#isRunning) return;
    this.#isRunning = true;
    this.#running = this.#run(this.#stopping.signal).finally(() => {
      this.#isRunning = false;
      if (this.#isAsked) this.look(); // a new term has begun meanwhile
    });
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, plan } = this.#options;
    while (this.#isAsked && !signal.aborted) {
      this.#isAsked = false;
      let failed = false;
      const changes = Array.from(plan()); // what it looks at may change while we write
      for (const change of changes) {
        if (signal.aborted) return;
        if (this.#written.get(change.path) === change.resourceVersion) continue;
        const refused = this.#refused.get(change.path);
        if (refused?.resourceVersion === change.resourceVersion && clock.now() < refused.atMs) continue;
        const outcome = await this.#write(change, signal);
        failed ||= outcome === "failed";
        if (outcome !== "refused") this.#refused.delete(change.path);
        await pause(clock, outcome === "failed" ? this.#backoff.nextMs() : EVERY_MS, signal);
      }
      if (failed) this.#isAsked = true;
      else this.#backoff.reset();
      this.#lookAgain(new Set(changes.map(({ path }) => path)), signal);
    }
  }

  /** When the first of those that were refused is to be tried again. */
  #lookAgain(planned: ReadonlySet<string>, signal: AbortSignal): void {
    const { clock } = this.#options;
    this.#retry?.cancel();
    for (const path of this.#refused.keys()) if (!planned.has(path)) this.#refused.delete(path);
    if (this.#refused.size === 0 || signal.aborted) return;
    let atMs = Number.POSITIVE_INFINITY;
    for (const one of this.#refused.values()) atMs = Math.min(atMs, one.atMs);
    this.#retry = clock.after(Math.max(0, atMs - clock.now()), () => this.look(), true);
  }

  #later(path: string, resourceVersion: string): void {
    const { clock, random } = this.#options;
    const backoff = this.#refused.get(path)?.backoff ?? new Backoff(BACKOFF, random);
    this.#refused.set(path, { resourceVersion, backoff, atMs: clock.now() + backoff.nextMs() });
  }

  /** "failed": as everything else would now. "refused": the API server does not take this one. */
  async #write({ path, resourceVersion, status }: StatusChange, signal: AbortSignal): Promise<Outcome> {
    const { api, log } = this.#options;
    try {
      await api.request({
        method: "PATCH",
        path,
        contentType: "application/merge-patch+json",
        // Lists are replaced whole: whoever has written in the meantime would be undone without the version.
        body: { metadata: { resourceVersion }, status },
        signal,
      });
    } catch (error) {
      if (signal.aborted) return "written";
      const code = error instanceof KubeError ? error.status : 0;
      // It is another one, or gone: the watch brings that, and with it the next plan.
      if (code !== 409 && code !== 404) log.warn("status cannot be written", { path, why: reasonOf(error) });
      if (code === 401 || code === 429 || code < 400 || code >= 500) return "failed";
      this.#later(path, resourceVersion);
      return "refused";
    }
    this.#written.set(path, resourceVersion);
    return "written";
  }
}

interface Refused {
  /** Of the object: another one may be taken. */
  readonly resourceVersion: string;
  readonly backoff: Backoff;
  /** When it is tried again. */
  readonly atMs: number;
}

type Outcome = "written" | "refused" | "failed";
