import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import {
  adsSource,
  type ClusterConfig,
  type ListenerConfig,
  type RouteConfiguration,
  type VirtualHost,
} from "@heddle/traffic";
import type { ResourceKind } from "@heddle/xds";
import fc from "fast-check";
import { laneKey } from "../lanes.ts";
import { ConfigAssembler } from "./config-assembler.ts";

const NAMES = ["a", "b", "c"];
const name = fc.constantFrom(...NAMES);

/** What may happen to an assembler, in any order. */
type Event =
  | { readonly type: "clusters"; readonly of: readonly ClusterSketch[] }
  | { readonly type: "listeners"; readonly of: readonly ListenerSketch[] }
  /** Two that are there take each other's references, in one response. */
  | { readonly type: "swap"; readonly of: "clusters" | "listeners" }
  | { readonly type: "endpoints" | "secret" | "filter" | "runtime"; readonly name: string }
  | { readonly type: "routes"; readonly name: string; readonly clusters: readonly string[]; readonly vhds: boolean }
  | { readonly type: "host"; readonly routes: string; readonly domain: string; readonly gone: boolean }
  | { readonly type: "refresh" | "absent"; readonly kind: "endpoints" | "route-configuration"; readonly name: string }
  | { readonly type: "remove"; readonly kind: ResourceKind; readonly name: string }
  | { readonly type: "wait"; readonly ms: number };

interface ClusterSketch {
  readonly name: string;
  readonly service: string | undefined;
  readonly secret: string | undefined;
}

interface ListenerSketch {
  readonly name: string;
  readonly routes: readonly string[];
  readonly secret: string | undefined;
  readonly filter: string | undefined;
}

const maybe = fc.option(name, { nil: undefined });
const byName = { minLength: 1, maxLength: 2, selector: (one: { readonly name: string }) => one.name };
const referenced = fc.constantFrom("endpoints" as const, "route-configuration" as const);
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    type: fc.constant("clusters" as const),
    of: fc.uniqueArray(fc.record({ name, service: maybe, secret: maybe }), byName),
  }),
  fc.record({
    type: fc.constant("listeners" as const),
    of: fc.uniqueArray(
      fc.record({ name, routes: fc.uniqueArray(name, { maxLength: 2 }), secret: maybe, filter: maybe }),
      byName,
    ),
  }),
  fc.record({ type: fc.constant("swap" as const), of: fc.constantFrom("clusters" as const, "listeners" as const) }),
  fc.record({ type: fc.constantFrom("endpoints" as const, "secret" as const, "filter" as const), name }),
  fc.record({ type: fc.constant("runtime" as const), name: fc.constant("rt") }),
  fc.record({
    type: fc.constant("routes" as const),
    name,
    clusters: fc.uniqueArray(name, { maxLength: 2 }),
    vhds: fc.boolean(),
  }),
  fc.record({ type: fc.constant("host" as const), routes: name, domain: name, gone: fc.boolean() }),
  fc.record({ type: fc.constantFrom("refresh" as const, "absent" as const), kind: referenced, name }),
  fc.record({
    type: fc.constant("remove" as const),
    kind: fc.constantFrom<ResourceKind>(
      "cluster",
      "listener",
      "endpoints",
      "route-configuration",
      "secret",
      "extension-config",
    ),
    name,
  }),
  fc.record({ type: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
);

test("whatever happens in whatever order: each step is complete, and in the end all that was last said serves, and no more", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40, size: "max" }), (events) => {
      const world = new World();
      for (const one of events) world.happen(one);
      world.answerEverything();
      world.assertServesWhatWasSaid();
    }),
    { seed: 3, numRuns: 300 },
  );
});

/**
 * A control plane that sends what is asked for once: what is no longer asked for it forgets to have sent, and what has been sent
 * comes again unchanged at most.
 */
class World {
  readonly #clock = new ManualClock();
  readonly #wanted = new Map<ResourceKind, ReadonlySet<string>>();
  readonly #sent = new Map<ResourceKind, Set<string>>();
  /** What the steps add up to. */
  readonly #served = new Map<string, unknown>();
  /** What was last said. */
  readonly #clusters = new Map<string, ClusterConfig>();
  readonly #listeners = new Map<string, ListenerConfig>();
  readonly #routes = new Map<string, { readonly clusters: readonly string[]; readonly vhds: boolean }>();
  /** By the names of resources. */
  readonly #hosts = new Map<string, VirtualHost>();
  /** Of what was asked for when it was sent, by lane. */
  readonly #last = new Map<string, unknown>();
  readonly #sketches = { clusters: new Map<string, ClusterSketch>(), listeners: new Map<string, ListenerSketch>() };
  #runtimes = 0;
  readonly #assembler = new ConfigAssembler({
    clock: this.#clock,
    staticListeners: [],
    staticClusters: [],
    listenerDiscovery: { source: adsSource, names: ["*"] },
    clusterDiscovery: { source: adsSource, names: ["*"] },
    runtimeLayers: [{ type: "rtds", name: "layer", resource: "rt", source: adsSource }],
    subscriber: {
      subscribe: (kind, names) => {
        this.#wanted.set(kind, new Set(names));
        for (const one of this.#sent.get(kind) ?? []) if (!names.has(one)) this.#sent.get(kind)?.delete(one);
      },
    },
    onDnsClusters: () => undefined,
    onConfig: ({ changed, removed }) => {
      for (const [key, value] of changed) this.#served.set(key, value);
      for (const key of removed) assert.ok(this.#served.delete(key), `${key} was removed and never served`);
      this.#assertComplete();
    },
    onReady: () => undefined,
  });

  constructor() {
    this.#assembler.start();
  }

  happen(event: Event): void {
    switch (event.type) {
      case "clusters":
        this.#sendClusters(event.of);
        break;
      case "listeners":
        this.#sendListeners(event.of);
        break;
      case "swap":
        if (event.of === "clusters") this.#sendClusters(swapped(this.#sketches.clusters));
        else this.#sendListeners(swapped(this.#sketches.listeners));
        break;
      case "endpoints":
      case "secret":
      case "filter":
      case "runtime":
        this.#send(KIND_OF[event.type], event.name);
        break;
      case "routes":
        this.#routes.set(event.name, event);
        this.#send("route-configuration", event.name);
        break;
      case "host":
        this.#sayHost(`${event.routes}/${event.domain}`, event.gone);
        break;
      case "refresh":
        this.#assembler.update({ kind: event.kind, ...NOTHING, refreshed: [event.name] });
        break;
      case "absent":
        this.#assembler.update({ kind: event.kind, ...NOTHING, absent: [event.name] });
        break;
      case "remove":
        if (event.kind === "cluster") this.#clusters.delete(event.name);
        if (event.kind === "cluster") this.#sketches.clusters.delete(event.name);
        if (event.kind === "listener") this.#listeners.delete(event.name);
        if (event.kind === "listener") this.#sketches.listeners.delete(event.name);
        this.#sent.get(event.kind)?.delete(event.name);
        this.#assembler.update({ kind: event.kind, ...NOTHING, removed: [event.name] });
        break;
      case "wait":
        this.#clock.advance(event.ms);
        break;
    }
  }

  /** The control plane says once more all that is wanted, and there is nothing left to wait for. */
  answerEverything(): void {
    this.#assembler.update({ kind: "cluster", ...NOTHING });
    this.#assembler.update({ kind: "listener", ...NOTHING });
    // Routes before endpoints: they wait for the clusters that they name.
    const kinds = ["runtime", "secret", "extension-config", "route-configuration", "endpoints"] as const;
    for (const kind of kinds) {
      for (const one of this.#wanted.get(kind) ?? []) {
        if (this.#sent.get(kind)?.has(one) === true) this.#assembler.update({ kind, ...NOTHING, refreshed: [one] });
        else this.#send(kind, one);
      }
    }
    if (this.#wanted.get("virtual-host")?.has("*") === true && this.#sent.get("virtual-host")?.has("*") !== true)
      this.#sendHosts();
  }

  assertServesWhatWasSaid(): void {
    assert.equal(this.#clock.pending, 0, "no timer is left");
    const expected = new Map<string, unknown>();
    for (const config of this.#clusters.values()) {
      expected.set(laneKey("cluster", config.name), config);
      expected.set(laneKey("endpoints", config.name), ANYTHING);
      this.#expect(expected, "secret", secretsIn(config.tls));
    }
    for (const config of this.#listeners.values()) {
      expected.set(laneKey("listener", config.name), config);
      for (const route of routesOf(config)) {
        const last = this.#last.get(laneKey("route-configuration", route)) as RouteConfiguration;
        expected.set(laneKey("route-configuration", route), last.vhds === undefined ? last : ANYTHING);
        const served = this.#served.get(laneKey("route-configuration", route)) as RouteConfiguration;
        const hosts = [...this.#hosts].filter(([named]) => last.vhds !== undefined && named.startsWith(`${route}/`));
        const domains = hosts.map(([, { domains }]) => domains).sort();
        assert.deepEqual(
          served.virtualHosts.slice(1).map((host) => host.domains),
          domains,
          `virtual hosts of ${route}`,
        );
      }
      this.#expect(expected, "secret", secretsIn(config.filterChains[0]?.tls));
      this.#expect(expected, "extension-config", filtersOf(config));
    }
    expected.set("runtime/values", ANYTHING);
    assert.deepEqual(this.#served.get("runtime/values"), this.#last.get("runtime/rt"));
    assert.deepEqual([...this.#served.keys()].sort(), [...expected.keys()].sort());
    for (const [key, value] of expected) if (value !== ANYTHING) assert.equal(this.#served.get(key), value, key);

    const services = [...this.#clusters.values()].flatMap((config) => serviceOf(config) ?? []);
    assert.deepEqual([...(this.#wanted.get("endpoints") ?? [])].sort(), [...new Set(services)].sort());
    const routes = [...this.#listeners.values()].flatMap(routesOf);
    assert.deepEqual([...(this.#wanted.get("route-configuration") ?? [])].sort(), [...new Set(routes)].sort());
    const secrets = [
      ...[...this.#clusters.values()].flatMap(({ tls }) => secretsIn(tls)),
      ...[...this.#listeners.values()].flatMap(({ filterChains }) => secretsIn(filterChains[0]?.tls)),
    ];
    assert.deepEqual([...(this.#wanted.get("secret") ?? [])].sort(), [...new Set(secrets)].sort());
    const filters = [...this.#listeners.values()].flatMap(filtersOf);
    assert.deepEqual([...(this.#wanted.get("extension-config") ?? [])].sort(), [...new Set(filters)].sort());
    const {
      clusters,
      endpoints,
      listeners,
      routeConfigurations,
      secrets: held,
      extensions,
    } = this.#assembler.current();
    const maps = [clusters, endpoints, listeners, routeConfigurations, held, extensions];
    assert.equal(
      maps.reduce((sum, { size }) => sum + size, 1),
      this.#served.size,
      "and the runtime",
    );
  }

  #expect(expected: Map<string, unknown>, kind: "secret" | "extension-config", names: readonly string[]): void {
    for (const one of names) {
      const key = laneKey(kind, kind === "secret" ? `sds/${one}` : one);
      expected.set(key, this.#last.get(`${kind}/${one}`));
    }
  }

  /** Every cluster has its endpoints and the other way round; no route configuration is without a listener. */
  #assertComplete(): void {
    const used = new Set<string>();
    for (const [key, value] of this.#served) {
      if (key.startsWith("listener/")) for (const route of routesOf(value as ListenerConfig)) used.add(route);
      if (key.startsWith("cluster/")) assert.ok(this.#served.has(key.replace("cluster", "endpoints")), key);
      if (key.startsWith("endpoints/")) assert.ok(this.#served.has(key.replace("endpoints", "cluster")), key);
    }
    for (const key of this.#served.keys())
      if (key.startsWith("route-configuration/")) assert.ok(used.has(key.slice("route-configuration/".length)), key);
  }

  #sendClusters(sketches: readonly ClusterSketch[]): void {
    for (const sketch of sketches) this.#sketches.clusters.set(sketch.name, sketch);
    const configs = sketches.map(cluster);
    for (const config of configs) this.#clusters.set(config.name, config);
    this.#sendAll("cluster", configs);
  }

  #sendListeners(sketches: readonly ListenerSketch[]): void {
    for (const sketch of sketches) this.#sketches.listeners.set(sketch.name, sketch);
    const configs = sketches.map(listener);
    for (const config of configs) this.#listeners.set(config.name, config);
    this.#sendAll("listener", configs);
  }

  #sendAll(kind: "cluster" | "listener", configs: readonly { readonly name: string }[]): void {
    const changed = new Map(configs.map((config) => [config.name, resource(config.name, config)]));
    this.#assembler.update({ kind, ...NOTHING, changed });
  }

  #send(kind: SentKind, named: string): void {
    const config = this.#make(kind, named);
    if (this.#wanted.get(kind)?.has(named) === true) {
      this.#last.set(`${kind}/${named}`, kind === "runtime" ? (config as { values: unknown }).values : config);
      this.#sent.set(kind, (this.#sent.get(kind) ?? new Set()).add(named));
    }
    this.#assembler.update({ kind, ...NOTHING, changed: new Map([[named, resource(named, config)]]) });
  }

  #make(kind: SentKind, named: string): unknown {
    switch (kind) {
      case "endpoints":
        return { clusterName: named };
      case "route-configuration": {
        const { clusters, vhds } = this.#routes.get(named) ?? { clusters: [], vhds: false };
        return routes(named, clusters, vhds);
      }
      case "runtime":
        return { name: named, values: { number: this.#runtimes++ } };
      default:
        return { name: named };
    }
  }

  /** Told to who asks for all; who does not ask hears of it when it begins to. */
  #sayHost(named: string, gone: boolean): void {
    const [, domain = ""] = named.split("/");
    const host = { name: domain, domains: [domain], routes: [] } as unknown as VirtualHost;
    if (gone) this.#hosts.delete(named);
    else this.#hosts.set(named, host);
    if (this.#wanted.get("virtual-host")?.has("*") !== true) return;
    if (this.#sent.get("virtual-host")?.has("*") !== true) this.#sendHosts();
    const changed = gone ? new Map() : new Map([[named, resource(named, host)]]);
    this.#assembler.update({ kind: "virtual-host", ...NOTHING, changed, removed: gone ? [named] : [] });
  }

  #sendHosts(): void {
    this.#sent.set("virtual-host", new Set(["*"]));
    const changed = new Map([...this.#hosts].map(([named, host]) => [named, resource(named, host)]));
    this.#assembler.update({ kind: "virtual-host", ...NOTHING, changed });
  }
}

type SentKind = "endpoints" | "secret" | "extension-config" | "runtime" | "route-configuration";

const KIND_OF = { endpoints: "endpoints", secret: "secret", filter: "extension-config", runtime: "runtime" } as const;

const NOTHING = { changed: new Map(), removed: [], absent: [] };
const ANYTHING = Symbol("any value");

// Only the fields that the assembler reads; each call makes another object, which is another version.

/** The first two with each other's references; fewer: as they are. */
function swapped<Sketch extends { readonly name: string }>(sketches: ReadonlyMap<string, Sketch>): Sketch[] {
  const [first, second] = [...sketches.values()];
  if (first === undefined || second === undefined) return [...sketches.values()];
  return [
    { ...second, name: first.name },
    { ...first, name: second.name },
  ];
}

function resource(named: string, config: unknown) {
  return { name: named, version: "1", config, unhonoured: [] };
}

function tls(secret: string | undefined) {
  return secret === undefined ? {} : { tls: { common: { certificateSecrets: [{ from: "sds", name: secret }] } } };
}

function secretsIn(context: ClusterConfig["tls"] | ListenerConfig["filterChains"][number]["tls"]): string[] {
  return (context?.common.certificateSecrets ?? []).map((secret) => secret.name);
}

function cluster({ name: named, service, secret }: ClusterSketch): ClusterConfig {
  const discovery =
    service === undefined ? { type: "STATIC", loadAssignment: {} } : { type: "EDS", serviceName: service };
  return { name: named, discovery, ...tls(secret) } as unknown as ClusterConfig;
}

function serviceOf({ discovery }: ClusterConfig): string | undefined {
  return discovery.type === "EDS" ? discovery.serviceName : undefined;
}

function listener({ name: named, routes: wanted, secret, filter }: ListenerSketch): ListenerConfig {
  const httpFilters = filter === undefined ? [] : [{ name: filter, discovery: { types: ["test.Filter"] } }];
  const chains = wanted.map((routeConfigName) => ({ routes: { type: "rds", routeConfigName } }));
  const filterChains = (chains.length === 0 ? [{ routes: { type: "inline" } }] : chains).map((config) => ({
    filters: [{ type: "http-connection-manager", config: { ...config, httpFilters, upgradeConfigs: [] } }],
    ...tls(secret),
  }));
  return { name: named, listenerFilters: [], filterChains } as unknown as ListenerConfig;
}

function filtersOf({ filterChains }: ListenerConfig): string[] {
  const [filter] = filterChains[0]?.filters ?? [];
  if (filter?.type !== "http-connection-manager") return [];
  return filter.config.httpFilters.map((one) => one.name);
}

function routesOf({ filterChains }: ListenerConfig): string[] {
  return filterChains.flatMap(({ filters }) =>
    filters.flatMap((filter) =>
      filter.type === "http-connection-manager" && filter.config.routes.type === "rds"
        ? [filter.config.routes.routeConfigName]
        : [],
    ),
  );
}

function routes(named: string, clusters: readonly string[], vhds: boolean): RouteConfiguration {
  const entries = clusters.map((clusterName) => ({
    action: { type: "forward", forward: { cluster: { type: "cluster", name: clusterName } } },
  }));
  const virtualHosts = [{ domains: [], routes: entries }];
  return { name: named, virtualHosts, ...(vhds && { vhds: {} }) } as unknown as RouteConfiguration;
}
