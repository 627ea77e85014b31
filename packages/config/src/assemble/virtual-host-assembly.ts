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
 * They stand behind the inline ones. A domain that an inline one has, or one with a smaller name, is theirs.
 */
export class VirtualHostAssembly {
  readonly #demands: DemandBook;
  /** Route configurations with `vhds`, by `wantedKey`. */
  readonly #parents = new Map<string, Parent>();
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
    const origin = from.type === "self" || from.type === "ads" ? undefined : from;
    let parent = this.#parents.get(key);
    if (parent === undefined || originKey(parent.origin) !== originKey(origin)) {
      // What another source has brought serves until this one answers.
      const hosts = new Map(parent?.hosts);
      parent = {
        name: config.name,
        origin,
        hosts,
        isInherited: hosts.size > 0,
        aliases: new Map(),
        merged: undefined,
      };
      this.#parents.set(key, parent);
      this.#wants = undefined;
    }
    if (parent.merged?.of !== config) parent.merged = { of: config, config: merge(config, parent.hosts) };
    return parent.merged.config;
  }

  /** The route configuration is gone. */
  forget(key: string): void {
    const parent = this.#parents.get(key);
    if (parent === undefined) return;
    this.#parents.delete(key);
    this.#wants = undefined;
    this.#demands.forget((name) => hostIn(key, name) !== undefined);
  }

  /** Virtual hosts came, or went. Answers the keys of the route configurations that have changed. */
  update(
    origin: ResourceOrigin | undefined,
    changed: ReadonlyMap<string, Versioned<VirtualHost> & { readonly aliases?: readonly string[] }>,
    gone: readonly string[],
  ): readonly string[] {
    const touched: string[] = [];
    for (const [key, parent] of this.#parents) {
      if (originKey(parent.origin) !== originKey(origin)) continue;
      const isOurs = (name: string): boolean => hostIn(parent.name, name) !== undefined;
      let isTouched = false;
      if (parent.isInherited && [...changed.keys(), ...gone].some(isOurs)) {
        parent.isInherited = false;
        parent.hosts.clear();
        isTouched = true;
      }
      for (const [name, host] of changed) {
        if (!isOurs(name)) continue;
        parent.hosts.set(name, host);
        for (const alias of host.aliases ?? []) parent.aliases.set(alias, name);
        isTouched = true;
      }
      for (const name of gone) {
        const host = hostIn(parent.name, name);
        if (host === undefined) continue;
        parent.aliases.delete(name);
        if (parent.hosts.delete(name)) {
          isTouched = true;
          for (const [alias, owner] of parent.aliases) if (owner === name) parent.aliases.delete(alias);
        }
        this.#demands.absent(`${key}/${host}`);
      }
      if (!isTouched) continue;
      parent.merged = undefined;
      touched.push(key);
    }
    return touched;
  }

  /**
   * These came again as they were, or answer by a name that was not asked for before: a second request may wait for another domain
   * of a virtual host that is there.
   */
  refreshed(origin: ResourceOrigin | undefined, names: readonly string[]): void {
    if (this.#demands.pending.size === 0) return;
    for (const [key, parent] of this.#parents) {
      if (originKey(parent.origin) !== originKey(origin)) continue;
      for (const name of names) {
        const host = hostIn(parent.name, name);
        if (host === undefined || !this.#demands.pending.has(`${key}/${host}`)) continue;
        if (!parent.hosts.has(name) && !parent.aliases.has(name)) parent.aliases.set(name, name);
      }
    }
  }

  /** A request to that host has found no virtual host. False: there is none, and nobody is asked. */
  demand(key: string, host: string): boolean {
    if (!this.#parents.has(key)) return false;
    return this.#demands.ask(`${key}/${host}`) === "asked";
  }

  /** What requests wait for and these say is not there. To be asked before `update`. */
  goneDemands(origin: ResourceOrigin | undefined, gone: readonly string[]): readonly Demand[] {
    const demands: Demand[] = [];
    for (const [key, parent] of this.#parents) {
      if (originKey(parent.origin) !== originKey(origin)) continue;
      for (const name of gone) {
        const host = hostIn(parent.name, name);
        if (host !== undefined && this.#demands.pending.has(`${key}/${host}`))
          demands.push({ kind: "virtual-host", routes: key, host });
      }
    }
    return demands;
  }

  /** What requests wait for and is there by now, but of those that are held. It is said once. */
  takeFound(isHeld: (key: string) => boolean): readonly { readonly key: string; readonly host: string }[] {
    const found: { key: string; host: string }[] = [];
    if (this.#demands.pending.size === 0) return found;
    for (const [key, parent] of this.#parents) {
      if (isHeld(key)) continue;
      for (const name of this.#demands.pending) {
        const host = hostIn(key, name);
        if (host === undefined) continue;
        const resource = `${parent.name}/${host}`;
        if (!parent.hosts.has(resource) && !parent.aliases.has(resource)) continue;
        this.#demands.found(name);
        found.push({ key, host });
      }
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
    for (const { hosts, origin } of this.#parents.values()) {
      for (const [name, active] of hosts) {
        const from = origin === undefined ? {} : { origin };
        yield { kind: "virtual-host", name, source: "dynamic", ...from, active, warming: undefined, waitingFor: [] };
      }
    }
  }

  *#wanted(): Generator<Wanted> {
    for (const [key, { name, origin }] of this.#parents) {
      const from = origin === undefined ? {} : { origin };
      yield { name: "*", ...from };
      for (const asked of this.#demands.names) {
        const host = hostIn(key, asked);
        if (host !== undefined) yield { name: `${name}/${host}`, ...from };
      }
    }
  }
}

type HeldHost = Versioned<VirtualHost> & { readonly aliases?: readonly string[] };

interface Parent {
  readonly name: string;
  readonly origin: ResourceOrigin | undefined;
  /** By the names of their resources. */
  readonly hosts: Map<string, HeldHost>;
  /** They are of the source before, and this one has not answered yet. */
  isInherited: boolean;
  /** Names that requests have asked for, to the resource that answers them. */
  readonly aliases: Map<string, string>;
  merged: { readonly of: RouteConfiguration; readonly config: RouteConfiguration } | undefined;
}

/** What stands behind "<parent>/". No domain has a slash, while the name of a route configuration may have some. */
function hostIn(parent: string, name: string): string | undefined {
  const isIn = name.lastIndexOf("/") === parent.length && name.startsWith(parent);
  return isIn ? name.slice(parent.length + 1) : undefined;
}

function merge(config: RouteConfiguration, hosts: ReadonlyMap<string, HeldHost>): RouteConfiguration {
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
