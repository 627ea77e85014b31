import type { Clock, Timer } from "@heddle/base";
import {
  type ClusterConfig,
  type EdsDiscovery,
  type EndpointsConfig,
  INITIAL_FETCH_TIMEOUT_MS,
  noEndpoints,
  type SecretReference,
} from "@heddle/traffic";
import type { AssembledResource, Versioned } from "./assembled-resource.ts";
import type { ConfigDraft } from "./config-draft.ts";
import { type SecretAssembly, secretsOfCluster } from "./secret-assembly.ts";
import { gatherWants, type Wanted, type Wants, wantedKey } from "./wants.ts";

/**
 * Clusters and their endpoints. A cluster serves (it and its endpoints are in the draft) once the secrets of its TLS contexts
 * (statement 62 of the xDS protocol) and its endpoints are known:
 *
 * - STATIC at once;
 * - STRICT_DNS and LOGICAL_DNS after the first resolution;
 * - EDS after the first assignment under its service name, from the source that it names.
 *
 * An updated cluster warms beside the old version, which serves on. If it still asks for the same service name, it waits
 * until that assignment has come again on the aggregated stream after the update (statement 56 of the xDS protocol): endpoints and cluster may
 * have changed together, say to another port with another protocol, and the old endpoints do not fit the new cluster.
 * After the `initial_fetch_timeout` of that source it serves with what there is, which may be nothing (statement 58).
 *
 * Removing a cluster, or updating it again, ends its warming (statement 61).
 */
export class ClusterAssembly {
  readonly #draft: ConfigDraft;
  readonly #secrets: SecretAssembly;
  readonly #clock: Clock;
  readonly #onTimeout: () => void;
  readonly #clusters = new Map<string, ClusterState>();
  /** What EDS last said, by `wantedKey`; only of names that a cluster asks for (statement 66). */
  readonly #assignments = new Map<string, Versioned<EndpointsConfig>>();
  /** What active and warming versions ask for, by `wantedKey`, with the names of the clusters that do. */
  readonly #users = new Map<string, { readonly wanted: Wanted; readonly clusters: Set<string> }>();
  /** Nobody asks for these, by `wantedKey`, at this point of the step. */
  readonly #unused = new Set<string>();
  /** Clusters that are gone and may still be in the draft. */
  readonly #removed = new Set<string>();
  /** Clusters that have no active version yet. */
  #unserved = 0;
  /** What the getters last answered, kept until it changes: a step that brings endpoints must not walk all clusters. */
  #wants: Wants | undefined;
  #dnsClusters = new Map<string, ClusterConfig>();
  /** Somebody has that map, so that the next change makes another. */
  #dnsClustersTold = false;

  /** `onTimeout` is called after a timer has changed the draft. */
  constructor(draft: ConfigDraft, secrets: SecretAssembly, clock: Clock, onTimeout: () => void) {
    this.#draft = draft;
    this.#secrets = secrets;
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  /** A cluster that came or changed. False: the name belongs to a static cluster, which no update replaces (as in Envoy). */
  update(source: "static" | "dynamic", next: Versioned<ClusterConfig>): boolean {
    const { name } = next.config;
    const state = this.#clusters.get(name) ?? newState(source);
    if (state.source === "static" && source === "dynamic") return false;
    if (!this.#clusters.has(name)) {
      this.#clusters.set(name, state);
      this.#unserved += 1;
    }
    const previous = serviceKey((state.warming ?? state.active)?.config);
    state.timer?.cancel();
    state.warming = next;
    state.resolved = undefined;
    state.gaveUp = false;
    state.needsRepeat = isRepeated(next.config) && previous === serviceKey(next.config);
    this.#noteUsers(name, state);
    const patienceMs = fetchTimeoutMs(next.config);
    if (!this.#activateIfReady(name, state) && patienceMs > 0 && this.#awaitsEndpoints(next.config, state))
      state.timer = this.#clock.after(patienceMs, () => this.#giveUpWaiting(name, state), true);
    return true;
  }

  /** Ends a dynamic cluster. Unknown names and static clusters are left alone (statement 48). */
  remove(name: string): void {
    const state = this.#clusters.get(name);
    if (state === undefined || state.source === "static") return;
    state.timer?.cancel();
    if (state.active === undefined) this.#unserved -= 1;
    this.#clusters.delete(name);
    state.active = undefined;
    state.warming = undefined;
    this.#noteUsers(name, state);
    this.#removed.add(name);
  }

  /**
   * Takes removed clusters out of what serves. To be called when nothing that serves waits to be replaced: until then a
   * route configuration that serves on may still need them.
   */
  dropRemoved(): void {
    for (const name of this.#removed) {
      if (this.#clusters.get(name)?.active !== undefined) continue; // it is back
      this.#draft.drop("cluster", name);
      this.#draft.drop("endpoints", name);
    }
    this.#removed.clear();
  }

  /**
   * Forgets assignments that nobody asks for. To be called at the end of a step: what one cluster lets go another may take up
   * in the same step, and since the subscription is the same before and after it nobody would send it again.
   */
  forgetUnused(): void {
    for (const key of this.#unused) {
      if (this.#users.get(key)?.clusters.size !== 0) continue; // somebody has taken it up
      this.#users.delete(key);
      this.#wants = undefined;
      this.#assignments.delete(key);
    }
    this.#unused.clear();
  }

  /** Whether some version of the cluster serves. */
  serves(name: string): boolean {
    return this.#clusters.get(name)?.active !== undefined;
  }

  /** Whether the cluster has come and does not serve yet in any version. */
  isWarming(name: string): boolean {
    const state = this.#clusters.get(name);
    return state !== undefined && state.active === undefined;
  }

  /** An assignment came, or came again unchanged, under that `wantedKey`. What nobody asks for is ignored. */
  assignment(service: string, assignment: Versioned<EndpointsConfig> | "unchanged"): void {
    const users = this.#users.get(service);
    if (users === undefined) return;
    if (assignment !== "unchanged") this.#assignments.set(service, assignment);
    for (const name of users.clusters) {
      const state = this.#clusters.get(name)!; // users holds only clusters that are there
      if (serviceKey(state.warming?.config) === service) {
        state.needsRepeat = false;
        this.#activateIfReady(name, state);
      }
      if (serviceKey(state.active?.config) === service) this.#putEndpoints(name, state);
    }
  }

  /** The server says that there is no such assignment. Warming clusters serve without endpoints; others keep theirs, as in Envoy. */
  absent(service: string): void {
    for (const name of this.#users.get(service)?.clusters ?? []) {
      const state = this.#clusters.get(name)!; // as above
      if (serviceKey(state.warming?.config) !== service) continue;
      state.gaveUp = true;
      this.#activateIfReady(name, state);
    }
  }

  /** A secret has come that these clusters ask for, or its time is over. */
  secretCame(names: readonly string[]): void {
    for (const name of names) {
      const state = this.#clusters.get(name);
      if (state !== undefined) this.#activateIfReady(name, state);
    }
  }

  /** DNS answered for exactly that configuration of a cluster; an answer for an older one is ignored. */
  resolved(config: ClusterConfig, endpoints: EndpointsConfig): void {
    const state = this.#clusters.get(config.name);
    if (state === undefined || (state.warming ?? state.active)?.config !== config) return;
    state.resolved = endpoints;
    if (state.warming === undefined) this.#putEndpoints(config.name, state);
    else this.#activateIfReady(config.name, state);
  }

  /** What to ask EDS for, and where. The same object until it changes. */
  get wants(): Wants {
    this.#wants ??= gatherWants(Array.from(this.#users.values(), ({ wanted }) => wanted));
    return this.#wants;
  }

  /** Clusters to resolve by DNS, in the version that is to serve next. The same object until they change. */
  get dnsClusters(): ReadonlyMap<string, ClusterConfig> {
    this.#dnsClustersTold = true;
    return this.#dnsClusters;
  }

  /** Whether every known cluster serves some version. */
  get settled(): boolean {
    return this.#unserved === 0;
  }

  /** Cancels all timers. */
  close(): void {
    for (const state of this.#clusters.values()) state.timer?.cancel();
  }

  *resources(): Generator<AssembledResource<ClusterConfig | EndpointsConfig>> {
    for (const [name, { source, active, warming }] of this.#clusters) {
      const waitingFor = warming === undefined ? [] : this.#waitingFor(warming.config, this.#clusters.get(name)!);
      yield { kind: "cluster", name, source, active, warming, waitingFor };
    }
    for (const [key, { wanted }] of this.#users) {
      const active = this.#assignments.get(key);
      yield {
        kind: "endpoints",
        name: wanted.name,
        ...(wanted.origin && { origin: wanted.origin }),
        source: "dynamic",
        active,
        warming: undefined,
        waitingFor: active === undefined ? [`endpoints/${wanted.name}`] : [],
      };
    }
  }

  #giveUpWaiting(name: string, state: ClusterState): void {
    state.timer = undefined;
    state.gaveUp = true;
    this.#activateIfReady(name, state);
    this.#onTimeout();
  }

  #activateIfReady(name: string, state: ClusterState): boolean {
    const config = state.warming?.config;
    if (config === undefined) return true;
    if (this.#awaitsEndpoints(config, state) || this.#missingSecrets(config).length > 0) return false;
    this.#activate(name, state);
    return true;
  }

  #awaitsEndpoints(config: ClusterConfig, state: ClusterState): boolean {
    const { type } = config.discovery;
    if (type === "STATIC" || type === "ORIGINAL_DST" || state.gaveUp) return false;
    return state.needsRepeat || this.#endpointsOf(config, state) === undefined;
  }

  #missingSecrets(config: ClusterConfig): readonly SecretReference[] {
    return this.#secrets.missing(secretsOfCluster(config));
  }

  #waitingFor(config: ClusterConfig, state: ClusterState): string[] {
    const secrets = this.#missingSecrets(config).map(({ name }) => `secret/${name}`);
    return this.#awaitsEndpoints(config, state) ? [waits(config), ...secrets] : secrets;
  }

  #activate(name: string, state: ClusterState): void {
    if (state.warming === undefined) return;
    state.timer?.cancel();
    state.timer = undefined;
    if (state.active === undefined) this.#unserved -= 1;
    state.active = state.warming;
    state.warming = undefined;
    this.#noteUsers(name, state);
    this.#draft.put("cluster", name, state.active.config);
    this.#putEndpoints(name, state);
  }

  #putEndpoints(name: string, state: ClusterState): void {
    const config = state.active!.config; // callers have an active version
    state.noEndpoints ??= noEndpoints(name);
    this.#draft.put("endpoints", name, this.#endpointsOf(config, state) ?? state.noEndpoints);
  }

  #endpointsOf({ discovery }: ClusterConfig, state: ClusterState): EndpointsConfig | undefined {
    switch (discovery.type) {
      case "STATIC":
        return discovery.loadAssignment;
      case "ORIGINAL_DST":
        return undefined; // they are found by the traffic
      case "EDS":
        return this.#assignments.get(wantedKey(serviceOf(discovery)))?.config;
      case "STRICT_DNS":
      case "LOGICAL_DNS":
        return state.resolved;
    }
  }

  #noteDns(name: string, config: ClusterConfig | undefined): void {
    const isDns = config?.discovery.type === "STRICT_DNS" || config?.discovery.type === "LOGICAL_DNS";
    if (this.#dnsClusters.get(name) === (isDns ? config : undefined)) return;
    if (this.#dnsClustersTold) this.#dnsClusters = new Map(this.#dnsClusters);
    this.#dnsClustersTold = false;
    if (isDns) this.#dnsClusters.set(name, config);
    else this.#dnsClusters.delete(name);
  }

  /** Brings `#users` and the secrets in line with what this cluster's versions ask for. */
  #noteUsers(name: string, state: ClusterState): void {
    this.#noteDns(name, (state.warming ?? state.active)?.config);
    const secrets = [...secretsOfCluster(state.active?.config), ...secretsOfCluster(state.warming?.config)];
    this.#secrets.want(`cluster/${name}`, secrets);
    const keys = new Map<string, Wanted>();
    for (const version of [state.active, state.warming]) {
      const discovery = version?.config.discovery;
      if (discovery?.type !== "EDS") continue;
      const service = serviceOf(discovery);
      keys.set(wantedKey(service), service);
    }
    for (const key of state.services) {
      if (keys.has(key)) continue;
      const users = this.#users.get(key);
      users?.clusters.delete(name);
      if (users?.clusters.size === 0) this.#unused.add(key);
    }
    state.services.clear();
    for (const [key, wanted] of keys) {
      state.services.add(key);
      const users = this.#users.get(key);
      if (users !== undefined) users.clusters.add(name);
      else {
        this.#users.set(key, { wanted, clusters: new Set([name]) });
        this.#wants = undefined;
      }
    }
  }
}

interface ClusterState {
  readonly source: "static" | "dynamic";
  active: Versioned<ClusterConfig> | undefined;
  warming: Versioned<ClusterConfig> | undefined;
  /** The known assignment was for the version before; the warming one waits for it to be sent again. */
  needsRepeat: boolean;
  /** There are no endpoints for the warming version, or their time is over. */
  gaveUp: boolean;
  /** What DNS last said, for the warming version if there is one, else for the active one. */
  resolved: EndpointsConfig | undefined;
  timer: Timer | undefined;
  /** Keys under which this cluster stands in `#users`. */
  readonly services: Set<string>;
  noEndpoints: EndpointsConfig | undefined;
}

function newState(source: "static" | "dynamic"): ClusterState {
  return {
    source,
    active: undefined,
    warming: undefined,
    needsRepeat: false,
    gaveUp: false,
    resolved: undefined,
    timer: undefined,
    services: new Set(),
    noEndpoints: undefined,
  };
}

/** What EDS is asked for, as `wantedKey`. */
function serviceKey(config: ClusterConfig | undefined): string | undefined {
  return config?.discovery.type === "EDS" ? wantedKey(serviceOf(config.discovery)) : undefined;
}

/** Whether its assignment comes again after each update: servers repeat it on the stream that brings both (statement 81). */
function isRepeated({ discovery }: ClusterConfig): boolean {
  return discovery.type === "EDS" && (discovery.source?.from.type ?? "ads") === "ads";
}

function serviceOf({ serviceName: name, source }: EdsDiscovery): Wanted {
  return source === undefined || source.from.type === "self" ? { name } : { name, origin: source.from };
}

/** How long the cluster waits for its endpoints; 0 is for ever. */
function fetchTimeoutMs({ discovery }: ClusterConfig): number {
  const source = discovery.type === "EDS" ? discovery.source : undefined;
  return source?.initialFetchTimeoutMs ?? INITIAL_FETCH_TIMEOUT_MS;
}

function waits({ name, discovery }: ClusterConfig): string {
  return discovery.type === "EDS" ? `endpoints/${discovery.serviceName}` : `dns/${name}`;
}
