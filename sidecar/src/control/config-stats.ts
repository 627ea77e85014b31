import type { Json } from "@heddle/base";
import { type AssembledResource, type ConfigDelta, discoveredFilters, type ProxyConfig } from "@heddle/config";
import { parseLaneKey } from "@heddle/config/lanes";
import { type Counter, type Gauge, type MetricScope, type SharedMetrics, seriesGroup } from "@heddle/telemetry";
import {
  CIRCUIT_BREAKER_CELLS,
  type ClusterConfig,
  type EndpointsConfig,
  type ExtensionConfig,
  filterChainsOf,
  type ListenerConfig,
  thresholdsBy,
} from "@heddle/traffic";
import type { ResourceUpdate } from "@heddle/xds";

/** The counts of a cluster's circuit breakers now: connections, waiting requests, requests, retries. */
export type BreakerCounts = (clusterName: string) => readonly number[];

/**
 * Metrics of the configuration, under Envoy's names: `listener_manager.*`, `cluster_manager.*`, a cluster's members, circuit
 * breakers and updates, a route configuration's updates. They are of the process, so the control thread has them: a gauge of each
 * worker would be counted as often as there are workers.
 */
export class ConfigStats {
  readonly #metrics: SharedMetrics;
  readonly #wallNow: () => number;
  readonly #clusters = new Map<string, ClusterGauges>();
  /** The parts of `cluster_manager` and `listener_manager` that count changes. */
  readonly #changes: Readonly<Record<"cluster" | "listener", Changes>>;
  /** What serves, for whom an update is: it must not cost what all of a mesh costs. */
  readonly #listeners = new Map<string, ListenerConfig>();
  /** Names of filter configurations that have series, and whether a listener that serves has asked for them by now. */
  readonly #extensions: Map<string, "awaited" | "used"> = new Map();
  /** They have to be looked through: to see who asks for them goes through all listeners, and a step is of endpoints as a rule. */
  #extensionsMoved = false;
  /** By cluster, the service of EDS that it takes, and the other way round. */
  readonly #serviceOf = new Map<string, string>();
  readonly #clustersOf = new Map<string, Set<string>>();
  readonly #known: Readonly<Record<"cluster" | "listener", Set<string>>> = { cluster: new Set(), listener: new Set() };
  readonly #clusterUpdated: Counter;
  readonly #runtimeLoads: Counter;
  readonly #runtimeErrors: Counter;
  readonly #runtimeKeys: Gauge;
  readonly #gauges: Readonly<
    Record<"activeClusters" | "warmingClusters" | "activeListeners" | "warmingListeners", Gauge>
  >;

  /** `runtimeLayers`: how many the bootstrap has. */
  constructor(metrics: SharedMetrics, wallNow: () => number, runtimeLayers = 0) {
    this.#metrics = metrics;
    this.#wallNow = wallNow;
    this.#runtimeLoads = metrics.counter("runtime.load_success");
    this.#runtimeErrors = metrics.counter("runtime.load_error");
    this.#runtimeKeys = metrics.gauge("runtime.num_keys");
    metrics.gauge("runtime.num_layers").set(runtimeLayers);
    this.#changes = {
      cluster: changes(metrics, "cluster_manager", "cluster"),
      listener: changes(metrics, "listener_manager", "listener"),
    };
    this.#gauges = {
      activeClusters: metrics.gauge("cluster_manager.active_clusters"),
      warmingClusters: metrics.gauge("cluster_manager.warming_clusters"),
      activeListeners: metrics.gauge("listener_manager.total_listeners_active"),
      warmingListeners: metrics.gauge("listener_manager.total_listeners_warming"),
    };
    this.#clusterUpdated = metrics.counter("cluster_manager.cluster_updated");
    for (const name of ["resolve_total", "not_found", "get_addr_failure"]) metrics.counter(`dns.cares.${name}`);
  }

  /** A layer of the runtime could not be read. */
  runtimeFailed(): void {
    this.#runtimeErrors.add();
  }

  /** A step of the configuration has been taken. */
  applied({ changed, removed }: ConfigDelta): void {
    for (const [key, value] of changed) {
      const { kind, name } = parseLaneKey(key);
      if (kind === "runtime") {
        this.#runtimeLoads.add();
        this.#runtimeKeys.set(Object.keys(value).length);
      }
      if (kind !== "cluster" && kind !== "listener") continue;
      if (kind === "listener") this.#extensionsMoved = true;
      const isNew = !this.#known[kind].has(name);
      this.#known[kind].add(name);
      (isNew ? this.#changes[kind].added : this.#changes[kind].modified).add();
      if (kind === "cluster") this.#clusterChanged(value as ClusterConfig);
      else this.#listeners.set(name, value as ListenerConfig);
    }
    for (const [key, value] of changed) {
      const { kind, name } = parseLaneKey(key);
      if (kind !== "endpoints") continue;
      this.#clusterUpdated.add();
      this.#clusters.get(name)?.setMembers(value as EndpointsConfig);
    }
    for (const key of removed) {
      const { kind, name } = parseLaneKey(key);
      if (kind === "endpoints") this.#clusters.get(name)?.setMembers(undefined);
      if (kind === "route-configuration") this.#metrics.retire({ [ROUTES]: withoutOrigin(name) });
      if (kind !== "cluster" && kind !== "listener") continue;
      this.#known[kind].delete(name);
      this.#changes[kind].removed.add();
      if (kind === "cluster") this.#clusterGone(name);
      else this.#listenerGone(name);
    }
    if (this.#extensionsMoved && this.#extensions.size > 0) this.#forgetExtensions();
  }

  /** A filter's configuration that is taken away may come again: its series end when no listener asks for it any more. */
  #forgetExtensions(): void {
    this.#extensionsMoved = false;
    const wanted = new Set([...this.#listeners.values()].flatMap(discoveredFilters).map(({ name }) => name));
    for (const [name, state] of this.#extensions) {
      if (wanted.has(name)) this.#extensions.set(name, "used");
      else if (state === "used") {
        this.#extensions.delete(name);
        this.#metrics.retire({ [EXTENSION]: name });
      }
    }
  }

  /** Something came from the control plane, to be applied next. */
  received({ kind, changed, refreshed = [] }: ResourceUpdate): void {
    if (kind === "endpoints") {
      for (const service of changed.keys()) this.#countEndpoints(service, true);
      for (const service of refreshed) if (!changed.has(service)) this.#countEndpoints(service, false);
    } else if (kind === "extension-config") {
      for (const [name, { config }] of changed) {
        const kind = extensionKind(config as ExtensionConfig);
        const scope = this.#metrics.scope(`extension_config_discovery.${kind}`, { [EXTENSION]: name });
        scope.counter("config_reload").add();
        if (!this.#extensions.has(name)) this.#extensions.set(name, "awaited");
        this.#extensionsMoved = true;
      }
    } else if (kind === "route-configuration") {
      for (const [prefix, name] of routeConfigurationsOf(this.#listeners.values())) {
        if (!changed.has(name) && !refreshed.includes(name)) continue;
        const labels = { envoy_http_conn_manager_prefix: prefix, [ROUTES]: name };
        const scope = this.#metrics.scope("http.rds", labels);
        scope.counter("update_attempt").add();
        scope.counter("update_success").add();
        scope.gauge("update_time").set(this.#wallNow());
        if (changed.has(name)) scope.counter("config_reload").add();
      }
    }
  }

  /** A name of that cluster was looked up. */
  resolved(clusterName: string, outcome: "found" | "not-found" | "failed"): void {
    this.#metrics.counter("dns.cares.resolve_total").add();
    if (outcome === "not-found") this.#metrics.counter("dns.cares.not_found").add();
    if (outcome === "failed") this.#metrics.counter("dns.cares.get_addr_failure").add();
    this.#clusters.get(clusterName)?.countLookup(outcome);
  }

  /** Brings gauges up to date that are read where they lie. */
  *look(
    config: ProxyConfig,
    resources: readonly AssembledResource[],
    breakers: BreakerCounts,
  ): Generator<undefined, void> {
    const said = (key: string): Json | undefined => config.runtime[key];
    for (const [name, gauges] of this.#clusters) {
      yield;
      const configured = config.clusters.get(name)?.circuitBreakers.default;
      const limits = configured && thresholdsBy(said, configured, name, "default");
      if (limits !== undefined) gauges.setBreakers(breakers(name), Object.values(orderedLimits(limits)));
    }
    const count = (kind: AssembledResource["kind"], version: "active" | "warming"): number =>
      resources.filter((resource) => resource.kind === kind && resource[version] !== undefined).length;
    this.#gauges.activeClusters.set(count("cluster", "active"));
    this.#gauges.warmingClusters.set(count("cluster", "warming"));
    this.#gauges.activeListeners.set(count("listener", "active"));
    this.#gauges.warmingListeners.set(count("listener", "warming"));
  }

  #countEndpoints(service: string, changed: boolean): void {
    for (const name of this.#clustersOf.get(service) ?? []) this.#clusters.get(name)?.countUpdate(changed);
  }

  #noteService(cluster: string, service: string | undefined): void {
    const before = this.#serviceOf.get(cluster);
    if (before === service) return;
    if (before !== undefined) {
      const clusters = this.#clustersOf.get(before);
      clusters?.delete(cluster);
      if (clusters?.size === 0) this.#clustersOf.delete(before);
      this.#serviceOf.delete(cluster);
    }
    if (service === undefined) return;
    this.#serviceOf.set(cluster, service);
    this.#clustersOf.set(service, (this.#clustersOf.get(service) ?? new Set()).add(cluster));
  }

  #clusterChanged({ name, statName, discovery }: ClusterConfig): void {
    this.#noteService(name, discovery.type === "EDS" ? discovery.serviceName : undefined);
    const known = this.#clusters.get(name);
    if (known?.statName === statName) return;
    if (known !== undefined) this.#retire(name);
    this.#clusters.set(name, ClusterGauges.of(this.#metrics, statName));
  }

  #clusterGone(name: string): void {
    this.#noteService(name, undefined);
    this.#retire(name);
  }

  #listenerGone(name: string): void {
    this.#listeners.delete(name);
    this.#extensionsMoved = true;
  }

  #retire(name: string): void {
    const gauges = this.#clusters.get(name);
    if (gauges === undefined) return;
    this.#clusters.delete(name);
    this.#metrics.retire({ envoy_cluster_name: gauges.statName });
  }
}

/** As Envoy calls them in the names of statistics. */
function extensionKind({ network, listener }: ExtensionConfig): string {
  if (network !== undefined) return "network_filter";
  return listener === undefined ? "http_filter" : "tcp_listener_filter";
}

const EXTENSION = "envoy_extension_config";
const ROUTES = "envoy_rds_route_config";

/** The name of a resource out of that of its lane (`nameFrom`). */
function withoutOrigin(name: string): string {
  return name.replace(/@[\w-]{20}$/, "");
}

const OPEN = ["cx_open", "rq_pending_open", "rq_open", "rq_retry_open"] as const;
const REMAINING = ["remaining_cx", "remaining_pending", "remaining_rq", "remaining_retries"] as const;

/** In the order of the cells. */
function orderedLimits(limits: ClusterConfig["circuitBreakers"]["default"]): Record<string, number> {
  const { maxConnections, maxPendingRequests, maxRequests, maxRetries } = limits;
  return { maxConnections, maxPendingRequests, maxRequests, maxRetries };
}

class ClusterGauges {
  readonly statName: string;
  readonly #total: Gauge;
  readonly #healthy: Gauge;
  readonly #degraded: Gauge;
  readonly #excluded: Gauge;
  readonly #changes: Counter;
  readonly #maxHostWeight: Gauge;
  readonly #attempts: Counter;
  readonly #successes: Counter;
  readonly #failures: Counter;
  readonly #noRebuild: Counter;
  readonly #empty: Counter;
  readonly #open: readonly Gauge[];
  readonly #remaining: readonly Gauge[];
  #members = "";

  static of(metrics: SharedMetrics, statName: string): ClusterGauges {
    return new ClusterGauges(metrics.group(CLUSTER_GROUP, { envoy_cluster_name: statName }), statName);
  }

  constructor(scope: MetricScope, statName: string) {
    this.statName = statName;
    this.#total = scope.gauge("membership_total");
    this.#healthy = scope.gauge("membership_healthy");
    this.#degraded = scope.gauge("membership_degraded");
    this.#excluded = scope.gauge("membership_excluded");
    this.#changes = scope.counter("membership_change");
    this.#maxHostWeight = scope.gauge("max_host_weight");
    this.#attempts = scope.counter("update_attempt");
    this.#successes = scope.counter("update_success");
    this.#failures = scope.counter("update_failure");
    this.#noRebuild = scope.counter("update_no_rebuild");
    this.#empty = scope.counter("update_empty");
    this.#open = OPEN.map((name) => scope.gauge(`circuit_breakers.default.${name}`));
    this.#remaining = REMAINING.map((name) => scope.gauge(`circuit_breakers.default.${name}`));
  }

  setMembers(config: EndpointsConfig | undefined): void {
    const endpoints = (config?.localities ?? []).flatMap((locality) => locality.endpoints);
    const count = (...wanted: readonly string[]): number =>
      endpoints.filter(({ healthStatus }) => wanted.includes(healthStatus)).length;
    this.#total.set(endpoints.length);
    this.#healthy.set(count("UNKNOWN", "HEALTHY"));
    this.#degraded.set(count("DEGRADED"));
    this.#excluded.set(0); // of endpoints whose first health check is awaited
    this.#maxHostWeight.set(
      endpoints.reduce((most, { loadBalancingWeight }) => Math.max(most, loadBalancingWeight), 0),
    );
    const members = JSON.stringify(endpoints.map(({ address }) => address));
    if (members !== this.#members) this.#changes.add();
    this.#members = members;
  }

  /** `changed`: it held something new. */
  countUpdate(changed: boolean): void {
    this.#attempts.add();
    this.#successes.add();
    if (!changed) this.#noRebuild.add();
  }

  countLookup(outcome: "found" | "not-found" | "failed"): void {
    this.#attempts.add();
    if (outcome === "failed") this.#failures.add();
    else this.#successes.add();
    if (outcome === "not-found") this.#empty.add();
  }

  setBreakers(counts: readonly number[], limits: readonly number[]): void {
    for (let i = 0; i < CIRCUIT_BREAKER_CELLS; i++) {
      const [count, limit] = [counts[i] ?? 0, limits[i] ?? 0];
      this.#open[i]?.set(count >= limit ? 1 : 0);
      this.#remaining[i]?.set(Math.max(0, limit - count));
    }
  }
}

const CLUSTER_GROUP = seriesGroup("cluster", (scope) => new ClusterGauges(scope, ""));

interface Changes {
  readonly added: Counter;
  readonly modified: Counter;
  readonly removed: Counter;
}

function changes(metrics: SharedMetrics, scope: string, kind: string): Changes {
  const counter = (what: string): Counter => metrics.counter(`${scope}.${kind}_${what}`);
  return { added: counter("added"), modified: counter("modified"), removed: counter("removed") };
}

/** The stat prefix of each connection manager that takes its routes by name, and that name. */
function routeConfigurationsOf(listeners: Iterable<ListenerConfig>): Set<readonly [string, string]> {
  const found = new Map<string, readonly [string, string]>();
  for (const listener of listeners) {
    for (const filter of filterChainsOf(listener).flatMap(({ filters }) => filters)) {
      if (filter.type !== "http-connection-manager" || filter.config.routes.type !== "rds") continue;
      const { statPrefix, routes } = filter.config;
      found.set(`${statPrefix}\0${routes.routeConfigName}`, [statPrefix, routes.routeConfigName]);
    }
  }
  return new Set(found.values());
}
