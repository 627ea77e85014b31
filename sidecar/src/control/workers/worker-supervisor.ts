import { Backoff, type Clock, type Json, type Timer } from "@heddle/base";
import type { ConfigLaneEntry, ConfigLaneUpdate, LaneBook } from "@heddle/config";
import { decodeLane, isHostKey, laneKey, packUpdate, parseLaneKey } from "@heddle/config/lanes";
import type { SocketOpener } from "@heddle/net";
import {
  DEFAULT_LOG_FLUSH,
  type Log,
  type LogFlush,
  type LogLevel,
  type MetricScope,
  type MetricsRegistry,
} from "@heddle/telemetry";
import {
  type Address,
  CIRCUIT_BREAKER_CELLS,
  type Demand,
  defaultOverload,
  defaultWatchdog,
  type ListenerConfig,
  type OverloadActionName,
  type OverloadConfig,
  type WatchdogConfig,
} from "@heddle/traffic";
import type { JwksNews } from "../../traffic/filter/jwt/remote-jwks.ts";
import type { TracingStart } from "../../traffic/http/tracing/tracing-env.ts";
import { takesDatagrams } from "../../traffic/listener/listen-key.ts";
import { type DrainOptions, SERVING, type ServingState } from "../../traffic/listener/serving-state.ts";
import { ACTION_CELL, FULL, Vital } from "../../traffic/overload/vitals.ts";
import type { SpanBatch } from "../../traffic/worker/span-sender.ts";
import {
  CONNECTIONS_KEY,
  type FromWorker,
  type InspectedPart,
  listenerConnectionsKey,
  type RefusedKey,
} from "../../traffic/worker/worker-messages.ts";
import type { JwksQuestion } from "../../traffic/worker/worker-remote-keys.ts";
import type { DescriptorUse } from "../overload/accept-ceiling.ts";
import { OverloadManager } from "../overload/overload-manager.ts";
import type { WorkerReading } from "../overload/resource-monitor.ts";
import { descriptorLimit, openDescriptors } from "../overload/resource-readers.ts";
import type { InspectedWorker, TrafficWorkers } from "../traffic-workers.ts";
import { AcceptPauses } from "./accept-pauses.ts";
import { ListenSockets } from "./listen-sockets.ts";
import { type FailedListener, ListenerTrials } from "./listener-trials.ts";
import { SharedCells } from "./shared-cells.ts";
import { TicketSeedRotation } from "./ticket-seed-rotation.ts";
import { Watchdog } from "./watchdog.ts";
import { WorkerLinks } from "./worker-links.ts";
import { WorkerSlot } from "./worker-slot.ts";
import { WorkerStats } from "./worker-stats.ts";
import type { WorkerThread } from "./worker-thread.ts";
import { WorkerWatch } from "./worker-watch.ts";

export interface WorkerSupervisorOptions {
  /** A thread that has not begun, for the worker of that number; each number is asked for once, from 1. It may have been started before. */
  readonly openThread: (worker: number) => WorkerThread;
  readonly concurrency: number;
  readonly opener: SocketOpener;
  readonly clock: Clock;
  readonly log: Log;
  readonly logLevel: LogLevel;
  readonly logFormat: "json" | "text";
  /** Of the program's log; standard error where left out. */
  readonly logDescriptor?: number;
  readonly metrics: MetricScope;
  /** Gets the workers' metrics, by the worker's number (from 1). */
  readonly registry: MetricsRegistry;
  /** The configuration, for a worker that begins with nothing. */
  readonly lanes: LaneBook;
  /** How connections of a listener or filter chain that is gone end, and within what time. */
  readonly drain: DrainOptions;
  /** From which workers take relative paths of filters: the folder of the bootstrap. */
  readonly filterFolder: string;
  /** Default: `DEFAULT_LOG_FLUSH`. */
  readonly accessLogFlush?: LogFlush;
  /** Of the process. */
  readonly maxDownstreamConnections: number;
  /** Default: nothing is traced that does not name its own provider. */
  readonly tracing?: TracingStart;
  /** Spans from a worker; they are taken when it returns. Left out: nobody wants them. */
  readonly onSpans?: (batches: readonly SpanBatch[]) => void;
  /** A request of a worker needs it; `answerDemands` has to follow. Left out: then nobody answers. */
  readonly onDemand?: (demand: Demand) => void;
  /** A worker asks for keys of tokens; `tellJwks` follows. Left out: then nobody answers. */
  readonly onJwks?: (worker: number, question: JwksQuestion) => void;
  /** That worker asks for nothing any more. */
  readonly onWorkerGone?: (worker: number) => void;
  /** 0 to below 1; spreads restarts. */
  readonly random: () => number;
  /** How long a worker that asks another one for an idle upstream connection waits before it makes one. Default 5. */
  readonly poolAnswerWithinMs?: number;
  /** Left out: our own. */
  readonly overload?: OverloadConfig;
  readonly watchdog?: WatchdogConfig;
  /** Most connections of a listener, by its name. */
  readonly listenerLimits?: Readonly<Record<string, number>>;
  /** Left out: those of this process. */
  readonly descriptors?: () => Omit<DescriptorUse, "connections">;
}

const NO_TRACING: TracingStart = { node: { id: "", zone: "" } };
/** Descriptors that a worker has without any connection. */
const DESCRIPTORS_OF_WORKER = 16;
const REOPEN_AFTER_MS = 1000;
const STOP_WITHIN_MS = 1000;
/** A worker that lived this long has not died of its start. */
const STABLE_AFTER_MS = 10_000;

/** Making a connection takes longer than an answer, unless the other worker is busy; then it is not worth the wait. */
const POOL_ANSWER_WITHIN_MS = 5;

/**
 * The traffic workers and everything of theirs that outlives them: listening sockets and shared counts. A worker that
 * dies is replaced and gets the whole configuration; connections that waited to be accepted wait on.
 *
 * A listener whose addresses cannot be had is held back: workers keep what they had of it, and it is tried again.
 */
export class WorkerSupervisor implements TrafficWorkers {
  readonly name = "workers";
  readonly #options: WorkerSupervisorOptions;
  readonly #sockets: ListenSockets;
  readonly #cells = new SharedCells();
  readonly #slots: WorkerSlot[] = [];
  /** Undefined: one worker has nobody to share its pools with. */
  readonly #links: WorkerLinks | undefined;
  readonly #stats: WorkerStats;
  /** What workers have of each listener, by key. It differs from the configuration where that is held back. */
  readonly #servedListeners = new Map<string, ConfigLaneEntry>();
  /** Listeners that are held back, by key, with the reason. */
  readonly #refused = new Map<string, { readonly entry: ConfigLaneEntry; readonly reason: string }>();
  readonly #trials = new ListenerTrials();
  /** Names whose cells may be given away once a generation is applied. */
  readonly #releases: { readonly generation: number; readonly keys: readonly string[] }[] = [];
  #steps: Promise<void> = Promise.resolve();
  #acknowledged = 0;
  #nextWorker = 1;
  #restarts = 0;
  #retry: Timer | undefined;
  readonly #watchdog: Watchdog;
  readonly #accepting: AcceptPauses;
  readonly #overload: OverloadManager;
  readonly #ticketSeed: TicketSeedRotation;
  #state: "new" | "running" | "draining" | "stopped" = "new";
  #stopping: Promise<void> | undefined;
  #serving: ServingState = SERVING;
  #logLevel: LogLevel;
  /** Listeners that accept no more. */
  #stoppedListeners: "none" | "inbound" | "all" = "none";
  #drainEnd: Timer | undefined;
  /** Ends the waiting for connections to drain. */
  readonly #hurry = Promise.withResolvers<void>();

  constructor(options: WorkerSupervisorOptions) {
    this.#options = options;
    this.#logLevel = options.logLevel;
    this.#sockets = new ListenSockets(options.opener);
    this.#links =
      options.concurrency > 1
        ? new WorkerLinks(options.concurrency, options.poolAnswerWithinMs ?? POOL_ANSWER_WITHIN_MS)
        : undefined;
    this.#stats = new WorkerStats(options.metrics);
    const limited = Object.keys(options.listenerLimits ?? {}).map(listenerConnectionsKey);
    this.#cells.ensure([CONNECTIONS_KEY, ...limited], 1);
    const { clock, log, metrics, overload = defaultOverload } = options;
    this.#overload = new OverloadManager({
      config: overload,
      clock,
      log,
      metrics,
      process: { nowMs: () => clock.now(), residentBytes: () => process.memoryUsage.rss() },
      workers: () => this.#slots.flatMap(({ thread, watch }) => (thread && watch ? readingOf(thread, watch) : [])),
      apply: (worker, action, strength) => this.#applyAction(worker, action, strength),
    });
    this.#ticketSeed = new TicketSeedRotation(clock);
    this.#watchdog = new Watchdog({
      config: options.watchdog ?? defaultWatchdog,
      clock,
      log,
      metrics,
      slots: this.#slots,
      onBlocked: (slot, thread, reason) => {
        this.#stats.killed.add();
        void thread.terminate();
        this.#exited(slot, thread, reason);
      },
    });
    this.#accepting = new AcceptPauses({
      clock,
      slots: this.#slots,
      descriptors: options.descriptors ?? ownDescriptors,
      connections: () => this.#cells.sums(CONNECTIONS_KEY)[0] ?? 0,
      onMayAccept: (thread) => {
        for (const key of this.#sockets.places) if (!takesDatagrams(key)) this.#sendTarget(thread, key);
      },
    });
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  get running(): number {
    return this.#slots.filter(({ thread }) => thread !== undefined).length;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get listeners(): readonly { readonly name: string; readonly address: Address }[] {
    return this.#sockets.addresses;
  }

  breakerCounts(clusterName: string): readonly number[] {
    return this.#cells.sums(laneKey("cluster", clusterName));
  }

  async start(): Promise<void> {
    if (this.#state !== "new") throw new TypeError("workers are started once");
    this.#state = "running";
    const { random, concurrency } = this.#options;
    for (let i = 0; i < concurrency; i++) {
      this.#slots.push(new WorkerSlot(new Backoff({ baseMs: 200, maxMs: 5000 }, random)));
    }
    this.#accepting.start(DESCRIPTORS_OF_WORKER * concurrency);
    await Promise.all(this.#slots.map((slot) => this.#spawn(slot)));
    const failed = this.#slots.find(({ thread }) => thread === undefined);
    if (failed !== undefined) throw failed.lastError;
    this.#watchdog.start();
    this.#overload.start();
    this.#ticketSeed.start();
  }

  /** Steps are taken in the order of the calls; sockets are opened first. */
  apply(update: ConfigLaneUpdate): void {
    this.#enqueue(() => this.#step(update));
  }

  async inspectWorkers(withinMs: number, about: InspectedPart = "inside"): Promise<readonly InspectedWorker[]> {
    const threads = this.#slots.flatMap(({ thread }) => thread ?? []);
    return Promise.all(
      threads.map(async (thread) => {
        const inspected = thread.inspect(about);
        const value = (await this.#within(inspected, withinMs)) ? await inspected : null;
        return { worker: thread.id, value };
      }),
    );
  }

  inspect(): Json {
    return {
      state: this.#state,
      sharing: this.#sockets.sharing,
      acknowledged: this.#acknowledged,
      downstreamConnections: this.#cells.sums(CONNECTIONS_KEY)[0] ?? 0,
      refusedListeners: {
        ...Object.fromEntries([...this.#refused].map(([key, { reason }]) => [key, reason])),
        ...Object.fromEntries(this.#trials.reasons),
      },
      overload: this.#overload.inspect(),
      acceptCeiling: this.#accepting.ceiling ?? null,
      workers: this.#slots.map(({ thread, applied, watch, paused, refused }) => ({
        worker: thread?.id ?? 0,
        applied,
        blocked: watch?.blocked ?? false,
        running: watch?.running ?? "",
        acceptPaused: paused,
        refused: refused.map(({ key, reason }) => ({ key, reason })),
      })),
    };
  }

  get healthCheckFailed(): boolean {
    return this.#serving.healthCheckFailed;
  }

  setHealthCheckFailed(failed: boolean): void {
    if (failed !== this.#serving.healthCheckFailed) this.#tellServing({ ...this.#serving, healthCheckFailed: failed });
  }

  drainListeners({ inboundOnly, graceful, skipExit }: Parameters<TrafficWorkers["drainListeners"]>[0]): void {
    const { clock, drain } = this.#options;
    if (!graceful) {
      this.#stopListening(inboundOnly);
      return;
    }
    if (this.#serving.draining !== undefined) return;
    this.#tellServing({ ...this.#serving, draining: { sinceWallMs: clock.wallNow(), inboundOnly } });
    if (!skipExit) this.#drainEnd = clock.after(drain.timeMs, () => this.#stopListening(inboundOnly), true);
  }

  answerDemands(demands: readonly Demand[], generation: number): void {
    // Behind the steps that are under way, which bring what was asked for.
    this.#enqueue(async () => {
      for (const demand of demands)
        for (const { thread } of this.#slots) thread?.post({ type: "demand-answered", demand, generation });
    });
  }

  tellJwks(worker: number, news: JwksNews): void {
    this.#slots.find(({ thread }) => thread?.id === worker)?.thread?.post({ type: "jwks", news });
  }

  reopenLogs(): void {
    for (const { thread } of this.#slots) thread?.post({ type: "reopen-logs" });
  }

  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
    for (const { thread } of this.#slots) thread?.post({ type: "log-level", level });
  }

  async stop(drainMs: number): Promise<void> {
    if (drainMs <= 0) this.#hurry.resolve();
    this.#stopping ??= this.#drain(drainMs).then(() => this.#end());
    await this.#stopping;
  }

  #enqueue(step: () => Promise<void>): void {
    this.#steps = this.#steps.then(step).catch((error) => {
      this.#options.log.error("a step of the configuration could not be handed to the workers", { error });
    });
  }

  #tellServing(state: ServingState): void {
    this.#serving = state;
    for (const { thread } of this.#slots) thread?.post({ type: "serving", state });
  }

  #stopListening(inboundOnly: boolean): void {
    if (this.#stoppedListeners !== "all") this.#stoppedListeners = inboundOnly ? "inbound" : "all";
    this.#enqueue(async () => {
      const served = [...this.#servedListeners.values()].map(listenerOf);
      const stopped = served.filter((listener) => this.#mayNotListen(listener)).map(({ name }) => name);
      await this.#sockets.step([], stopped);
      // As one step, so that no listener of a worker waits for a target that does not come.
      for (const { thread } of this.#slots) thread?.post({ type: "stop-listeners", inboundOnly });
    });
  }

  #mayNotListen({ trafficDirection }: ListenerConfig): boolean {
    return this.#stoppedListeners === "all" || (this.#stoppedListeners === "inbound" && trafficDirection === "INBOUND");
  }

  async #drain(deadlineMs: number): Promise<void> {
    this.#state = "draining";
    this.#drainEnd?.cancel();
    await this.#steps;
    this.#sockets.close(); // new connections are refused from the moment in which the last worker closes its own
    const drained = this.#slots.flatMap((slot) => {
      slot.restart?.cancel();
      if (slot.thread === undefined) return [];
      slot.thread.post({ type: "drain", deadlineMs });
      return slot.drained.promise;
    });
    await this.#within(Promise.race([Promise.all(drained), this.#hurry.promise]), deadlineMs + STOP_WITHIN_MS);
  }

  async #end(): Promise<void> {
    this.#state = "stopped";
    this.#watchdog.close();
    this.#ticketSeed.stop();
    this.#accepting.close();
    this.#overload.close();
    this.#retry?.cancel();
    await Promise.all(
      this.#slots.map(async ({ thread }) => {
        if (thread === undefined) return;
        // A blocked thread does not hear.
        if (!(await this.#within(thread.stop(), STOP_WITHIN_MS))) await thread.terminate();
      }),
    );
  }

  async #step(update: ConfigLaneUpdate): Promise<void> {
    if (this.#state === "draining" || this.#state === "stopped") return;
    const listeners = update.changed.filter(({ key }) => kindOf(key) === "listener");
    const gone = update.removed.filter((key) => kindOf(key) === "listener");
    for (const key of [...gone, ...listeners.map((entry) => entry.key)]) this.#refused.delete(key);
    const { opened, closed, refused } = await this.#sockets.step(
      listeners.map(listenerOf).filter((listener) => !this.#mayNotListen(listener)),
      gone.map((key) => parseLaneKey(key).name),
    );
    for (const entry of listeners) {
      const reason = refused.get(parseLaneKey(entry.key).name);
      if (reason !== undefined) this.#refuse(entry, reason);
      else {
        this.#servedListeners.set(entry.key, entry);
        this.#trials.begin(update.generation, entry);
      }
    }
    for (const key of gone) {
      this.#servedListeners.delete(key);
      this.#trials.remove(key);
    }

    for (const key of closed) for (const { thread } of this.#slots) thread?.post({ type: "unlisten", key });
    for (const place of opened) {
      for (const { thread } of this.#slots) if (thread !== undefined) this.#sendTarget(thread, place);
    }
    this.#publish({ ...update, changed: update.changed.filter(({ key }) => !this.#refused.has(key)) });
  }

  #publish(update: ConfigLaneUpdate): void {
    const places = this.#cells.ensure(clusterKeys(update), CIRCUIT_BREAKER_CELLS);
    const gone = update.removed.filter((key) => kindOf(key) === "cluster");
    if (gone.length > 0) this.#releases.push({ generation: update.generation, keys: gone });
    const packed = packUpdate(update);
    for (const { thread } of this.#slots) {
      thread?.post({ type: "config", update: packed, cells: this.#cells.tableFor(thread.id, places) });
    }
  }

  /** The configuration as workers have it, for one that begins with nothing. */
  #everything(): ConfigLaneUpdate {
    const all = this.#options.lanes.everything();
    const rest = all.changed.filter(({ key }) => kindOf(key) !== "listener");
    return { ...all, changed: [...rest, ...this.#servedListeners.values()] };
  }

  /** Resolves when the thread runs or is gone. */
  #spawn(slot: WorkerSlot): Promise<void> {
    const { openThread, log, clock, logFormat, logDescriptor, drain, filterFolder, maxDownstreamConnections } =
      this.#options;
    const worker = this.#nextWorker++;
    const update = this.#everything();
    this.#cells.ensure(clusterKeys(update), CIRCUIT_BREAKER_CELLS);
    const cells = this.#cells.tableFor(worker);
    const place = this.#slots.indexOf(slot);
    const { random, watchdog = defaultWatchdog } = this.#options;
    const watch = new WorkerWatch(this.#accepting.newVitals(), watchdog, random);
    const start = {
      logLevel: this.#logLevel,
      logFormat,
      ...(logDescriptor !== undefined && { logDescriptor }),
      drain,
      serving: this.#serving,
      filterFolder,
      accessLogFlush: this.#options.accessLogFlush ?? DEFAULT_LOG_FLUSH,
      maxDownstreamConnections: this.#options.overload?.maxDownstreamConnections ?? maxDownstreamConnections,
      listenerLimits: this.#options.listenerLimits ?? {},
      vitals: watch.vitals,
      cells,
      ticketSeed: this.#ticketSeed.memory,
      tracing: this.#options.tracing ?? NO_TRACING,
      ...(this.#links !== undefined && { sharing: this.#links.begin(place) }),
    };
    const thread = openThread(worker);
    return new Promise((resolve) => {
      thread.begin(start, {
        onMessage: (message) => {
          if (message.type !== "started") this.#heard(slot, thread, message);
          else {
            watch.begin();
            if (!message.rewrap) log.warn("sockets cannot be re-wrapped on this Node: reading costs more", { worker });
            resolve();
          }
        },
        onThrow: (error) => log.error("a worker's message could not be taken", { worker, error }),
        onExit: (error) => {
          this.#exited(slot, thread, error);
          resolve();
        },
      });
      this.#slots.forEach((other, otherPlace) => {
        if (other.thread !== undefined) this.#links?.join(place, thread, otherPlace, other.thread);
      });
      slot.begin(thread, watch, clock.now());
      this.#stats.active.add(1);
      for (const key of this.#sockets.places) this.#sendTarget(thread, key);
      if (update.generation > 0)
        thread.post({ type: "config", update: packUpdate(update), cells: this.#cells.tableFor(worker, []) });
    });
  }

  #heard(
    slot: WorkerSlot,
    thread: WorkerThread,
    message: Exclude<FromWorker, { type: "inspected" | "started" }>,
  ): void {
    const { log, registry, clock } = this.#options;
    switch (message.type) {
      case "metrics":
        registry.receive(thread.id, message.message);
        break;
      case "applied":
        slot.applied = message.generation;
        this.#noteRefused(slot, thread, message.generation, message.refused);
        this.#settle();
        break;
      case "accept-stopped":
        log.warn("a worker has stopped accepting", { worker: thread.id, place: message.key, reason: message.reason });
        this.#stats.acceptStopped.add();
        if (message.exhausted) clock.after(REOPEN_AFTER_MS, () => this.#sendTarget(thread, message.key), true);
        break;
      case "demand":
        this.#options.onDemand?.(message.demand);
        break;
      case "jwks":
        this.#options.onJwks?.(thread.id, message.question);
        break;
      case "spans":
        this.#options.onSpans?.(message.batches);
        thread.post({ type: "spans-taken", count: message.batches.reduce((sum, { spans }) => sum + spans.length, 0) });
        break;
      case "accept-paused":
        slot.paused = true;
        this.#stats.acceptPaused.add();
        break;
      case "code-named":
        if (slot.thread === thread) slot.watch?.name(message.id, message.name);
        break;
      case "drained":
        slot.drained.resolve();
        break;
      default:
        throw new Error(`unknown message ${(message satisfies never as { type: string }).type}`);
    }
  }

  #noteRefused(slot: WorkerSlot, thread: WorkerThread, generation: number, refused: readonly RefusedKey[]): void {
    slot.refused = refused;
    const failed = this.#trials.applied(generation, new Map(refused.map(({ key, reason }) => [key, reason])));
    for (const listener of failed) {
      this.#stats.listenerFailed.add();
      this.#enqueue(() => this.#goBack(listener));
    }
    for (const { key, reason } of refused) {
      this.#options.log.error("a worker cannot serve a part of the configuration", { worker: thread.id, key, reason });
    }
  }

  /** The workers go on with the listener that they had; without one its address is closed, and callers are refused there. */
  async #goBack({ key, previous }: FailedListener): Promise<void> {
    if (previous === undefined) this.#servedListeners.delete(key);
    else this.#servedListeners.set(key, previous);
    const { closed } = await this.#sockets.step(
      previous === undefined ? [] : [listenerOf(previous)],
      previous === undefined ? [parseLaneKey(key).name] : [],
    );
    for (const place of closed) for (const { thread } of this.#slots) thread?.post({ type: "unlisten", key: place });
  }

  #exited(slot: WorkerSlot, thread: WorkerThread, error: unknown): void {
    if (slot.thread !== thread) return; // it was given up before it was gone
    const { log, registry, clock } = this.#options;
    slot.thread = undefined;
    slot.lastError = error;
    slot.drained.resolve();
    registry.remove(thread.id);
    this.#cells.removeWorker(thread.id);
    this.#options.onWorkerGone?.(thread.id);
    this.#stats.active.add(-1);
    if (error === undefined || this.#state !== "running") return;
    this.#stats.died.add();
    const aliveMs = clock.now() - slot.startedMs;
    if (aliveMs >= STABLE_AFTER_MS) slot.backoff.reset();
    // The first time at once: clients are waiting in the kernel's queue.
    const delayMs = aliveMs >= STABLE_AFTER_MS || slot.restart === undefined ? 0 : slot.backoff.nextMs();
    log.error("a traffic worker died and is replaced", {
      worker: thread.id,
      aliveMs: Math.round(aliveMs),
      delayMs,
      error,
    });
    slot.restart = clock.after(delayMs, () => {
      if (this.#state !== "running") return;
      this.#restarts++;
      void this.#spawn(slot);
    });
  }

  #sendTarget(thread: WorkerThread, key: string): void {
    if (thread.gone || this.#state !== "running") return;
    const slot = this.#slots.findIndex((candidate) => candidate.thread === thread);
    const target = this.#sockets.target(key, slot);
    if (target !== undefined) thread.post({ type: "listen", key, target });
    else if (this.#sockets.sharing === "one-queue") {
      // Out of descriptors, since the place is there.
      const again = (): void => this.#sendTarget(thread, key);
      if (this.#sockets.places.includes(key)) this.#options.clock.after(REOPEN_AFTER_MS, again, true);
    }
  }

  #refuse(entry: ConfigLaneEntry, reason: string): void {
    const { log, clock, lanes } = this.#options;
    log.error("a listener's address cannot be had; it is tried again", { key: entry.key, reason });
    this.#stats.listenRefused.add();
    this.#refused.set(entry.key, { entry, reason });
    this.#retry ??= clock.after(
      REOPEN_AFTER_MS,
      () => {
        this.#retry = undefined;
        this.#enqueue(() => {
          const changed = [...this.#refused.values()].map((held) => held.entry);
          return this.#step({ generation: lanes.generation, changed, removed: [] });
        });
      },
      true,
    );
  }

  /** Notes the generation that all workers have reached. */
  #settle(): void {
    const reached = Math.min(...this.#slots.map(({ applied }) => applied));
    if (reached <= this.#acknowledged) return;
    this.#acknowledged = reached;
    while (this.#releases[0] !== undefined && this.#releases[0].generation <= reached) {
      for (const key of this.#releases.shift()?.keys ?? []) this.#cells.release(key);
    }
  }

  #applyAction(worker: number, action: OverloadActionName, strength: number): void {
    const slot = this.#slots.find(({ thread }) => thread?.id === worker);
    if (slot?.thread === undefined || slot.watch === undefined) return;
    const cell = ACTION_CELL[action];
    const before = slot.watch.get(cell);
    const now = Math.round(strength * FULL);
    slot.watch.set(cell, now);
    if (cell !== Vital.stopAccepting || now !== FULL || before === FULL) return;
    slot.paused = true; // until a look at descriptors finds that it may go on
    slot.thread.post({ type: "pause-accepting" });
  }

  /** Whether it was done within that time. */
  #within(done: Promise<unknown>, deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(deadlineMs, () => resolve(false));
      void done.then(() => {
        timer.cancel();
        resolve(true);
      });
    });
  }
}

function listenerOf({ key, bytes }: ConfigLaneEntry): ListenerConfig {
  return decodeLane(key, bytes) as ListenerConfig;
}

function readingOf(thread: WorkerThread, { heapShare, delayMs }: WorkerWatch): WorkerReading {
  return { worker: thread.id, heapShare, delayMs };
}

function ownDescriptors(): Omit<DescriptorUse, "connections"> {
  return { limit: descriptorLimit(), used: openDescriptors() };
}

function kindOf(key: string): string {
  return isHostKey(key) ? "virtual-host" : parseLaneKey(key).kind;
}

function clusterKeys(update: ConfigLaneUpdate): string[] {
  return update.changed.map(({ key }) => key).filter((key) => kindOf(key) === "cluster");
}
