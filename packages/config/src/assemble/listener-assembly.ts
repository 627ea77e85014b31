import type { Clock, Timer } from "@heddle/base";
import type { ListenerConfig, RouteConfiguration } from "@heddle/traffic";
import type { AssembledResource, Versioned } from "./assembled-resource.ts";
import { clustersOfRoutes } from "./clusters-of-routes.ts";
import type { ConfigDraft } from "./config-draft.ts";

/**
 * Listeners and the route configurations that they name. A listener serves once every route configuration that it asks
 * RDS for is known; an updated one warms beside the old version, which serves on (statement 57 of the xDS protocol). A
 * route configuration that is known already, from the old version or another listener, need not come again.
 *
 * A route configuration that does not exist, or has not come after `initialFetchTimeoutMs`, is not waited for: the
 * listener serves, without it such requests match no route, and it is used when it comes (statements 58 and 65).
 *
 * A route configuration that changes to name a cluster that is warming waits until that cluster serves, and the version
 * before serves on: control planes send endpoints only when they are asked for them, and may send routes before.
 *
 * Nothing serves before `open` is called: a listener that accepts before the clusters are known would only refuse.
 */
export class ListenerAssembly {
  readonly #draft: ConfigDraft;
  readonly #clock: Clock;
  readonly #initialFetchTimeoutMs: number;
  readonly #onTimeout: () => void;
  readonly #listeners = new Map<string, ListenerState>();
  readonly #isWarmingCluster: (name: string) => boolean;
  /** What RDS last said; only of names that a listener asks for (statement 66). */
  readonly #routes = new Map<string, Versioned<RouteConfiguration>>();
  /** What of it serves. */
  readonly #servedRoutes = new Map<string, Versioned<RouteConfiguration>>();
  /** Route configurations whose newest version waits for a cluster; the version before serves on. */
  readonly #heldRoutes = new Set<string>();
  readonly #absentRoutes = new Set<string>();
  /** Listener names by the route configuration that their active or warming version asks for. */
  readonly #users = new Map<string, Set<string>>();
  #unserved = 0;
  #open = false;

  /**
   * `onTimeout` is called after a timer has changed the draft. An `initialFetchTimeoutMs` of 0 waits for ever.
   * `isWarmingCluster` tells whether a cluster has come that does not serve yet in any version.
   */
  constructor(
    draft: ConfigDraft,
    clock: Clock,
    initialFetchTimeoutMs: number,
    onTimeout: () => void,
    isWarmingCluster: (name: string) => boolean,
  ) {
    this.#draft = draft;
    this.#isWarmingCluster = isWarmingCluster;
    this.#clock = clock;
    this.#initialFetchTimeoutMs = initialFetchTimeoutMs;
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
    state.timer?.cancel();
    state.warming = next;
    state.gaveUp = false;
    this.#noteUsers(name, state);
    if (!this.#activateIfReady(name, state) && this.#initialFetchTimeoutMs > 0)
      state.timer = this.#clock.after(this.#initialFetchTimeoutMs, () => this.#giveUpWaiting(name, state), true);
    return true;
  }

  /** Ends a dynamic listener. Unknown names and static listeners are left alone (statement 48). */
  remove(name: string): void {
    const state = this.#listeners.get(name);
    if (state === undefined || state.source === "static") return;
    state.timer?.cancel();
    if (state.active === undefined) this.#unserved -= 1;
    this.#listeners.delete(name);
    state.active = undefined;
    state.warming = undefined;
    this.#draft.drop("listener", name);
    this.#noteUsers(name, state);
  }

  /** A route configuration came. Names nobody asks for are ignored. */
  route(next: Versioned<RouteConfiguration>, name: string = next.config.name): void {
    const users = this.#users.get(name);
    if (users === undefined) return;
    this.#routes.set(name, next);
    this.#absentRoutes.delete(name);
    this.#tryAll(users);
    this.#putRoute(name);
  }

  /** There is no such route configuration. Nobody waits for it any more; one that is known serves on, as in Envoy. */
  absent(name: string): void {
    const users = this.#users.get(name);
    if (users === undefined) return;
    this.#absentRoutes.add(name);
    this.#tryAll(users);
  }

  /** Puts in force what waited for clusters that serve by now. */
  releaseRoutes(): void {
    for (const name of Array.from(this.#heldRoutes)) this.#putRoute(name);
  }

  /** Whether a route configuration waits for a cluster. As long as one does, what the version before needs must stay. */
  get holdsRoutes(): boolean {
    return this.#heldRoutes.size > 0;
  }

  /** Names to ask RDS for. */
  get routeNames(): ReadonlySet<string> {
    return new Set(this.#users.keys());
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
      const missing = warming === undefined ? [] : this.#missing(warming.config);
      const waitingFor = missing.map((route) => `route-configuration/${route}`);
      if (warming !== undefined && !this.#open) waitingFor.push("cluster/*");
      yield { kind: "listener", name, source, active, warming, waitingFor };
    }
    for (const name of this.#users.keys()) {
      const newest = this.#routes.get(name);
      const held = this.#heldRoutes.has(name) && newest !== undefined;
      const active = held ? this.#servedRoutes.get(name) : newest;
      const waitingFor = held
        ? this.#warmingClusters(newest.config).map((cluster) => `cluster/${cluster}`)
        : active === undefined
          ? [`route-configuration/${name}`]
          : [];
      yield {
        kind: "route-configuration",
        name,
        source: "dynamic",
        active,
        warming: held ? newest : undefined,
        waitingFor,
      };
    }
  }

  #giveUpWaiting(name: string, state: ListenerState): void {
    state.timer = undefined;
    state.gaveUp = true;
    this.#activateIfReady(name, state);
    this.#onTimeout();
  }

  #tryAll(names: ReadonlySet<string>): void {
    for (const name of names) this.#activateIfReady(name, this.#listeners.get(name)!); // users are listeners
  }

  #missing(config: ListenerConfig): string[] {
    return routeNamesOf(config).filter((route) => !this.#routes.has(route) && !this.#absentRoutes.has(route));
  }

  #activateIfReady(name: string, state: ListenerState): boolean {
    if (state.warming === undefined) return true;
    if (!this.#open || (!state.gaveUp && this.#missing(state.warming.config).length > 0)) return false;
    state.timer?.cancel();
    state.timer = undefined;
    if (state.active === undefined) this.#unserved -= 1;
    state.active = state.warming;
    state.warming = undefined;
    this.#draft.put("listener", name, state.active.config);
    this.#noteUsers(name, state);
    for (const route of state.routes) this.#putRoute(route);
    return true;
  }

  /** Puts a route configuration that an active listener uses into the draft. */
  #putRoute(name: string): void {
    const route = this.#routes.get(name);
    if (route === undefined) return;
    for (const user of this.#users.get(name) ?? []) {
      const active = this.#listeners.get(user)?.active;
      if (active === undefined || !routeNamesOf(active.config).includes(name)) continue;
      if (this.#servedRoutes.has(name) && this.#warmingClusters(route.config).length > 0) {
        this.#heldRoutes.add(name);
        return;
      }
      this.#heldRoutes.delete(name);
      this.#servedRoutes.set(name, route);
      this.#draft.put("route-configuration", name, route.config);
      return;
    }
  }

  #warmingClusters(config: RouteConfiguration): string[] {
    return [...clustersOfRoutes(config)].filter((name) => this.#isWarmingCluster(name));
  }

  /** Brings `#users` in line with what this listener's versions ask for, and forgets routes nobody asks for. */
  #noteUsers(name: string, state: ListenerState): void {
    const wanted = new Set([...routeNamesOf(state.active?.config), ...routeNamesOf(state.warming?.config)]);
    for (const route of state.routes) {
      if (wanted.has(route)) continue;
      const users = this.#users.get(route);
      users?.delete(name);
      if (users?.size !== 0) continue;
      this.#users.delete(route);
      this.#routes.delete(route);
      this.#servedRoutes.delete(route);
      this.#heldRoutes.delete(route);
      this.#absentRoutes.delete(route);
      this.#draft.drop("route-configuration", route);
    }
    state.routes = wanted;
    for (const route of wanted) {
      const users = this.#users.get(route);
      if (users === undefined) this.#users.set(route, new Set([name]));
      else users.add(name);
    }
  }
}

interface ListenerState {
  readonly source: "static" | "dynamic";
  active: Versioned<ListenerConfig> | undefined;
  warming: Versioned<ListenerConfig> | undefined;
  /** The time to wait for route configurations is over. */
  gaveUp: boolean;
  timer: Timer | undefined;
  /** Route configurations under which this listener stands in `#users`. */
  routes: ReadonlySet<string>;
}

function newState(source: "static" | "dynamic"): ListenerState {
  return { source, active: undefined, warming: undefined, gaveUp: false, timer: undefined, routes: new Set() };
}

/** The route configurations that a listener asks RDS for. */
export function routeNamesOf(config: ListenerConfig | undefined): readonly string[] {
  if (config === undefined) return [];
  const names: string[] = [];
  const chains = config.defaultFilterChain === undefined ? [] : [config.defaultFilterChain];
  for (const chain of [...config.filterChains, ...chains]) {
    for (const filter of chain.filters) {
      if (filter.type !== "http-connection-manager" || filter.config.routes.type !== "rds") continue;
      names.push(filter.config.routes.routeConfigName);
    }
  }
  return names;
}
