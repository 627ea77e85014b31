import type { Clock, Timer } from "@heddle/base";
import {
  type ExtensionConfig,
  type ExtensionDiscovery,
  extensionKey,
  filterChainsOf,
  INITIAL_FETCH_TIMEOUT_MS,
  type ListenerConfig,
} from "@heddle/traffic";
import type { AssembledResource, Versioned } from "./assembled-resource.ts";
import type { ConfigDraft } from "./config-draft.ts";
import { gatherWants, type Wanted, type Wants } from "./wants.ts";

/** A filter whose configuration comes by ECDS. */
export interface DiscoveredFilter {
  readonly name: string;
  readonly discovery: ExtensionDiscovery;
}

/**
 * The configurations that ECDS brings for the filters of listeners. One that several listeners ask for is asked for once; one
 * that nobody asks for any more is unsubscribed and forgotten.
 *
 * One that has come is in force at once, for requests and connections to come, and touches neither listener nor connection. One that is removed
 * leaves the filter its default, or nothing: then requests get 500, as in Envoy. After the `initial_fetch_timeout` of its source
 * it is not waited for any more.
 */
export class ExtensionAssembly {
  readonly #draft: ConfigDraft;
  readonly #clock: Clock;
  readonly #onTimeout: (listeners: readonly string[]) => void;
  /** By key. */
  readonly #resources = new Map<string, Versioned<ExtensionConfig>>();
  readonly #users = new Map<string, Users>();
  readonly #wantsOfListeners = new Map<string, ReadonlySet<string>>();
  /** Nobody asks for these, by key, at this point of the step. */
  readonly #unused = new Set<string>();
  /** Kept until it changes. */
  #wants: Wants | undefined;

  /** `onTimeout`: these listeners wait for a configuration no more. */
  constructor(draft: ConfigDraft, clock: Clock, onTimeout: (listeners: readonly string[]) => void) {
    this.#draft = draft;
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  /** Replaces what a listener asks for; nothing ends it. */
  want(listener: string, filters: readonly DiscoveredFilter[]): void {
    const before = this.#wantsOfListeners.get(listener);
    if (before === undefined && filters.length === 0) return;
    const wanted = new Map<string, DiscoveredFilter[]>();
    for (const filter of filters) {
      const key = extensionKey(filter.name, filter.discovery);
      wanted.set(key, [...(wanted.get(key) ?? []), filter]);
    }
    for (const [key, same] of wanted) {
      const users = this.#users.get(key);
      if (users !== undefined) users.filters.set(listener, same);
      else this.#begin(key, listener, same);
    }
    for (const key of before ?? []) if (!wanted.has(key)) this.#leave(key, listener);
    if (wanted.size === 0) this.#wantsOfListeners.delete(listener);
    else this.#wantsOfListeners.set(listener, new Set(wanted.keys()));
  }

  /** Why a configuration of that type cannot be that of the filters of that name; undefined where it can. */
  refuses(name: string, type: string): string | undefined {
    for (const { wanted, filters } of this.#users.values()) {
      if (wanted.name !== name) continue;
      const strict = [...filters.values()].flat().find(({ discovery }) => !discovery.types.includes(type));
      if (strict !== undefined) return `found ${type}, allowed are type_urls: ${strict.discovery.types.join(", ")}`;
    }
    return undefined;
  }

  /** It came. Answers which listeners ask for it; what nobody asks for is ignored. */
  update(key: string, next: Versioned<ExtensionConfig>): readonly string[] {
    const users = this.#users.get(key);
    if (users === undefined) return [];
    users.timer?.cancel();
    this.#resources.set(key, next);
    // Those of network and listener filters take their places in the listeners (`resolveExtensions`).
    const { network, listener } = next.config;
    if (network === undefined && listener === undefined) this.#draft.put("extension-config", key, next.config);
    else this.#draft.drop("extension-config", key); // of an HTTP filter before, for whoever asks for one of that name next
    return [...users.filters.keys()];
  }

  /** There is no such configuration, or none any more. Answers which listeners ask for it. */
  remove(key: string): readonly string[] {
    const users = this.#users.get(key);
    if (users === undefined) return [];
    users.timer?.cancel();
    users.answered = true;
    this.#resources.delete(key);
    this.#draft.drop("extension-config", key);
    return [...users.filters.keys()];
  }

  /**
   * What has come for a filter. Not what came for another listener before this filter was there, and is of a type that it does not
   * take: then its default holds, as in Envoy.
   */
  find(name: string, discovery: ExtensionDiscovery): ExtensionConfig | undefined {
    const found = this.#resources.get(extensionKey(name, discovery))?.config;
    return found !== undefined && discovery.types.includes(found.config.type) ? found : undefined;
  }

  /** Names of those that are waited for. */
  missing(filters: readonly DiscoveredFilter[]): readonly string[] {
    return filters
      .filter(({ name, discovery }) => {
        const key = extensionKey(name, discovery);
        const isKnown = this.#resources.has(key) || this.#users.get(key)?.answered === true;
        return !isKnown && discovery.startsWithDefault !== true;
      })
      .map(({ name }) => name);
  }

  /** Forgets what nobody asks for, at the end of a step: another listener may have taken it up in it. */
  forgetUnused(): void {
    for (const key of this.#unused) {
      const users = this.#users.get(key);
      if (users?.filters.size !== 0) continue; // somebody has taken it up
      users.timer?.cancel();
      this.#users.delete(key);
      this.#wants = undefined;
      this.#resources.delete(key);
      this.#draft.drop("extension-config", key);
    }
    this.#unused.clear();
  }

  /** What to ask ECDS for, and where. The same object until it changes. */
  get wants(): Wants {
    this.#wants ??= gatherWants(Array.from(this.#users.values(), ({ wanted }) => wanted));
    return this.#wants;
  }

  /** Cancels all timers. */
  close(): void {
    for (const { timer } of this.#users.values()) timer?.cancel();
  }

  *resources(): Generator<AssembledResource<ExtensionConfig>> {
    for (const [key, { wanted }] of this.#users) {
      const active = this.#resources.get(key);
      const waitingFor = active === undefined ? [`extension-config/${wanted.name}`] : [];
      yield { kind: "extension-config", ...wanted, source: "dynamic", active, warming: undefined, waitingFor };
    }
  }

  #begin(key: string, listener: string, filters: readonly DiscoveredFilter[]): void {
    const { name, discovery } = filters[0]!; // a key comes of a filter
    const wanted = wantedOf(name, discovery);
    const users: Users = { wanted, filters: new Map([[listener, filters]]), answered: false, timer: undefined };
    this.#users.set(key, users);
    this.#wants = undefined;
    const patienceMs = discovery.source?.initialFetchTimeoutMs ?? INITIAL_FETCH_TIMEOUT_MS;
    if (patienceMs === 0) return;
    users.timer = this.#clock.after(
      patienceMs,
      () => {
        users.answered = true;
        this.#onTimeout([...users.filters.keys()]);
      },
      true,
    );
  }

  #leave(key: string, listener: string): void {
    const users = this.#users.get(key);
    users?.filters.delete(listener);
    if (users?.filters.size === 0) this.#unused.add(key);
  }
}

interface Users {
  readonly wanted: Wanted;
  /** By listener. */
  readonly filters: Map<string, readonly DiscoveredFilter[]>;
  /** The server has said that there is none, or the time to wait is over. */
  answered: boolean;
  timer: Timer | undefined;
}

function wantedOf(name: string, { source }: ExtensionDiscovery): Wanted {
  return source === undefined || source.from.type === "self" || source.from.type === "ads"
    ? { name }
    : { name, origin: source.from };
}

/** The filters of a listener that ask ECDS, of all three kinds. */
export function discoveredFilters(config: ListenerConfig | undefined): readonly DiscoveredFilter[] {
  if (config === undefined) return [];
  const networkFilters = filterChainsOf(config).flatMap(({ filters }) => filters);
  const ofConnections = [...config.listenerFilters, ...networkFilters].flatMap(({ name, discovered }) =>
    discovered === undefined ? [] : [{ name, discovery: discovered }],
  );
  const ofRequests = networkFilters
    .flatMap((filter) => (filter.type === "http-connection-manager" ? filter.config : []))
    .flatMap(({ httpFilters, upgradeConfigs }) => [
      ...httpFilters,
      ...upgradeConfigs.flatMap(({ filters }) => filters ?? []),
    ])
    .flatMap(({ name, discovery }) => (discovery === undefined ? [] : [{ name, discovery }]));
  return [...ofConnections, ...ofRequests];
}
