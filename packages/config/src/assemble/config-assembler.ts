import type { Clock, Timer } from "@heddle/base";
import type { ClusterConfig, EndpointsConfig, ListenerConfig, RouteConfiguration } from "@heddle/traffic";
import type { AcceptedResource, ResourceSubscriber, ResourceUpdate } from "@heddle/xds";
import type { ProxyConfig } from "../proxy-config.ts";
import type { AssembledResource, Versioned } from "./assembled-resource.ts";
import { ClusterAssembly } from "./cluster-assembly.ts";
import { type ConfigDelta, ConfigDraft } from "./config-draft.ts";
import { ListenerAssembly } from "./listener-assembly.ts";

/** Envoy's `ConfigSource.initial_fetch_timeout`. */
export const INITIAL_FETCH_TIMEOUT_MS = 15_000;

export interface ConfigAssemblerOptions {
  readonly clock: Clock;
  readonly staticListeners: readonly ListenerConfig[];
  readonly staticClusters: readonly ClusterConfig[];
  /** Whether listeners (clusters) come by LDS (CDS), too. */
  readonly dynamicListeners: boolean;
  readonly dynamicClusters: boolean;
  /** Told which resources are wanted, whenever that changes. */
  readonly subscriber: ResourceSubscriber;
  /** Told which clusters are to be resolved by DNS, whenever that changes; answers come to `resolved`. */
  readonly onDnsClusters: (clusters: ReadonlyMap<string, ClusterConfig>) => void;
  /** One consistent step of what is to be served. Never empty. */
  readonly onConfig: (delta: ConfigDelta) => void;
  /** Once: everything known at the start serves, or its time is over. */
  readonly onReady: () => void;
  /** 15 s; 0 waits for ever. */
  readonly initialFetchTimeoutMs?: number;
}

/**
 * Turns resources as they come into complete configurations: follows references (listener to route configuration,
 * cluster to endpoints or DNS), asks for what they name, keeps what is not complete out, and tells of each step once.
 * It holds state and timers and does no input or output: statements 56 to 58, 61, 65 and 66 of the xDS protocol are its
 * tests. Routes may name clusters that do not exist; that is answered per request (statement 59).
 */
export class ConfigAssembler {
  readonly #options: ConfigAssemblerOptions;
  readonly #draft = new ConfigDraft();
  readonly #clusters: ClusterAssembly;
  readonly #listeners: ListenerAssembly;
  /** Dynamic resources that a static one of the same name keeps out, by "kind/name". */
  readonly #shadowed = new Set<string>();
  /** Kinds whose first answer is still outstanding. */
  readonly #firstAnswers = new Set<"listener" | "cluster">();
  #firstAnswerTimer: Timer | undefined;
  #wantedRoutes: ReadonlySet<string> = new Set();
  #wantedEndpoints: ReadonlySet<string> = new Set();
  #wantedDns: ReadonlyMap<string, ClusterConfig> = new Map();
  #listenersOpen = false;
  #ready = false;
  #closed = false;

  constructor(options: ConfigAssemblerOptions) {
    this.#options = options;
    const timeout = options.initialFetchTimeoutMs ?? INITIAL_FETCH_TIMEOUT_MS;
    const onTimeout = (): void => this.#finishStep();
    this.#clusters = new ClusterAssembly(this.#draft, options.clock, timeout, onTimeout);
    this.#listeners = new ListenerAssembly(this.#draft, options.clock, timeout, onTimeout, (name) =>
      this.#clusters.isWarming(name),
    );
  }

  /** Takes the static resources and begins to ask for the others. */
  start(): void {
    const { clock, staticClusters, staticListeners, dynamicClusters, dynamicListeners, subscriber } = this.#options;
    const acceptedMs = clock.wallNow();
    for (const config of staticClusters) this.#clusters.update("static", { config, version: "", acceptedMs });
    for (const config of staticListeners) this.#listeners.update("static", { config, version: "", acceptedMs });
    if (dynamicClusters) this.#firstAnswers.add("cluster");
    if (dynamicListeners) this.#firstAnswers.add("listener");
    const timeout = this.#options.initialFetchTimeoutMs ?? INITIAL_FETCH_TIMEOUT_MS;
    if (this.#firstAnswers.size > 0 && timeout > 0) {
      this.#firstAnswerTimer = clock.after(timeout, () => {
        this.#firstAnswers.clear();
        this.#finishStep();
      });
    }
    if (dynamicClusters) subscriber.subscribe("cluster", new Set(["*"]));
    if (dynamicListeners) subscriber.subscribe("listener", new Set(["*"]));
    this.#finishStep();
  }

  /** What the control plane's response brought. One call is one consistent step. */
  update(update: ResourceUpdate): void {
    const { kind, changed, removed, absent } = update;
    switch (kind) {
      case "cluster":
        for (const name of [...removed, ...absent]) {
          this.#shadowed.delete(`cluster/${name}`);
          this.#clusters.remove(name);
        }
        for (const [name, resource] of changed)
          this.#noteShadow(kind, name, this.#clusters.update("dynamic", this.#versioned(resource)));
        this.#firstAnswers.delete(kind);
        break;
      case "listener":
        for (const name of [...removed, ...absent]) {
          this.#shadowed.delete(`listener/${name}`);
          this.#listeners.remove(name);
        }
        for (const [name, resource] of changed)
          this.#noteShadow(kind, name, this.#listeners.update("dynamic", this.#versioned(resource)));
        this.#firstAnswers.delete(kind);
        break;
      case "route-configuration":
        for (const [name, resource] of changed) this.#listeners.route(this.#versioned(resource), name);
        for (const name of [...removed, ...absent]) this.#listeners.absent(name);
        break;
      case "endpoints":
        for (const [name, resource] of changed) this.#clusters.assignment(name, this.#versioned(resource));
        for (const name of update.refreshed ?? []) this.#clusters.assignment(name, "unchanged");
        for (const name of [...removed, ...absent]) this.#clusters.absent(name);
        break;
      case "secret":
      case "extension-config":
      case "runtime":
      case "virtual-host":
        // Nothing of these kinds is subscribed yet.
        break;
    }
    this.#finishStep();
  }

  /** DNS answered for that configuration of a cluster. */
  resolved(config: ClusterConfig, endpoints: EndpointsConfig): void {
    this.#clusters.resolved(config, endpoints);
    this.#finishStep();
  }

  /** All that is served now. */
  current(): ProxyConfig {
    return this.#draft.current();
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Everything held, serving or warming, for those who look. */
  resources(): AssembledResource[] {
    return [...this.#clusters.resources(), ...this.#listeners.resources()];
  }

  /** Dynamic resources that are kept out by a static one of the same name: "cluster/xds". */
  get shadowed(): readonly string[] {
    return [...this.#shadowed];
  }

  /** Ends all timers. Nothing is told any more. */
  close(): void {
    this.#closed = true;
    this.#firstAnswerTimer?.cancel();
    this.#clusters.close();
    this.#listeners.close();
  }

  #finishStep(): void {
    if (this.#closed) return;
    if (!this.#listenersOpen && !this.#firstAnswers.has("cluster") && this.#clusters.settled) {
      this.#listenersOpen = true;
      this.#listeners.open();
    }
    if (this.#firstAnswers.size === 0) this.#firstAnswerTimer?.cancel();
    this.#listeners.releaseRoutes();
    if (!this.#listeners.holdsRoutes) this.#clusters.dropRemoved();

    const delta = this.#draft.take();
    if (delta !== undefined) this.#options.onConfig(delta);
    this.#tellWants();
    if (!this.#ready && this.#listenersOpen && !this.#firstAnswers.has("listener") && this.#listeners.settled) {
      this.#ready = true;
      this.#options.onReady();
    }
  }

  #tellWants(): void {
    const { subscriber, onDnsClusters } = this.#options;
    const [endpoints, hadEndpoints] = [this.#clusters.serviceNames, this.#wantedEndpoints];
    this.#wantedEndpoints = endpoints;
    if (!equalSets(endpoints, hadEndpoints)) subscriber.subscribe("endpoints", endpoints);

    const [routes, hadRoutes] = [this.#listeners.routeNames, this.#wantedRoutes];
    this.#wantedRoutes = routes;
    if (!equalSets(routes, hadRoutes)) subscriber.subscribe("route-configuration", routes);

    const [dns, hadDns] = [this.#clusters.dnsClusters, this.#wantedDns];
    this.#wantedDns = dns;
    if (!equalMaps(dns, hadDns)) onDnsClusters(dns);
  }

  #noteShadow(kind: "listener" | "cluster", name: string, taken: boolean): void {
    if (taken) this.#shadowed.delete(`${kind}/${name}`);
    else this.#shadowed.add(`${kind}/${name}`);
  }

  /** The client decoded it by its kind's type, so that is what it holds. */
  #versioned<Config extends ClusterConfig | EndpointsConfig | ListenerConfig | RouteConfiguration>(
    resource: AcceptedResource,
  ): Versioned<Config> {
    const acceptedMs = this.#options.clock.wallNow();
    return { config: resource.config as Config, version: resource.version, acceptedMs };
  }
}

function equalSets(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a === b || (a.size === b.size && a.isSubsetOf(b));
}

function equalMaps<V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}
