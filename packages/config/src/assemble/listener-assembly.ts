import type { Clock, Timer } from "@heddle/base";
import {
  INITIAL_FETCH_TIMEOUT_MS,
  type ListenerConfig,
  type RdsRoutes,
  type RouteConfiguration,
  type SecretReference,
} from "@heddle/traffic";
import { canonicalJson } from "../content-hash.ts";
import type { AssembledResource, Versioned } from "./assembled-resource.ts";
import { clustersOfRoutes } from "./clusters-of-routes.ts";
import type { ConfigDraft } from "./config-draft.ts";
import { discoveredFilters, type ExtensionAssembly } from "./extension-assembly.ts";
import { asksForExtensions, resolveExtensions } from "./resolve-extensions.ts";
import { type SecretAssembly, secretsOfListener } from "./secret-assembly.ts";
import type { VirtualHostAssembly } from "./virtual-host-assembly.ts";
import { gatherWants, type Wanted, type Wants, wantedKey } from "./wants.ts";

/**
 * Listeners and the route configurations that they name. A listener serves once every route configuration that it asks
 * RDS for is known, every secret of its TLS contexts, and every filter's configuration that it asks ECDS for; an updated one warms beside the old version, which serves on
 * (statements 57 and 62 of the xDS protocol). What is known already, from the old version or another listener, need not come
 * again.
 *
 * A route configuration that does not exist, or has not come after the `initial_fetch_timeout` of its source, is not waited
 * for: the listener serves, without it such requests match no route, and it is used when it comes (statements 58 and 65).
 *
 * Route configurations go by `wantedKey`, in the lanes too: the same name from two sources is two of them.
 *
 * A route configuration that changes to name a cluster that is warming waits until that cluster serves, and the version
 * before serves on: control planes send endpoints only when they are asked for them, and may send routes before.
 *
 * Nothing serves before `open` is called: a listener that accepts before the clusters are known would only refuse.
 */
export class ListenerAssembly {
  readonly #draft: ConfigDraft;
  readonly #secrets: SecretAssembly;
  readonly #extensions: ExtensionAssembly;
  readonly #hosts: VirtualHostAssembly;
  readonly #clock: Clock;
  readonly #onTimeout: () => void;
  readonly #listeners = new Map<string, ListenerState>();
  readonly #isWarmingCluster: (name: string) => boolean;
  /** What RDS last said; only of what a listener asks for (statement 66). */
  readonly #routes = new Map<string, Versioned<RouteConfiguration>>();
  /** What of it serves. */
  readonly #servedRoutes = new Map<string, Versioned<RouteConfiguration>>();
  /** Route configurations whose newest version waits for clusters, with one of those; the version before serves on. */
  readonly #heldRoutes = new Map<string, string>();
  readonly #absentRoutes = new Set<string>();
  /** The route configurations that active and warming versions ask for, with the names of the listeners that do. */
  readonly #users = new Map<string, Users>();
  /** Nobody asks for these, by `wantedKey`, at this point of the step. */
  readonly #unused = new Set<string>();
  /** Kept until it changes. */
  #wants: Wants | undefined;
  #unserved = 0;
  #open = false;

  /**
   * `onTimeout` is called after a timer has changed the draft.
   * `isWarmingCluster` tells whether a cluster has come that does not serve yet in any version.
   */
  constructor(
    draft: ConfigDraft,
    secrets: SecretAssembly,
    extensions: ExtensionAssembly,
    hosts: VirtualHostAssembly,
    clock: Clock,
    onTimeout: () => void,
    isWarmingCluster: (name: string) => boolean,
  ) {
    this.#draft = draft;
    this.#secrets = secrets;
    this.#extensions = extensions;
    this.#hosts = hosts;
    this.#isWarmingCluster = isWarmingCluster;
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  /** From now on listeners that are ready serve. */
  open(): void {
    this.#open = true;
    for (const [name, state] of this.#listeners) this.#activateIfReady(name, state);
  }

  /** A listener that came or changed. False: the name belongs to a static listener, which no update replaces (as in Envoy). */
  update(source: "static" | "dynamic", next: Versioned<ListenerConfig>): boolean {
    const { name } = next.config;
    const state = this.#listeners.get(name) ?? newState(source);
    if (state.source === "static" && source === "dynamic") return false;
    if (!this.#listeners.has(name)) {
      this.#listeners.set(name, state);
      this.#unserved += 1;
    }
    state.written = asksForExtensions(next.config) ? next : undefined;
    this.#warm(name, state, next);
    return true;
  }

  /** Begins to wait for what that version names, unless it is all there. */
  #warm(name: string, state: ListenerState, written: Versioned<ListenerConfig>): void {
    state.timer?.cancel();
    state.timer = undefined;
    const warming = this.#resolved(state, written);
    state.warming = warming;
    this.#noteUsers(name, state);
    if (this.#activateIfReady(name, state)) return;
    const patienceMs = Math.max(0, ...this.#missing(warming.config).map((routes) => this.#patienceMs(routes)));
    if (patienceMs > 0) state.timer = this.#clock.after(patienceMs, () => this.#giveUpWaiting(name, state), true);
  }

  /**
   * How long to wait still for routes that are missing; 0 is for ever. As in Envoy that is counted from when they were first asked for:
   * versions that follow each other, of the listener or of what ECDS brings for it, do not begin anew.
   */
  #patienceMs(routes: RdsRoutes): number {
    const timeoutMs = fetchTimeoutMs(routes);
    const askedMs = this.#users.get(routesKey(routes))?.askedMs ?? 0; // it is there: the version that names them is noted
    return timeoutMs === 0 ? 0 : Math.max(1, askedMs + timeoutMs - this.#clock.now());
  }

  #resolved(state: ListenerState, written: Versioned<ListenerConfig>): Versioned<ListenerConfig> {
    if (state.written === undefined) return written;
    return { ...written, config: resolveExtensions(written.config, (...of) => this.#extensions.find(...of)) };
  }

  /** Ends a dynamic listener. Unknown names and static listeners are left alone (statement 48). */
  remove(name: string): void {
    const state = this.#listeners.get(name);
    if (state === undefined || state.source === "static") return;
    state.timer?.cancel();
    if (state.active === undefined) this.#unserved -= 1;
    this.#listeners.delete(name);
    const before = state.active?.config;
    state.active = undefined;
    state.warming = undefined;
    this.#draft.drop("listener", name);
    this.#noteUsers(name, state);
    this.#dropUnserved(before);
  }

  /** A route configuration came, under that `wantedKey`. What nobody asks for is ignored. */
  route(next: Versioned<RouteConfiguration>, name: string = next.config.name): void {
    const users = this.#users.get(name);
    if (users === undefined) return;
    this.#routes.set(name, next);
    this.#absentRoutes.delete(name);
    this.#tryAll(users.listeners);
    this.#putRoute(name);
  }

  /** There is no such route configuration. Nobody waits for it any more; one that is known serves on, as in Envoy. */
  absent(name: string): void {
    const users = this.#users.get(name);
    if (users === undefined) return;
    this.#absentRoutes.add(name);
    this.#tryAll(users.listeners);
  }

  /** A secret or a filter's configuration has come that these listeners ask for, or its time is over. */
  tryAgain(names: readonly string[]): void {
    for (const name of names) {
      const state = this.#listeners.get(name);
      if (state === undefined) continue;
      if (state.written !== undefined && this.#isOutdated(state, state.written)) this.#warm(name, state, state.written);
      else this.#activateIfReady(name, state);
    }
  }

  /** Whether a filter's configuration has come, or gone, since its newest version was made. */
  #isOutdated(state: ListenerState, written: Versioned<ListenerConfig>): boolean {
    const newest = (state.warming ?? state.active)?.config;
    return newest === undefined || canonicalJson(newest) !== canonicalJson(this.#resolved(state, written).config);
  }

  /** Other virtual hosts of these route configurations have come, or gone. */
  hostsChanged(names: readonly string[]): void {
    for (const name of names) this.#putRoute(name);
  }

  /** Whether its newest version waits for a cluster. */
  isHeld(name: string): boolean {
    return this.#heldRoutes.has(name);
  }

  /** Puts in force what waited for clusters that serve by now. */
  releaseRoutes(): void {
    for (const [name, cluster] of Array.from(this.#heldRoutes))
      if (!this.#isWarmingCluster(cluster)) this.#putRoute(name);
  }

  /** Forgets route configurations that nobody asks for, at the end of a step: another listener may have taken them up in it. */
  forgetUnused(): void {
    for (const route of this.#unused) {
      if (this.#users.get(route)?.listeners.size !== 0) continue; // somebody has taken it up
      this.#users.delete(route);
      this.#wants = undefined;
      this.#routes.delete(route);
      this.#servedRoutes.delete(route);
      this.#heldRoutes.delete(route);
      this.#absentRoutes.delete(route);
      this.#hosts.forget(route);
      this.#draft.drop("route-configuration", route);
    }
    this.#unused.clear();
  }

  /** Whether a route configuration waits for a cluster. As long as one does, what the version before needs must stay. */
  get holdsRoutes(): boolean {
    return this.#heldRoutes.size > 0;
  }

  /** What to ask RDS for, and where. The same object until it changes. */
  get wants(): Wants {
    this.#wants ??= gatherWants(Array.from(this.#users.values(), ({ wanted }) => wanted));
    return this.#wants;
  }

  /** Whether every known listener serves some version. */
  get settled(): boolean {
    return this.#unserved === 0;
  }

  /** Cancels all timers. */
  close(): void {
    for (const state of this.#listeners.values()) state.timer?.cancel();
  }

  *resources(): Generator<AssembledResource<ListenerConfig | RouteConfiguration>> {
    for (const [name, { source, active, warming }] of this.#listeners) {
      const waitingFor = warming === undefined ? [] : this.#waitingFor(warming.config);
      if (warming !== undefined && !this.#open) waitingFor.push("cluster/*");
      yield { kind: "listener", name, source, active, warming, waitingFor };
    }
    for (const [key, { wanted }] of this.#users) {
      const newest = this.#routes.get(key);
      const held = this.#heldRoutes.has(key) && newest !== undefined;
      const active = held ? this.#servedRoutes.get(key) : newest;
      const waitingFor = held
        ? this.#warmingClusters(newest.config).map((cluster) => `cluster/${cluster}`)
        : active === undefined
          ? [`route-configuration/${wanted.name}`]
          : [];
      yield {
        kind: "route-configuration",
        name: wanted.name,
        ...(wanted.origin && { origin: wanted.origin }),
        source: "dynamic",
        active,
        warming: held ? newest : undefined,
        waitingFor,
      };
    }
  }

  #giveUpWaiting(name: string, state: ListenerState): void {
    state.timer = undefined;
    const missing = state.warming === undefined ? [] : this.#missing(state.warming.config);
    for (const routes of missing) if (fetchTimeoutMs(routes) > 0) this.absent(routesKey(routes));
    this.#activateIfReady(name, state);
    this.#onTimeout();
  }

  #tryAll(names: ReadonlySet<string>): void {
    for (const name of names) this.#activateIfReady(name, this.#listeners.get(name)!); // users are listeners
  }

  #missing(config: ListenerConfig): RdsRoutes[] {
    return routesOf(config).filter((routes) => {
      const key = routesKey(routes);
      return !this.#routes.has(key) && !this.#absentRoutes.has(key);
    });
  }

  #missingSecrets(config: ListenerConfig): readonly SecretReference[] {
    return this.#secrets.missing(secretsOfListener(config));
  }

  #waitingFor(config: ListenerConfig): string[] {
    return [
      ...this.#missing(config).map(({ routeConfigName }) => `route-configuration/${routeConfigName}`),
      ...this.#missingSecrets(config).map(({ name }) => `secret/${name}`),
      ...this.#extensions.missing(discoveredFilters(config)).map((name) => `extension-config/${name}`),
    ];
  }

  #activateIfReady(name: string, state: ListenerState): boolean {
    if (state.warming === undefined) return true;
    const { config } = state.warming;
    if (!this.#open || this.#waitingFor(config).length > 0) return false;
    state.timer?.cancel();
    state.timer = undefined;
    if (state.active === undefined) this.#unserved -= 1;
    const before = state.active?.config;
    state.active = state.warming;
    state.warming = undefined;
    this.#draft.put("listener", name, state.active.config);
    this.#noteUsers(name, state);
    this.#dropUnserved(before);
    for (const route of state.routes) this.#putRoute(route);
    return true;
  }

  /** Of a listener that served: what only warming listeners ask for serves when one of them does. */
  #dropUnserved(config: ListenerConfig | undefined): void {
    for (const name of config === undefined ? [] : routeKeysOf(config)) {
      if (this.#isServed(name)) continue;
      this.#servedRoutes.delete(name);
      this.#heldRoutes.delete(name);
      this.#draft.drop("route-configuration", name);
    }
  }

  /** Whether a listener that serves uses that route configuration. */
  #isServed(name: string): boolean {
    for (const user of this.#users.get(name)?.listeners ?? []) {
      const active = this.#listeners.get(user)?.active;
      if (active !== undefined && routeKeysOf(active.config).includes(name)) return true;
    }
    return false;
  }

  /** Puts a route configuration that an active listener uses into the draft. */
  #putRoute(name: string): void {
    const route = this.#routes.get(name);
    if (route === undefined || !this.#isServed(name)) return;
    const config = this.#hosts.merged(name, route.config, this.#users.get(name)?.wanted.origin);
    const [warming] = this.#servedRoutes.has(name) ? this.#warmingClusters(config) : [];
    if (warming !== undefined) {
      this.#heldRoutes.set(name, warming);
      return;
    }
    this.#heldRoutes.delete(name);
    this.#servedRoutes.set(name, route);
    this.#draft.put("route-configuration", name, config);
  }

  #warmingClusters(config: RouteConfiguration): string[] {
    return [...clustersOfRoutes(config)].filter((name) => this.#isWarmingCluster(name));
  }

  /** Brings `#users` and the secrets in line with what this listener's versions ask for. */
  #noteUsers(name: string, state: ListenerState): void {
    this.#secrets.want(`listener/${name}`, [
      ...secretsOfListener(state.active?.config),
      ...secretsOfListener(state.warming?.config),
    ]);
    this.#extensions.want(name, [
      ...discoveredFilters(state.active?.config),
      ...discoveredFilters(state.warming?.config),
    ]);
    const keys = new Map<string, Wanted>();
    for (const version of [state.active, state.warming]) {
      for (const routes of routesOf(version?.config)) keys.set(routesKey(routes), wantedOf(routes));
    }
    for (const route of state.routes) {
      if (keys.has(route)) continue;
      const users = this.#users.get(route);
      users?.listeners.delete(name);
      if (users?.listeners.size === 0) this.#unused.add(route);
    }
    state.routes = new Set(keys.keys());
    for (const [key, wanted] of keys) {
      const users = this.#users.get(key);
      if (users !== undefined) users.listeners.add(name);
      else {
        this.#users.set(key, { wanted, listeners: new Set([name]), askedMs: this.#clock.now() });
        this.#wants = undefined;
      }
    }
  }
}

/** Of a route configuration. */
interface Users {
  readonly wanted: Wanted;
  readonly listeners: Set<string>;
  /** Since when it is asked for. */
  readonly askedMs: number;
}

interface ListenerState {
  readonly source: "static" | "dynamic";
  active: Versioned<ListenerConfig> | undefined;
  warming: Versioned<ListenerConfig> | undefined;
  /** The newest version as it came, where ECDS has a say in it; the others have what ECDS said in its place. */
  written: Versioned<ListenerConfig> | undefined;
  timer: Timer | undefined;
  /** Route configurations under which this listener stands in `#users`. */
  routes: ReadonlySet<string>;
}

function newState(source: "static" | "dynamic"): ListenerState {
  return { source, active: undefined, warming: undefined, written: undefined, timer: undefined, routes: new Set() };
}

/** The route configurations that a listener asks RDS for. */
function routesOf(config: ListenerConfig | undefined): readonly RdsRoutes[] {
  if (config === undefined) return [];
  const found: RdsRoutes[] = [];
  const chains = config.defaultFilterChain === undefined ? [] : [config.defaultFilterChain];
  for (const chain of [...config.filterChains, ...chains]) {
    for (const filter of chain.filters) {
      if (filter.type !== "http-connection-manager" || filter.config.routes.type !== "rds") continue;
      found.push(filter.config.routes);
    }
  }
  return found;
}

function routeKeysOf(config: ListenerConfig): readonly string[] {
  return routesOf(config).map(routesKey);
}

function routesKey(routes: RdsRoutes): string {
  return wantedKey(wantedOf(routes));
}

function wantedOf({ routeConfigName: name, source }: RdsRoutes): Wanted {
  return source === undefined || source.from.type === "self" ? { name } : { name, origin: source.from };
}

/** How long a listener waits for its routes; 0 is for ever. */
function fetchTimeoutMs({ source }: RdsRoutes): number {
  return source?.initialFetchTimeoutMs ?? INITIAL_FETCH_TIMEOUT_MS;
}
