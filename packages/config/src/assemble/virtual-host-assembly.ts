import type { Clock } from "@heddle/base";
import {
  adsSource,
  type Demand,
  originKey,
  type ResourceOrigin,
  type RouteConfiguration,
  resolveSelf,
  type VirtualHost,
} from "@heddle/traffic";
import type { AssembledResource, Versioned } from "./assembled-resource.ts";
import { DemandBook } from "./demand-book.ts";
import { gatherWants, type Wanted, type Wants } from "./wants.ts";

/**
 * The virtual hosts that VHDS brings for route configurations with `vhds`: all that the control plane gives unasked ("*"), and
 * those that requests have asked for. A resource is called "<route configuration>/<domain>", and answers its aliases, too.
 *
 * As long as anybody asks a source all that it brings is kept, for route configurations too that have not come yet or are away
 * for a moment: the subscription is one for all of them, so nobody would send it again.
 *
 * They stand behind the inline ones. A domain that an inline one has, or one with a smaller name, is theirs.
 */
export class VirtualHostAssembly {
  readonly #demands: DemandBook;
  /** Route configurations with `vhds`, by `wantedKey`. */
  readonly #parents = new Map<string, Parent>();
  /** By `originKey`; those that are asked. */
  readonly #sources = new Map<string, Source>();
  /** Kept until it changes, and what was asked for with it. */
  #wants: Wants | undefined;
  #wantsRevision = 0;

  constructor(clock: Clock) {
    this.#demands = new DemandBook(clock);
  }

  /**
   * With its virtual hosts: the same object as long as neither has changed. `broughtBy`: what has brought the route configuration;
   * left out, the aggregated stream.
   */
  merged(key: string, config: RouteConfiguration, broughtBy?: ResourceOrigin): RouteConfiguration {
    const { vhds } = config;
    if (vhds === undefined) {
      this.forget(key);
      return config;
    }
    const { from } = resolveSelf(vhds.source ?? adsSource, broughtBy);
    const parent = this.#parentFrom(key, config.name, from.type === "self" || from.type === "ads" ? undefined : from);
    if (parent.merged?.of !== config) parent.merged = { of: config, config: merge(config, this.#hostsOf(parent)) };
    return parent.merged.config;
  }

  /** The route configuration is gone. */
  forget(key: string): void {
    const parent = this.#parents.get(key);
    if (parent === undefined) return;
    this.#parents.delete(key);
    this.#wants = undefined;
    this.#demands.forget((name) => hostIn(key, name) !== undefined);
    this.#leave(parent.origin);
  }

  /** Virtual hosts came, or went. Answers the keys of the route configurations that have changed. */
  update(
    origin: ResourceOrigin | undefined,
    changed: ReadonlyMap<string, HeldHost>,
    gone: readonly string[],
  ): readonly string[] {
    const source = this.#sources.get(originKey(origin));
    if (source === undefined) return [];
    const keys = this.#keysByName(origin);
    const touched = new Set<string>();
    for (const [name, host] of changed) {
      const { parent } = partsOf(name);
      const hosts = source.hosts.get(parent) ?? new Map<string, HeldHost>();
      source.hosts.set(parent, hosts.set(name, host));
      for (const alias of host.aliases ?? []) source.aliases.set(alias, name);
      touched.add(parent);
    }
    for (const name of gone) {
      const { parent, host } = partsOf(name);
      for (const key of keys.get(parent) ?? []) this.#demands.absent(`${key}/${host}`);
      source.aliases.delete(name);
      const hosts = source.hosts.get(parent);
      if (hosts?.delete(name) !== true) continue;
      if (hosts.size === 0) source.hosts.delete(parent);
      for (const [alias, owner] of source.aliases) if (owner === name) source.aliases.delete(alias);
      touched.add(parent);
    }
    const changedKeys = [...touched].flatMap((parent) => keys.get(parent) ?? []);
    for (const key of changedKeys) {
      const parent = this.#parents.get(key)!; // keys are theirs
      parent.merged = undefined;
      parent.inherited = NO_HOSTS;
    }
    return changedKeys;
  }

  /**
   * These came again as they were, or answer by a name that was not asked for before: a second request may wait for another domain
   * of a virtual host that is there.
   */
  refreshed(origin: ResourceOrigin | undefined, names: readonly string[]): void {
    const source = this.#sources.get(originKey(origin));
    if (source === undefined || this.#demands.pending.size === 0) return;
    const keys = this.#keysByName(origin);
    for (const name of names) {
      const { parent, host } = partsOf(name);
      const isAwaited = keys.get(parent)?.some((key) => this.#demands.pending.has(`${key}/${host}`)) === true;
      if (isAwaited && !source.aliases.has(name)) source.aliases.set(name, name);
    }
  }

  /** A request to that host has found no virtual host. False: there is none, and nobody is asked. */
  demand(key: string, host: string): boolean {
    if (!this.#parents.has(key)) return false;
    return this.#demands.ask(`${key}/${host}`) === "asked";
  }

  /** What requests wait for and these say is not there. To be asked before `update`. */
  goneDemands(origin: ResourceOrigin | undefined, gone: readonly string[]): readonly Demand[] {
    const keys = this.#keysByName(origin);
    return gone.flatMap((name) => {
      const { parent, host } = partsOf(name);
      return (keys.get(parent) ?? [])
        .filter((key) => this.#demands.pending.has(`${key}/${host}`))
        .map((key): Demand => ({ kind: "virtual-host", routes: key, host }));
    });
  }

  /** What requests wait for and is there by now, but of those that are held. It is said once. */
  takeFound(isHeld: (key: string) => boolean): readonly { readonly key: string; readonly host: string }[] {
    const found: { key: string; host: string }[] = [];
    for (const name of this.#demands.pending) {
      const { parent: key, host } = partsOf(name);
      const parent = this.#parents.get(key);
      const source = parent && this.#sources.get(originKey(parent.origin));
      if (parent === undefined || source === undefined || isHeld(key)) continue;
      const resource = `${parent.name}/${host}`;
      if (source.hosts.get(parent.name)?.has(resource) !== true && !source.aliases.has(resource)) continue;
      this.#demands.found(name);
      found.push({ key, host });
    }
    return found;
  }

  /** What to ask VHDS for, and where. The same object until it changes. */
  get wants(): Wants {
    const { revision } = this.#demands;
    if (revision !== this.#wantsRevision) this.#wants = undefined;
    this.#wantsRevision = revision;
    this.#wants ??= gatherWants(this.#wanted());
    return this.#wants;
  }

  *resources(): Generator<AssembledResource<VirtualHost>> {
    for (const parent of this.#parents.values()) {
      const from = parent.origin === undefined ? {} : { origin: parent.origin };
      for (const [name, active] of this.#hostsOf(parent))
        yield { kind: "virtual-host", name, source: "dynamic", ...from, active, warming: undefined, waitingFor: [] };
    }
  }

  #parentFrom(key: string, name: string, origin: ResourceOrigin | undefined): Parent {
    const known = this.#parents.get(key);
    if (known !== undefined && originKey(known.origin) === originKey(origin)) return known;
    const parent: Parent = { name, origin, inherited: known ? this.#hostsOf(known) : NO_HOSTS, merged: undefined };
    this.#parents.set(key, parent);
    this.#wants = undefined;
    if (!this.#sources.has(originKey(origin)))
      this.#sources.set(originKey(origin), { hosts: new Map(), aliases: new Map() });
    if (known !== undefined) this.#leave(known.origin);
    return parent;
  }

  /** What a source has brought goes with the last that asks it. */
  #leave(origin: ResourceOrigin | undefined): void {
    const key = originKey(origin);
    for (const parent of this.#parents.values()) if (originKey(parent.origin) === key) return;
    this.#sources.delete(key);
  }

  #hostsOf({ name, origin, inherited }: Parent): Hosts {
    return this.#sources.get(originKey(origin))?.hosts.get(name) ?? inherited;
  }

  /** The keys of the parents that ask there, by their names. */
  #keysByName(origin: ResourceOrigin | undefined): ReadonlyMap<string, readonly string[]> {
    const keys = new Map<string, string[]>();
    for (const [key, parent] of this.#parents) {
      if (originKey(parent.origin) !== originKey(origin)) continue;
      const same = keys.get(parent.name);
      if (same === undefined) keys.set(parent.name, [key]);
      else same.push(key);
    }
    return keys;
  }

  *#wanted(): Generator<Wanted> {
    for (const { origin } of this.#parents.values()) yield { name: "*", ...(origin && { origin }) };
    for (const asked of this.#demands.names) {
      const { parent: key, host } = partsOf(asked);
      const parent = this.#parents.get(key);
      if (parent === undefined) continue;
      const { name, origin } = parent;
      yield { name: `${name}/${host}`, ...(origin && { origin }) };
    }
  }
}

type HeldHost = Versioned<VirtualHost> & { readonly aliases?: readonly string[] };

/** By the names of their resources. */
type Hosts = ReadonlyMap<string, HeldHost>;

const NO_HOSTS: Hosts = new Map();

interface Parent {
  readonly name: string;
  readonly origin: ResourceOrigin | undefined;
  /** What another source had brought: serves until this one has answered. */
  inherited: Hosts;
  merged: { readonly of: RouteConfiguration; readonly config: RouteConfiguration } | undefined;
}

interface Source {
  /** By the names of their route configurations. */
  readonly hosts: Map<string, Map<string, HeldHost>>;
  /** Names that requests have asked for, to the resource that answers them. */
  readonly aliases: Map<string, string>;
}

/** No domain has a slash, while the name of a route configuration may have some. */
function partsOf(name: string): { readonly parent: string; readonly host: string } {
  const slash = name.lastIndexOf("/");
  return { parent: name.slice(0, Math.max(0, slash)), host: name.slice(slash + 1) };
}

/** What stands behind "<parent>/". */
function hostIn(parent: string, name: string): string | undefined {
  const parts = partsOf(name);
  return parts.parent === parent ? parts.host : undefined;
}

function merge(config: RouteConfiguration, hosts: Hosts): RouteConfiguration {
  if (hosts.size === 0) return config;
  const taken = new Set(config.virtualHosts.flatMap(({ domains }) => domains));
  const more: VirtualHost[] = [];
  for (const [, { config: host }] of [...hosts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const domains = host.domains.filter((domain) => !taken.has(domain));
    for (const domain of domains) taken.add(domain);
    if (domains.length > 0) more.push(domains.length === host.domains.length ? host : { ...host, domains });
  }
  return { ...config, virtualHosts: [...config.virtualHosts, ...more] };
}
