import type { Clock } from "@heddle/base";
import {
  ADS,
  adsSource,
  type ClusterConfig,
  type Demand,
  type Discovery,
  type EndpointsConfig,
  type ExtensionConfig,
  type ListenerConfig,
  nameFrom,
  type RouteConfiguration,
  type RuntimeLayer,
  type RuntimeLayerConfig,
  type RuntimeLayerContent,
  type RuntimeValues,
  type SecretConfig,
  secretKey,
  type VirtualHost,
} from "@heddle/traffic";
import type { AcceptedResource, ResourceSubscriber, ResourceUpdate } from "@heddle/xds";
import type { ProxyConfig } from "../proxy-config.ts";
import type { AssembledResource, Versioned } from "./assembled-resource.ts";
import { ClusterAssembly } from "./cluster-assembly.ts";
import { type ConfigDelta, ConfigDraft } from "./config-draft.ts";
import { DemandBook } from "./demand-book.ts";
import { ExtensionAssembly } from "./extension-assembly.ts";
import { FirstAnswers } from "./first-answers.ts";
import { ListenerAssembly } from "./listener-assembly.ts";
import {
  type AuthorityLookup,
  resolveClusterSources,
  resolveExtensionSources,
  resolveListenerSources,
  type SourceOfName,
  sourceOfName,
} from "./resolve-sources.ts";
import { RuntimeAssembly } from "./runtime-assembly.ts";
import { SecretAssembly } from "./secret-assembly.ts";
import { ToldWants } from "./told-wants.ts";
import { VirtualHostAssembly } from "./virtual-host-assembly.ts";

export interface ConfigAssemblerOptions {
  readonly clock: Clock;
  readonly staticListeners: readonly ListenerConfig[];
  readonly staticClusters: readonly ClusterConfig[];
  /** Left out: none. */
  readonly staticSecrets?: readonly SecretConfig[];
  /** LDS and CDS. Left out: listeners (clusters) are static. */
  readonly listenerDiscovery?: Discovery | undefined;
  readonly clusterDiscovery?: Discovery | undefined;
  /** `config_sources` and `default_config_source`. Left out: structured names are nobody's in particular. */
  readonly authorityOf?: AuthorityLookup;
  /** `layered_runtime`. Left out: there is no runtime. */
  readonly runtimeLayers?: readonly RuntimeLayer[];
  /** Told which resources are wanted, whenever that changes. */
  readonly subscriber: ResourceSubscriber;
  /** Told which clusters are to be resolved by DNS, whenever that changes; answers come to `resolved`. */
  readonly onDnsClusters: (clusters: ReadonlyMap<string, ClusterConfig>) => void;
  /** One consistent step of what is to be served. Never empty. */
  readonly onConfig: (delta: ConfigDelta) => void;
  /** These have come or do not exist: true with the configuration that `onConfig` was told last. */
  readonly onDemandsAnswered?: (demands: readonly Demand[]) => void;
  /** Once: everything known at the start serves, or its time is over. */
  readonly onReady: () => void;
}

/**
 * Turns resources as they come into complete configurations: follows references (listener to route configuration,
 * cluster to endpoints or DNS, both to secrets), asks for what they name, keeps what is not complete out, and tells of each
 * step once. It holds state and timers and does no input or output: statements 56 to 58, 61, 62, 65 and 66 of the xDS
 * protocol are its tests. The same name from two origins is two resources. How long a resource is waited for says its source.
 * Routes may name clusters that do not exist; that is answered per request (statement 59).
 */
export class ConfigAssembler {
  readonly #options: ConfigAssemblerOptions;
  readonly #draft = new ConfigDraft();
  readonly #secrets: SecretAssembly;
  readonly #extensions: ExtensionAssembly;
  readonly #clusters: ClusterAssembly;
  readonly #listeners: ListenerAssembly;
  readonly #runtime: RuntimeAssembly;
  readonly #hosts: VirtualHostAssembly;
  /** Clusters that requests have asked for. */
  readonly #clusterDemands: DemandBook;
  /** To be told once the step is done. */
  readonly #answers: Demand[] = [];
  /** Dynamic resources that a static one of the same name keeps out, by "kind/name". */
  readonly #shadowed = new Set<string>();
  readonly #firstAnswers: FirstAnswers<"listener" | "cluster" | "runtime">;
  readonly #told: ToldWants;
  /** The revision of `#clusterDemands` that was told last. */
  #demandsTold = 0;
  #wantedDns: ReadonlyMap<string, ClusterConfig> = new Map();
  #started = false;
  #listenersOpen = false;
  #ready = false;
  #closed = false;

  constructor(options: ConfigAssemblerOptions) {
    this.#options = options;
    const onTimeout = (): void => this.#finishStep();
    this.#firstAnswers = new FirstAnswers(options.clock, onTimeout);
    this.#told = new ToldWants(options.subscriber);
    this.#runtime = new RuntimeAssembly(options.runtimeLayers ?? [], this.#draft);
    this.#secrets = new SecretAssembly(this.#draft, options.clock, (owners) => {
      this.#tryAll(owners);
      this.#finishStep();
    });
    this.#hosts = new VirtualHostAssembly(options.clock);
    this.#clusterDemands = new DemandBook(options.clock);
    this.#extensions = new ExtensionAssembly(this.#draft, options.clock, (listeners) => {
      this.#listeners.tryAgain(listeners);
      this.#finishStep();
    });
    this.#clusters = new ClusterAssembly(this.#draft, this.#secrets, options.clock, onTimeout);
    this.#listeners = new ListenerAssembly(
      this.#draft,
      this.#secrets,
      this.#extensions,
      this.#hosts,
      options.clock,
      onTimeout,
      (name) => this.#clusters.isWarming(name),
    );
  }

  /** Takes the static resources and begins to ask for the others. */
  start(): void {
    const { clock, staticSecrets = [], staticClusters, staticListeners } = this.#options;
    const { clusterDiscovery, listenerDiscovery } = this.#options;
    const acceptedMs = clock.wallNow();
    this.#runtime.start();
    for (const config of staticSecrets) this.#secrets.addStatic({ config, version: "", acceptedMs });
    const sourceOf = this.#sourceOf(undefined);
    for (const read of staticClusters) {
      const config = resolveClusterSources(read, sourceOf);
      this.#clusters.update("static", { config, version: "", acceptedMs });
    }
    for (const read of staticListeners) {
      const config = resolveListenerSources(read, sourceOf);
      this.#listeners.update("static", { config, version: "", acceptedMs });
    }
    // As in Envoy nothing serves before the runtime is known: what it switches off must not be on for a moment.
    if (!this.#runtime.settled) this.#firstAnswers.waitFor("runtime", this.#runtime.initialFetchTimeoutMs);
    if (clusterDiscovery !== undefined)
      this.#firstAnswers.waitFor("cluster", clusterDiscovery.source.initialFetchTimeoutMs);
    if (listenerDiscovery !== undefined)
      this.#firstAnswers.waitFor("listener", listenerDiscovery.source.initialFetchTimeoutMs);
    this.#started = true;
    this.#told.tell("runtime", this.#runtime.wants);
    if (clusterDiscovery !== undefined) this.#ask("cluster", clusterDiscovery);
    if (listenerDiscovery !== undefined) this.#ask("listener", listenerDiscovery);
    this.#finishStep();
  }

  #ask(kind: "listener" | "cluster", { source, names }: Discovery): void {
    this.#options.subscriber.subscribe(kind, new Set(names), source.from.type === "self" ? ADS : source.from);
  }

  /** What the control plane's response brought. One call is one consistent step. */
  update(update: ResourceUpdate): void {
    const { kind, origin, changed, removed } = update;
    // Who needs a resource waits for it as long as its source says, whenever the question went out.
    const absent = update.timedOut === true ? [] : update.absent;
    switch (kind) {
      case "cluster":
        // What came first: endpoints (routes, below) that what goes and what comes both name must not be forgotten between.
        for (const [name, resource] of changed) this.#noteShadow(kind, name, this.#updateCluster(resource, origin));
        for (const name of [...removed, ...update.absent]) this.#clusterGone(name);
        for (const name of [...removed, ...absent]) {
          this.#shadowed.delete(`cluster/${name}`);
          this.#clusters.remove(name);
        }
        this.#firstAnswers.arrived(kind);
        break;
      case "listener":
        for (const [name, resource] of changed) this.#noteShadow(kind, name, this.#updateListener(resource, origin));
        for (const name of [...removed, ...absent]) {
          this.#shadowed.delete(`listener/${name}`);
          this.#listeners.remove(name);
        }
        this.#firstAnswers.arrived(kind);
        break;
      case "route-configuration":
        for (const [name, resource] of changed)
          this.#listeners.route(this.#versioned(resource), nameFrom(name, origin));
        for (const name of [...removed, ...absent]) this.#listeners.absent(nameFrom(name, origin));
        break;
      case "endpoints":
        for (const [name, resource] of changed)
          this.#clusters.assignment(nameFrom(name, origin), this.#versioned(resource));
        for (const name of update.refreshed ?? []) this.#clusters.assignment(nameFrom(name, origin), "unchanged");
        for (const name of [...removed, ...absent]) this.#clusters.absent(nameFrom(name, origin));
        break;
      case "runtime":
        for (const [name, resource] of changed) this.#runtime.update(nameFrom(name, origin), this.#versioned(resource));
        for (const name of [...removed, ...absent]) this.#runtime.remove(nameFrom(name, origin));
        if (this.#runtime.settled) this.#firstAnswers.arrived(kind);
        break;
      case "secret":
        for (const [name, resource] of changed) {
          const key = secretKey({ from: "sds", name: nameFrom(name, origin) });
          this.#tryAll(this.#secrets.update(key, this.#versioned(resource)));
        }
        break;
      case "extension-config":
        for (const [name, resource] of changed)
          this.#listeners.tryAgain(this.#extensions.update(nameFrom(name, origin), this.#extension(resource, origin)));
        for (const name of [...removed, ...absent])
          this.#listeners.tryAgain(this.#extensions.remove(nameFrom(name, origin)));
        break;
      case "virtual-host":
        this.#updateHosts(update);
        break;
    }
    this.#finishStep();
  }

  /** A secret of the process's own, such as its certificate: what names it without a source has it from now on. */
  ownSecret(config: SecretConfig, version: string): void {
    this.#tryAll(this.#secrets.own({ config, version, acceptedMs: this.#options.clock.wallNow() }));
    this.#finishStep();
  }

  /** That one is of no use any more: handshakes that need it are refused until it comes again. */
  withdrawSecret(name: string): void {
    this.#secrets.withdraw(name);
    this.#finishStep();
  }

  /**
   * Why a configuration of that type, for the filter of that name, is refused though it is right in itself; undefined where it is
   * not.
   */
  refusesExtension(name: string, type: string): string | undefined {
    return this.#extensions.refuses(name, type);
  }

  /** A request needs it. The answer comes by `onDemandsAnswered`, never from within. */
  demand(demand: Demand): void {
    const isAsked =
      demand.kind === "cluster"
        ? !this.#clusters.serves(demand.name) && this.#clusterDemands.ask(demand.name) === "asked"
        : this.#hosts.demand(demand.routes, demand.host);
    if (!isAsked) this.#answers.push(demand);
    this.#finishStep();
  }

  /** DNS answered for that configuration of a cluster. */
  resolved(config: ClusterConfig, endpoints: EndpointsConfig): void {
    this.#clusters.resolved(config, endpoints);
    this.#finishStep();
  }

  /** `/runtime_modify`: sets keys in the admin layer, or with "" takes them out. False: there is no such layer. */
  modifyRuntime(changes: Readonly<Record<string, string>>): boolean {
    const done = this.#runtime.modify(changes);
    this.#finishStep();
    return done;
  }

  /** What the files of a layer of the runtime say. */
  runtimeOnDisk(layer: string, values: RuntimeValues): void {
    this.#runtime.fromDisk(layer, values);
    if (this.#started) this.#finishStep();
  }

  /** The layers of the runtime as they are now, in their order. */
  runtimeLayers(): RuntimeLayerContent[] {
    return this.#runtime.layers();
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
    return [
      ...this.#clusters.resources(),
      ...this.#listeners.resources(),
      ...this.#secrets.resources(),
      ...this.#extensions.resources(),
      ...this.#hosts.resources(),
      ...this.#runtime.resources(),
    ];
  }

  /** Dynamic resources that are kept out by a static one of the same name: "cluster/xds". */
  get shadowed(): readonly string[] {
    return [...this.#shadowed];
  }

  /** Ends all timers. Nothing is told any more. */
  close(): void {
    this.#closed = true;
    this.#firstAnswers.close();
    this.#secrets.close();
    this.#extensions.close();
    this.#clusters.close();
    this.#listeners.close();
  }

  /** A secret has come that these ask for ("listener/a", "cluster/b"), or its time is over. */
  #tryAll(owners: readonly string[]): void {
    const named = (kind: string): string[] =>
      owners.flatMap((owner) => (owner.startsWith(kind) ? [owner.slice(kind.length)] : []));
    this.#clusters.secretCame(named("cluster/"));
    this.#listeners.tryAgain(named("listener/"));
  }

  #finishStep(): void {
    if (this.#closed) return;
    const awaitsFirst = this.#firstAnswers.awaits("cluster") || this.#firstAnswers.awaits("runtime");
    if (!this.#listenersOpen && !awaitsFirst && this.#clusters.settled) {
      this.#listenersOpen = true;
      this.#listeners.open();
    }
    this.#listeners.releaseRoutes();
    if (!this.#listeners.holdsRoutes) this.#clusters.dropRemoved();
    for (const kind of [this.#listeners, this.#clusters, this.#secrets, this.#extensions]) kind.forgetUnused();

    const delta = this.#draft.take();
    if (delta !== undefined) this.#options.onConfig(delta);
    this.#tellWants();
    this.#tellAnswers();
    if (!this.#ready && this.#listenersOpen && !this.#firstAnswers.awaits("listener") && this.#listeners.settled) {
      this.#ready = true;
      this.#options.onReady();
    }
  }

  #tellWants(): void {
    this.#told.tell("endpoints", this.#clusters.wants);
    this.#told.tell("route-configuration", this.#listeners.wants);
    this.#told.tell("extension-config", this.#extensions.wants);
    this.#told.tell("virtual-host", this.#hosts.wants);
    this.#tellClusters();
    this.#told.tell("secret", this.#secrets.wants);
    const [dns, hadDns] = [this.#clusters.dnsClusters, this.#wantedDns];
    this.#wantedDns = dns;
    if (!equalMaps(dns, hadDns)) this.#options.onDnsClusters(dns);
  }

  /** Those that requests need, beside those that are always asked for. */
  #tellClusters(): void {
    const { names, revision } = this.#clusterDemands;
    if (revision === this.#demandsTold) return;
    this.#demandsTold = revision;
    const { clusterDiscovery } = this.#options;
    if (clusterDiscovery?.source.from.type === "file") return; // all that there are is in it
    const always = clusterDiscovery?.names ?? [];
    this.#ask("cluster", { source: clusterDiscovery?.source ?? adsSource, names: [...always, ...names] });
  }

  #sourceOf(broughtBy: ResourceUpdate["origin"]): SourceOfName {
    return sourceOfName(broughtBy, this.#options.authorityOf ?? (() => undefined));
  }

  /** Nobody waits for it any more; asked for again it is subscribed again. */
  #clusterGone(name: string): void {
    if (this.#clusterDemands.pending.has(name)) this.#answers.push({ kind: "cluster", name });
    this.#clusterDemands.absent(name);
  }

  #updateHosts({ origin, changed, removed, absent, refreshed = [] }: ResourceUpdate): void {
    const gone = [...removed, ...absent];
    const hosts = new Map(
      [...changed].map(([name, resource]) => {
        const { aliases } = resource;
        return [name, { ...this.#versioned<VirtualHost>(resource), ...(aliases && { aliases }) }] as const;
      }),
    );
    this.#hosts.refreshed(origin, refreshed);
    for (const answered of this.#hosts.goneDemands(origin, gone)) this.#answers.push(answered);
    this.#listeners.hostsChanged(this.#hosts.update(origin, hosts, gone));
  }

  #tellAnswers(): void {
    for (const name of this.#clusterDemands.pending) {
      if (!this.#clusters.serves(name)) continue;
      this.#clusterDemands.found(name);
      this.#answers.push({ kind: "cluster", name });
    }
    for (const { key, host } of this.#hosts.takeFound((key) => this.#listeners.isHeld(key)))
      this.#answers.push({ kind: "virtual-host", routes: key, host });
    const answers = this.#answers.splice(0);
    if (answers.length > 0) this.#options.onDemandsAnswered?.(answers);
  }

  #updateCluster(resource: AcceptedResource, origin: ResourceUpdate["origin"]): boolean {
    const { config, ...rest } = this.#versioned<ClusterConfig>(resource);
    return this.#clusters.update("dynamic", { ...rest, config: resolveClusterSources(config, this.#sourceOf(origin)) });
  }

  #updateListener(resource: AcceptedResource, origin: ResourceUpdate["origin"]): boolean {
    const { config, ...rest } = this.#versioned<ListenerConfig>(resource);
    return this.#listeners.update("dynamic", {
      ...rest,
      config: resolveListenerSources(config, this.#sourceOf(origin)),
    });
  }

  #extension(resource: AcceptedResource, origin: ResourceUpdate["origin"]): Versioned<ExtensionConfig> {
    const { config, ...rest } = this.#versioned<ExtensionConfig>(resource);
    return { ...rest, config: resolveExtensionSources(config, this.#sourceOf(origin)) };
  }

  #noteShadow(kind: "listener" | "cluster", name: string, taken: boolean): void {
    if (taken) this.#shadowed.delete(`${kind}/${name}`);
    else this.#shadowed.add(`${kind}/${name}`);
  }

  /** The client decoded it by its kind's type, so that is what it holds. */
  #versioned<
    Config extends
      | ClusterConfig
      | EndpointsConfig
      | ExtensionConfig
      | ListenerConfig
      | RouteConfiguration
      | RuntimeLayerConfig
      | SecretConfig
      | VirtualHost,
  >(resource: AcceptedResource): Versioned<Config> {
    const acceptedMs = this.#options.clock.wallNow();
    const { config, version, bytes } = resource;
    return { config: config as Config, version, acceptedMs, ...(bytes !== undefined && { bytes }) };
  }
}

function equalMaps<V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}
