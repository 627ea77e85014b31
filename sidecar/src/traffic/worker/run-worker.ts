import { getHeapStatistics } from "node:v8";
import type { MessagePort } from "node:worker_threads";
import { type Clock, guarded, guardedClock, type Json, Live, systemClock } from "@heddle/base";
import { laneKey } from "@heddle/config/lanes";
import { watchRunningCode } from "@heddle/filter";
import { connectionMover, loadSend, testRewrap } from "@heddle/net";
import { type Log, type LogFlush, LogLevels, type MetricScope, programLog, SharedMetrics } from "@heddle/telemetry";
import { systemRandom } from "@heddle/traffic";
import { Slices } from "../build/slices.ts";
import type { RemoteKeys } from "../filter/jwt/remote-jwks.ts";
import type { TracingEnv } from "../http/tracing/tracing-env.ts";
import { ConnectionLimit } from "../listener/connection-limit.ts";
import type { ListenerEnv } from "../listener/listener-env.ts";
import { ListenerSet } from "../listener/listener-set.ts";
import type { DrainOptions, ServingState } from "../listener/serving-state.ts";
import type { NetworkFilterFactory } from "../network/network-filter.ts";
import { LoadShedder } from "../overload/load-shedder.ts";
import { Vital } from "../overload/vitals.ts";
import { applySecrets, type LiveSecrets, NO_SECRETS } from "../tls/live-secrets.ts";
import { TicketSeed } from "../tls/ticket-seed.ts";
import type { EndpointRow } from "../upstream/endpoint-row.ts";
import { ConfigReceiver, type DecodedUpdate } from "./config-receiver.ts";
import { CrashReports } from "./crash-reports.ts";
import { type Demands, WorkerDemands } from "./demands.ts";
import { IdleBoard } from "./idle-board.ts";
import { SpanSender } from "./span-sender.ts";
import { WorkerCells } from "./worker-cells.ts";
import {
  CONNECTIONS_KEY,
  type FromWorker,
  type InspectedPart,
  listenerConnectionsKey,
  type RefusedKey,
  type ToWorker,
  type WorkerStart,
} from "./worker-messages.ts";
import { WorkerPeers } from "./worker-peers.ts";
import { WorkerRemoteKeys } from "./worker-remote-keys.ts";

/** What a worker's parts get from it. */
export interface WorkerEnv {
  readonly worker: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** For what callbacks throw that belong to no exchange. */
  readonly crashes: CrashReports;
  readonly shedder: LoadShedder;
  /** Ends the series that carry these labels. */
  readonly retireMetrics: (labels: Readonly<Record<string, string>>) => void;
  readonly cells: WorkerCells;
  readonly tracing: Omit<TracingEnv, "environment">;
  readonly serving: Live<ServingState>;
  readonly secrets: LiveSecrets;
  readonly drain: DrainOptions;
  readonly accessLogFlush: LogFlush;
  readonly demands: Demands;
  readonly remoteKeys: RemoteKeys;
  /** Undefined: there are none, or connections cannot move. */
  readonly peers: WorkerPeers | undefined;
}

/** Everything behind the listeners: builds what serves connections from the configuration. */
export interface WorkerHost {
  /**
   * What must happen before a step and may take time, such as loading the module of a filter or building clusters. Whatever can be got
   * ready without traffic seeing it is, in slices.
   */
  prepare(update: DecodedUpdate, slices: Slices): Promise<void>;
  /**
   * Puts what was prepared in force, in one synchronous block. Answers what it could not build; there the previous one goes
   * on.
   */
  apply(update: DecodedUpdate): readonly RefusedKey[];
  /** What a step leaves to be done that nobody waits for, in slices; before the next step is prepared. */
  settle(slices: Slices): Promise<void>;
  /** The filter of a chain of a listener; called after `apply` of the step that brought it. Throws if it cannot be built. */
  readonly makeFilter: NetworkFilterFactory;
  readonly makeConnectionLogger: ListenerEnv["makeConnectionLogger"];
  readonly makeDatagramFilter: ListenerEnv["makeDatagramFilter"];
  inspect(): Json;
  /** What the endpoints of all clusters have carried; undefined is a place to pause. */
  endpointRows(): Iterable<EndpointRow | undefined>;
  /** A `WorkerLoad`; `byEndpoint`: of each endpoint as well. */
  load(byEndpoint: boolean): Json;
  /** Files of access logs have been moved away. */
  reopenLogs(): void;
  /** The thread ends: write out what waits to be written. */
  close(): void;
}

/**
 * Runs a traffic worker: joins listeners, configuration and what serves, and does what the control thread says. One call per
 * thread.
 */
export async function runWorker(
  port: MessagePort,
  start: WorkerStart,
  makeHost: (env: WorkerEnv) => WorkerHost,
): Promise<void> {
  const tell = (message: FromWorker): void => port.postMessage(message);
  const { worker, logFormat: format, logDescriptor = STDERR } = start;
  const level = new LogLevels(start.logLevel);
  const program = programLog(logDescriptor, { level, name: "traffic", format, clock: systemClock });
  const log = program.log.with({ worker });
  const metrics = new SharedMetrics((message) => tell({ type: "metrics", message }));
  program.countIn(metrics.counter("log.dropped"));
  const crashes = new CrashReports(log, metrics);
  const clock = guardedClock(systemClock, crashes.of("a timer"));
  const cells = new WorkerCells(start.cells);
  const [rewrap] = await Promise.all([testRewrap(), loadSend()]);
  const peers = rewrap ? await findPeers(start, clock, crashes) : undefined;
  const serving = new Live(start.serving);
  const secrets: LiveSecrets = new Live(NO_SECRETS);
  const retireMetrics = metrics.retire.bind(metrics);
  const spans = new SpanSender(clock, metrics, (batches) => tell({ type: "spans", batches }));
  const tracing = { ...start.tracing, sink: spans };
  const { drain, accessLogFlush } = start;
  const vitals = new Int32Array(start.vitals);
  const shedder = new LoadShedder(vitals, systemRandom);
  const answerPing = pulse(vitals, clock);
  watchRunningCode(vitals, Vital.running, (id, name) => tell({ type: "code-named", id, name }));
  const demands = new WorkerDemands(metrics, (demand) => tell({ type: "demand", demand }));
  const remoteKeys = new WorkerRemoteKeys((question) => tell({ type: "jwks", question }));
  const shared = { clock, log, metrics, crashes, cells, retireMetrics, shedder, secrets, demands, remoteKeys };
  const env = { ...shared, worker, peers, tracing, serving, drain, accessLogFlush };
  const host = makeHost(env);

  const { sum, own } = cells.get(CONNECTIONS_KEY);
  const listeners = new ListenerSet({
    env: {
      clock,
      log,
      metrics,
      onThrow: crashes.of("a downstream connection"),
      makeFilter: host.makeFilter,
      makeConnectionLogger: host.makeConnectionLogger,
      secrets,
      tickets: new TicketSeed(start.ticketSeed),
      shedder,
      makeDatagramFilter: host.makeDatagramFilter,
      connectionLimit: new ConnectionLimit(sum, own, start.maxDownstreamConnections),
      listenerLimit: listenerLimits(start, cells),
      drain: start.drain,
    },
    rewrap,
    onStopped: (key, reason, exhausted) => tell({ type: "accept-stopped", key, reason, exhausted }),
    onPaused: () => tell({ type: "accept-paused" }),
  });
  const apply = async (update: DecodedUpdate, slices: Slices): Promise<void> => {
    for (const _ of cells.read()) if (slices.leftMs <= 0) await slices.next();
    await host.prepare(update, slices);
    // From here on nothing waits: traffic sees all of the step or nothing.
    applySecrets(secrets, update);
    const refused = [...host.apply(update), ...applyListeners(listeners, update)];
    tell({ type: "applied", generation: update.generation, refused });
    demands.applied(update.generation);
    await host.settle(slices);
  };
  const receiver = new ConfigReceiver(clock, apply, ({ generation, changed }, error) => {
    crashes.report("a step of the configuration", error);
    const reason = error instanceof Error ? error.message : String(error);
    tell({ type: "applied", generation, refused: changed.map(({ key }) => ({ key, reason })) });
  });

  // A promise that a filter has left behind: no exchange can be found for it, and nothing of ours was interrupted.
  process.on("unhandledRejection", crashes.of("a promise that nobody awaited"));
  // This thread ends. What still waits in the kernel's queues must not be accepted by it any more: while it ends, accepted
  // connections would be lost without anybody having seen them.
  process.on("uncaughtExceptionMonitor", () => listeners.stopAccepting());

  const receive = (message: ToWorker): void => {
    switch (message.type) {
      case "config":
        cells.add(message.cells);
        receiver.receive(message.update);
        break;
      case "listen":
        listeners.addTarget(message.key, message.target);
        break;
      case "unlisten":
        listeners.dropTarget(message.key);
        break;
      case "peer":
        if (peers === undefined) message.port.close();
        else peers.connect(message.slot, message.port);
        break;
      case "serving":
        serving.publish(message.state);
        break;
      case "log-level":
        level.setAll(message.level);
        break;
      case "stop-listeners":
        listeners.stopListening(message.inboundOnly);
        break;
      case "demand-answered":
        demands.answered(message.demand, message.generation);
        break;
      case "jwks":
        remoteKeys.heard(message.news);
        break;
      case "spans-taken":
        spans.taken(message.count);
        break;
      case "drain":
        void listeners.drain(message.deadlineMs).then(() => {
          spans.flush();
          tell({ type: "drained" });
        });
        break;
      case "reopen-logs":
        host.reopenLogs();
        break;
      case "stop":
        host.close();
        process.exit(0); // of this thread alone
        break;
      case "ping":
        answerPing(message.id, message.sentWallMs);
        break;
      case "pause-accepting":
        listeners.pauseAccepting();
        break;
      case "inspect":
        if (message.about === "endpoints") void tellEndpoints(message.id).catch(crashes.of("a look at the endpoints"));
        else tell({ type: "inspected", id: message.id, value: inspected(message.about), more: false });
        break;
      default:
        throw new Error(`unknown message ${(message satisfies never as { type: string }).type}`);
    }
  };
  const tellEndpoints = async (id: number): Promise<void> => {
    const slices = new Slices(systemClock);
    let rows: EndpointRow[] = [];
    for (const row of host.endpointRows()) {
      if (row !== undefined) rows.push(row);
      if (slices.leftMs > 0) continue;
      if (rows.length > 0) tell({ type: "inspected", id, value: rows as unknown as Json, more: true });
      rows = [];
      await slices.next();
    }
    tell({ type: "inspected", id, value: rows as unknown as Json, more: false });
  };
  const inspected = (about: Exclude<InspectedPart, "endpoints">): Json =>
    about !== "inside"
      ? host.load(about === "load-by-endpoint")
      : { listeners: listeners.inspect(), serving: host.inspect() };
  port.on("message", guarded(receive, crashes.of("a message of the control thread")));
  tell({ type: "started", rewrap });
}

/** Loads what moves connections, where there are workers to share them with. */
async function findPeers(
  { sharing }: WorkerStart,
  clock: Clock,
  crashes: CrashReports,
): Promise<WorkerPeers | undefined> {
  const mover = sharing === undefined ? undefined : await connectionMover();
  if (sharing === undefined || mover === undefined) return undefined;
  const onThrow = crashes.of("another worker's message");
  const { board, slot, answerWithinMs } = sharing;
  return new WorkerPeers(new IdleBoard(board, slot), { clock, mover, onThrow, answerWithinMs });
}

function applyListeners(listeners: ListenerSet, { changed, removed, kinds }: DecodedUpdate): readonly RefusedKey[] {
  if (!kinds.has("listener")) return [];
  const configs = changed.flatMap((entry) => (entry.kind === "listener" ? [entry.value] : []));
  const gone = removed.flatMap(({ kind, name }) => (kind === "listener" ? [name] : []));
  const refused = listeners.apply(configs, gone);
  return [...refused].map(([name, reason]) => ({ key: laneKey("listener", name), reason }));
}

/** Notes that the watchdog's question has come, how late, and now and then how full the heap is. */
function pulse(vitals: Int32Array, clock: Clock): (id: number, sentWallMs: number) => void {
  let nextHeapMs = 0;
  return (id, sentWallMs) => {
    Atomics.store(vitals, Vital.delayMs, Math.max(0, Math.round(clock.wallNow() - sentWallMs)));
    const now = clock.now();
    if (now >= nextHeapMs) {
      nextHeapMs = now + HEAP_LOOK_MS;
      const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
      Atomics.store(vitals, Vital.heapUsed, Math.round((used / limit) * 1000));
    }
    Atomics.store(vitals, Vital.answered, id);
  };
}

function listenerLimits(
  { listenerLimits }: WorkerStart,
  cells: WorkerCells,
): (listener: string) => ConnectionLimit | undefined {
  const limits = new Map(
    Object.entries(listenerLimits).map(([name, most]) => {
      const { sum, own } = cells.get(listenerConnectionsKey(name));
      return [name, new ConnectionLimit(sum, own, most)] as const;
    }),
  );
  return (listener) => limits.get(listener);
}

/** To ask for it costs some 10 µs. */
const HEAP_LOOK_MS = 1000;
const STDERR = 2;
