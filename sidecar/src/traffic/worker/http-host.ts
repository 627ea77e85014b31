import { hostname } from "node:os";
import { type Json, Live, TimerWheel } from "@heddle/base";
import { laneKey } from "@heddle/config/lanes";
import { TurnClock } from "@heddle/net";
import type { FormatEnvironment } from "@heddle/telemetry";
import {
  type ClusterConfig,
  type EndpointsConfig,
  type ListenerConfig,
  LiveRuntime,
  type RouteConfiguration,
  systemRandom,
} from "@heddle/traffic";
import { buildDatagramFilter } from "../build/build-datagram-filter.ts";
import type { BuildEnv } from "../build/build-http-connection-manager.ts";
import {
  buildRuntime,
  leavingClusters,
  NOTHING_PREPARED,
  type PreparedClusters,
  prepareClusters,
  takeOver,
} from "../build/build-runtime.ts";
import { type Extensions, NO_EXTENSIONS } from "../build/filter-builder.ts";
import { networkFilters } from "../build/network-filters.ts";
import { emptyRuntime, type Runtime, type RuntimeEntry } from "../build/runtime.ts";
import { Slices } from "../build/slices.ts";
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
import { LoadLedger } from "../upstream/load-ledger.ts";
import { AccessLogs } from "./access-logs.ts";
import type { DecodedUpdate } from "./config-receiver.ts";
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
  /** For the step that is applied next. */
  #prepared: PreparedClusters | undefined;
  readonly #extensions = new Live<Extensions>(NO_EXTENSIONS);
  #config: HostConfig = {
    listeners: new Map(),
    routeConfigurations: new Map(),
    clusters: new Map(),
    endpoints: new Map(),
  };

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

  async prepare(update: DecodedUpdate): Promise<void> {
    await this.#loadFilters(update);
    const { changed } = update;
    const touched = new Set<string>();
    for (const { kind, name } of changed) if (kind === "cluster" || kind === "endpoints") touched.add(name);
    // Such a cluster is built when its secrets are there, which come into force with the step.
    const withSecrets = changed.some(({ kind }) => kind === "secret");
    const mayBuild = ({ tls, transportSocketMatches }: ClusterConfig): boolean =>
      !withSecrets || (tls === undefined && transportSocketMatches === undefined);
    const input = changedConfig(this.#config, update);
    const slices = new Slices(this.#env.clock);
    this.#prepared = await prepareClusters(input, touched, this.#runtime.current, this.#build, slices, mayBuild);
  }

  async #loadFilters({ changed }: DecodedUpdate): Promise<void> {
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
    const previous = this.#runtime.current;
    const config = changedConfig(this.#config, update);
    const prepared = this.#prepared ?? NOTHING_PREPARED;
    this.#prepared = undefined;
    const refused: RefusedKey[] = [];
    const next = buildRuntime(config, previous, this.#build, prepared, (kind, name, error) => {
      refused.push({ key: laneKey(kind, name), reason: error instanceof Error ? error.message : String(error) });
      keepEntry(kind === "cluster" ? "clusters" : "routeConfigurations", name, config, this.#config);
    });
    takeOver(next, config.endpoints);
    this.#runtime.publish(next);
    this.#leaving.push(...leavingClusters(next, previous));
    for (const entry of update.changed) if (entry.kind === "runtime") this.#runtimeValues.publish(entry.value);
    this.#applyExtensions(update);
    for (const { kind, name } of update.removed) {
      const cluster = kind === "cluster" ? this.#config.clusters.get(name) : undefined;
      if (cluster !== undefined) this.#retiring.push(cluster.value.statName);
    }
    this.#config = config;
    return refused;
  }

  async settle(): Promise<void> {
    const slices = new Slices(this.#env.clock);
    for (let cluster = this.#leaving.pop(); cluster !== undefined; cluster = this.#leaving.pop()) {
      cluster.drain();
      if (slices.leftMs <= 0) await slices.next();
    }
    for (let name = this.#retiring.pop(); name !== undefined; name = this.#retiring.pop()) {
      this.#env.retireMetrics({ envoy_cluster_name: name });
      if (slices.leftMs <= 0) await slices.next();
    }
  }

  load(): Json {
    return this.#load.read(this.#runtime.current.clusters.values());
  }

  /** As the last: a filter may be built of routes and clusters, which are there by now. */
  #applyExtensions({ changed, removed }: DecodedUpdate): void {
    const next = new Map(this.#extensions.current);
    for (const { kind, name } of removed) if (kind === "extension-config") next.delete(name);
    for (const entry of changed) if (entry.kind === "extension-config") next.set(entry.name, entry.value.config);
    const touched = [...changed, ...removed].some(({ kind }) => kind === "extension-config");
    if (touched) this.#extensions.publish(next);
  }

  reopenLogs(): void {
    this.#accessLogs.reopen();
  }

  inspect(): Json {
    return { clusters: [...this.#runtime.current.clusters.values()].map((cluster) => cluster.inspect()) };
  }

  close(): void {
    this.#accessLogs.close();
  }
}

/** All that the worker has, by name. Immutable: a step makes another one, which counts only once all of it was built. */
interface HostConfig {
  readonly listeners: ReadonlyMap<string, ListenerConfig>;
  readonly routeConfigurations: ReadonlyMap<string, RuntimeEntry<RouteConfiguration>>;
  readonly clusters: ReadonlyMap<string, RuntimeEntry<ClusterConfig>>;
  readonly endpoints: ReadonlyMap<string, RuntimeEntry<EndpointsConfig>>;
}

type Maps = {
  readonly [Field in keyof HostConfig]: HostConfig[Field] extends ReadonlyMap<string, infer Value>
    ? Map<string, Value>
    : never;
};

/** What could not be built is not tried again with each step to come. */
function keepEntry(field: "clusters" | "routeConfigurations", name: string, config: Maps, before: HostConfig): void {
  const known = before[field].get(name);
  if (known === undefined) config[field].delete(name);
  else (config[field] as Map<string, RuntimeEntry<unknown>>).set(name, known);
}

function changedConfig(before: HostConfig, { changed, removed }: DecodedUpdate): Maps {
  const listeners = new Map(before.listeners);
  const routeConfigurations = new Map(before.routeConfigurations);
  const clusters = new Map(before.clusters);
  const endpoints = new Map(before.endpoints);
  const maps = { listener: listeners, "route-configuration": routeConfigurations, cluster: clusters, endpoints };
  for (const { kind, name } of removed) if (Object.hasOwn(maps, kind)) maps[kind as keyof typeof maps].delete(name);
  for (const entry of changed) {
    switch (entry.kind) {
      case "listener":
        listeners.set(entry.name, entry.value);
        break;
      case "route-configuration":
        routeConfigurations.set(entry.name, entry);
        break;
      case "cluster":
        clusters.set(entry.name, entry);
        break;
      case "endpoints":
        endpoints.set(entry.name, entry);
        break;
      case "secret": // those are live
      case "runtime":
      case "extension-config":
        break;
      default:
        throw new Error(`unknown kind ${(entry satisfies never as { kind: string }).kind}`);
    }
  }
  return { listeners, routeConfigurations, clusters, endpoints };
}
