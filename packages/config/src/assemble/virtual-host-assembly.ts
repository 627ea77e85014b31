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
  /** Kept until it changes. */
  #wants: Wants | undefined;

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
    if (parent === undefined) {
      parent = { name: config.name, origin, hosts: new Map(), aliases: new Map(), merged: undefined };
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
    this.#demands.forget((name) => name.startsWith(`${key}/`));
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
      const prefix = `${parent.name}/`;
      let isTouched = false;
      for (const [name, host] of changed) {
        if (!name.startsWith(prefix)) continue;
        parent.hosts.set(name, host);
        for (const alias of host.aliases ?? []) parent.aliases.set(alias, name);
        isTouched = true;
      }
      for (const name of gone) {
        if (!name.startsWith(prefix)) continue;
        if (parent.hosts.delete(name)) {
          isTouched = true;
          for (const [alias, owner] of parent.aliases) if (owner === name) parent.aliases.delete(alias);
        }
        this.#demands.absent(`${key}/${name.slice(prefix.length)}`);
        this.#wants = undefined;
      }
      if (!isTouched) continue;
      parent.merged = undefined;
      touched.push(key);
    }
    return touched;
  }

  /** A request to that host has found no virtual host. False: there is none, and nobody is asked. */
  demand(key: string, host: string): boolean {
    if (!this.#parents.has(key)) return false;
    const asked = this.#demands.ask(`${key}/${host}`) === "asked";
    this.#wants = undefined;
    return asked;
  }

  /** What requests wait for and these say is not there. To be asked before `update`. */
  goneDemands(origin: ResourceOrigin | undefined, gone: readonly string[]): readonly Demand[] {
    const demands: Demand[] = [];
    for (const [key, parent] of this.#parents) {
      if (originKey(parent.origin) !== originKey(origin)) continue;
      for (const name of gone) {
        const host = name.slice(parent.name.length + 1);
        if (name.startsWith(`${parent.name}/`) && this.#demands.pending.has(`${key}/${host}`))
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
        if (!name.startsWith(`${key}/`)) continue;
        const host = name.slice(key.length + 1);
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
      for (const asked of this.#demands.names)
        if (asked.startsWith(`${key}/`)) yield { name: name + asked.slice(key.length), ...from };
    }
  }
}

type HeldHost = Versioned<VirtualHost> & { readonly aliases?: readonly string[] };

interface Parent {
  readonly name: string;
  readonly origin: ResourceOrigin | undefined;
  /** By the names of their resources. */
  readonly hosts: Map<string, HeldHost>;
  /** Names that requests have asked for, to the resource that answers them. */
  readonly aliases: Map<string, string>;
  merged: { readonly of: RouteConfiguration; readonly config: RouteConfiguration } | undefined;
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
