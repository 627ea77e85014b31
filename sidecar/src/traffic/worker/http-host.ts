import { hostname } from "node:os";
import { type Json, Live, TimerWheel } from "@heddle/base";
import { laneKey } from "@heddle/config/lanes";
import { TurnClock } from "@heddle/net";
import type { FormatEnvironment } from "@heddle/telemetry";
import { type ClusterConfig, type ListenerConfig, LiveRuntime, systemRandom } from "@heddle/traffic";
import { buildDatagramFilter } from "../build/build-datagram-filter.ts";
import type { BuildEnv } from "../build/build-http-connection-manager.ts";
import { RuntimeBuilder } from "../build/build-runtime.ts";
import { type Extensions, NO_EXTENSIONS } from "../build/filter-builder.ts";
import { networkFilters } from "../build/network-filters.ts";
import { emptyRuntime, type Runtime } from "../build/runtime.ts";
import type { Slices } from "../build/slices.ts";
import { builtInFilters } from "../filter/built-in-filters.ts";
import { filterConfigsOf, gateConfigsOf } from "../filter/filter-configs-of.ts";
import { systemFilterData } from "../filter/filter-data.ts";
import { FilterModules } from "../filter/filter-modules.ts";
import { DateHeader } from "../http/date-header.ts";
import { RandomHex } from "../http/random-hex.ts";
import type { TracingEnv } from "../http/tracing/tracing-env.ts";
import type { ListenerEnv } from "../listener/listener-env.ts";
import { builtInGates } from "../network/built-in-gates.ts";
import type { NetworkFilterFactory } from "../network/network-filter.ts";
import type { Cluster } from "../upstream/cluster.ts";
import { dialUpstream } from "../upstream/dial-upstream.ts";
import { loadReports, wantsReports } from "../upstream/endpoint-reports.ts";
import type { EndpointRow } from "../upstream/endpoint-row.ts";
import { LoadLedger } from "../upstream/load-ledger.ts";
import { AccessLogs } from "./access-logs.ts";
import type { DecodedUpdate } from "./config-receiver.ts";
import { HostConfig, HostStep } from "./host-step.ts";
import type { WorkerEnv, WorkerHost } from "./run-worker.ts";
import type { RefusedKey } from "./worker-messages.ts";

/**
 * What serves HTTP in a worker: the runtime (routes, clusters, endpoints) that exchanges look into, and the connection
 * managers that listeners give connections to.
 */
export class HttpHost implements WorkerHost {
  readonly makeFilter: NetworkFilterFactory;
  readonly makeConnectionLogger: ListenerEnv["makeConnectionLogger"];
  readonly makeDatagramFilter: ListenerEnv["makeDatagramFilter"];
  readonly #env: WorkerEnv;
  readonly #build: BuildEnv;
  readonly #modules: FilterModules;
  readonly #accessLogs: AccessLogs;
  readonly #load = new LoadLedger();
  readonly #runtime = new Live<Runtime>(emptyRuntime);
  readonly #runtimeValues = new LiveRuntime();
  /** What the last step has let go, until `settle`. */
  readonly #leaving: Cluster[] = [];
  /** Names in statistics of clusters that are gone. */
  readonly #retiring: string[] = [];
  /** Clusters have not been told yet that the runtime has other values. */
  #runtimeChanged = false;
  /** What is applied next; then what has to be settled. */
  #next: { readonly step: HostStep; readonly builder: RuntimeBuilder } | undefined;
  readonly #extensions = new Live<Extensions>(NO_EXTENSIONS);
  readonly #config = new HostConfig();

  /** Relative paths of filters are taken from `filterFolder`, custom tags of spans and `%ENVIRONMENT%` from `environment`. */
  constructor(env: WorkerEnv, filterFolder: string, environment: TracingEnv["environment"]) {
    const { log, metrics, cells } = env;
    const clock = new TurnClock(env.clock);
    this.#env = env;
    this.#modules = new FilterModules(filterFolder);
    const randomHex = new RandomHex();
    const format: FormatEnvironment = {
      hostname: hostname(),
      variable: (name) => environment[name],
      wallNow: () => clock.wallNow(),
      uuid: () => randomHex.uuid(),
    };
    const flush = env.accessLogFlush;
    const runtimeValues = this.#runtimeValues;
    this.#accessLogs = new AccessLogs({ clock, metrics, log, format, random: systemRandom, runtimeValues, flush });
    this.#build = {
      clock,
      wheel: new TimerWheel(clock, undefined, env.crashes.of("a timer")),
      random: systemRandom,
      runtimeValues: this.#runtimeValues,
      extensions: this.#extensions,
      demands: env.demands,
      log,
      metrics,
      onThrow: env.crashes.of("a datagram"),
      secrets: env.secrets,
      dial: dialUpstream(env.clock, env.crashes.of("an upstream connection")),
      ...(env.peers !== undefined && { sharing: env.peers }),
      load: this.#load,
      breakerCells: (cluster) => cells.get(laneKey("cluster", cluster)).sum,
      breakerShare: (cluster) => cells.get(laneKey("cluster", cluster)).own,
      runtime: this.#runtime,
      serving: env.serving,
      drain: env.drain,
      shedder: env.shedder,
      date: new DateHeader(clock),
      randomHex,
      format,
      filters: builtInFilters(
        this.#modules,
        systemFilterData((name) => environment[name]),
        env.remoteKeys,
      ),
      tracing: { ...env.tracing, environment },
      dnsResponders: new Map(),
      makeAccessLogger: (configs) => this.#accessLogs.logger(configs),
      makeConnectionLogger: (configs) => this.#accessLogs.connectionLogger(configs),
    };
    const listenerOf = (name: string): ListenerConfig | undefined => this.#config.listeners.get(name);
    this.makeConnectionLogger = this.#build.makeConnectionLogger;
    this.makeDatagramFilter = (listener, udp) => buildDatagramFilter(listener, udp, this.#build);
    this.makeFilter = networkFilters(this.#build, listenerOf);
  }

  async prepare(update: DecodedUpdate, slices: Slices): Promise<void> {
    this.#next = undefined;
    await this.#loadFilters(update);
    if (wantReports(update)) await loadReports();
    const step = new HostStep(this.#config);
    for (const _ of step.read(update)) if (slices.leftMs <= 0) await slices.next();
    // Such a cluster is built when its secrets are there, which come into force with the step.
    const withSecrets = update.kinds.has("secret");
    const mayPrepare = ({ tls, transportSocketMatches }: ClusterConfig): boolean =>
      !withSecrets || (tls === undefined && transportSocketMatches === undefined);
    const builder = new RuntimeBuilder(step, step.touched, this.#runtime.current, this.#build, mayPrepare);
    for (const _ of builder.prepare(slices)) if (slices.leftMs <= 0) await slices.next();
    this.#next = { step, builder };
  }

  async #loadFilters({ changed, kinds }: DecodedUpdate): Promise<void> {
    if (!kinds.has("listener") && !kinds.has("extension-config")) return;
    const listeners = changed.flatMap((entry) => (entry.kind === "listener" ? [entry.value] : []));
    const extensions = changed.flatMap((entry) => (entry.kind === "extension-config" ? [entry.value.config] : []));
    const named = [...listeners.flatMap(filterConfigsOf), ...extensions];
    const gates = listeners.flatMap(gateConfigsOf);
    if (named.length + gates.length === 0) return;
    const loaded = await this.#modules.prepare(named);
    const problems = loaded.ok ? [] : [...loaded.error];
    const gateTypes = builtInGates();
    for (const type of new Set([...named, ...gates].map(({ type }) => type))) {
      try {
        await (this.#build.filters.get(type) ?? gateTypes.get(type))?.load?.();
      } catch (error) {
        problems.push(`${type}: ${String(error)}`);
      }
    }
    // The listener that names it is refused when it is built; here is why.
    for (const problem of problems) this.#env.log.error("a filter cannot be loaded", { problem });
  }

  apply(update: DecodedUpdate): readonly RefusedKey[] {
    if (this.#next === undefined) throw new Error("a step is prepared before it is applied");
    const { step, builder } = this.#next;
    const { runtime, leaving } = builder.finish();
    this.#runtime.publish(runtime);
    this.#leaving.push(...leaving);
    if (update.kinds.has("runtime")) {
      this.#runtimeChanged = true;
      for (const entry of update.changed) if (entry.kind === "runtime") this.#runtimeValues.publish(entry.value);
    }
    this.#applyExtensions(update);
    step.commitListeners();
    this.#retiring.push(...step.retiring);
    return builder.refused.map(({ kind, name, error }) => {
      step.keep(kind, name);
      return { key: laneKey(kind, name), reason: error instanceof Error ? error.message : String(error) };
    });
  }

  async settle(slices: Slices): Promise<void> {
    const step = this.#next?.step;
    this.#next = undefined;
    for (const _ of step?.commit() ?? []) if (slices.leftMs <= 0) await slices.next();
    if (this.#runtimeChanged) {
      this.#runtimeChanged = false;
      for (const cluster of this.#runtime.current.clusters.values()) {
        cluster.followRuntime();
        if (slices.leftMs <= 0) await slices.next();
      }
    }
    for (let cluster = this.#leaving.pop(); cluster !== undefined; cluster = this.#leaving.pop()) {
      cluster.drain();
      if (slices.leftMs <= 0) await slices.next();
    }
    for (let name = this.#retiring.pop(); name !== undefined; name = this.#retiring.pop()) {
      this.#env.retireMetrics({ envoy_cluster_name: name });
      if (slices.leftMs <= 0) await slices.next();
    }
  }

  load(byEndpoint: boolean): Json {
    // What crosses threads is plain data, which the type of an address does not say.
    return this.#load.read(this.#runtime.current.clusters.values(), byEndpoint) as unknown as Json;
  }

  /** As the last: a filter may be built of routes and clusters, which are there by now. */
  #applyExtensions({ changed, removed, kinds }: DecodedUpdate): void {
    if (!kinds.has("extension-config")) return;
    const next = new Map(this.#extensions.current);
    for (const { kind, name } of removed) if (kind === "extension-config") next.delete(name);
    for (const entry of changed) if (entry.kind === "extension-config") next.set(entry.name, entry.value.config);
    this.#extensions.publish(next);
  }

  reopenLogs(): void {
    this.#accessLogs.reopen();
  }

  inspect(): Json {
    return { clusters: [...this.#runtime.current.clusters.values()].map((cluster) => cluster.inspect()) };
  }

  *endpointRows(): Generator<EndpointRow | undefined> {
    for (const cluster of this.#runtime.current.clusters.values()) {
      yield undefined;
      yield* cluster.endpointRows();
    }
  }

  close(): void {
    this.#accessLogs.close();
  }
}

function wantReports({ changed, kinds }: DecodedUpdate): boolean {
  return kinds.has("cluster") && changed.some((entry) => entry.kind === "cluster" && wantsReports(entry.value));
}
