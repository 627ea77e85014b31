import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import {
  adsSource,
  type ClusterConfig,
  type EndpointsConfig,
  type ListenerConfig,
  type RouteConfiguration,
} from "@heddle/traffic";
import type { ResourceKind } from "@heddle/xds";
import fc from "fast-check";
import { laneKey } from "../lanes.ts";
import { ConfigAssembler } from "./config-assembler.ts";

const NAMES = ["a", "b", "c"];
const name = fc.constantFrom(...NAMES);

/** What may happen to an assembler, in any order. */
type Event =
  | { readonly type: "cluster"; readonly name: string; readonly service: string | undefined }
  | { readonly type: "listener"; readonly name: string; readonly routes: readonly string[] }
  | { readonly type: "endpoints"; readonly name: string }
  | { readonly type: "routes"; readonly name: string; readonly clusters: readonly string[] }
  | { readonly type: "refresh" | "absent"; readonly kind: "endpoints" | "route-configuration"; readonly name: string }
  | { readonly type: "remove"; readonly kind: ResourceKind; readonly name: string }
  | { readonly type: "wait"; readonly ms: number };

const referenced = fc.constantFrom("endpoints" as const, "route-configuration" as const);
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ type: fc.constant("cluster" as const), name, service: fc.option(name, { nil: undefined }) }),
  fc.record({ type: fc.constant("listener" as const), name, routes: fc.uniqueArray(name, { maxLength: 2 }) }),
  fc.record({ type: fc.constant("endpoints" as const), name }),
  fc.record({ type: fc.constant("routes" as const), name, clusters: fc.uniqueArray(name, { maxLength: 2 }) }),
  fc.record({ type: fc.constantFrom("refresh" as const, "absent" as const), kind: referenced, name }),
  fc.record({
    type: fc.constant("remove" as const),
    kind: fc.constantFrom<ResourceKind>("cluster", "listener", "endpoints", "route-configuration"),
    name,
  }),
  fc.record({ type: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 20_000 }) }),
);

test("whatever happens in whatever order: each step is complete, and in the end all that was last said serves, and no more", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const world = new World();
      for (const one of events) world.happen(one);
      world.answerEverything();
      world.assertServesWhatWasSaid();
    }),
    { seed: 3, numRuns: 400 },
  );
});

class World {
  readonly #clock = new ManualClock();
  readonly #wanted = new Map<ResourceKind, ReadonlySet<string>>();
  /** What the steps add up to. */
  readonly #served = new Map<string, unknown>();
  /** What was last said. */
  readonly #clusters = new Map<string, ClusterConfig>();
  readonly #listeners = new Map<string, ListenerConfig>();
  readonly #clustersOfRoutes = new Map<string, readonly string[]>();
  readonly #lastRoutes = new Map<string, unknown>();
  readonly #assembler = new ConfigAssembler({
    clock: this.#clock,
    staticListeners: [],
    staticClusters: [],
    listenerDiscovery: { source: adsSource, names: ["*"] },
    clusterDiscovery: { source: adsSource, names: ["*"] },
    subscriber: { subscribe: (kind, names) => this.#wanted.set(kind, new Set(names)) },
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
      case "cluster":
        this.#sendCluster(cluster(event.name, event.service));
        break;
      case "listener":
        this.#sendListener(listener(event.name, event.routes));
        break;
      case "endpoints":
        this.#send("endpoints", event.name, endpoints(event.name));
        break;
      case "routes":
        this.#clustersOfRoutes.set(event.name, event.clusters);
        this.#send("route-configuration", event.name, routes(event.name, event.clusters));
        break;
      case "refresh":
        this.#assembler.update({ kind: event.kind, ...NOTHING, refreshed: [event.name] });
        break;
      case "absent":
        this.#assembler.update({ kind: event.kind, ...NOTHING, absent: [event.name] });
        break;
      case "remove":
        if (event.kind === "cluster") this.#clusters.delete(event.name);
        if (event.kind === "listener") this.#listeners.delete(event.name);
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
    // Routes first: they wait for the clusters that they name.
    for (const one of this.#wanted.get("route-configuration") ?? [])
      this.#send("route-configuration", one, routes(one, this.#clustersOfRoutes.get(one) ?? []));
    for (const one of this.#wanted.get("endpoints") ?? []) this.#send("endpoints", one, endpoints(one));
  }

  assertServesWhatWasSaid(): void {
    assert.equal(this.#clock.pending, 0, "no timer is left");
    const expected = new Map<string, unknown>();
    for (const config of this.#clusters.values()) {
      expected.set(laneKey("cluster", config.name), config);
      expected.set(laneKey("endpoints", config.name), ANYTHING);
    }
    for (const config of this.#listeners.values()) {
      expected.set(laneKey("listener", config.name), config);
      for (const route of routesOf(config))
        expected.set(laneKey("route-configuration", route), this.#lastRoutes.get(route));
    }
    assert.deepEqual([...this.#served.keys()].sort(), [...expected.keys()].sort());
    for (const [key, value] of expected) if (value !== ANYTHING) assert.equal(this.#served.get(key), value, key);

    const services = [...this.#clusters.values()].flatMap((config) => serviceOf(config) ?? []);
    assert.deepEqual([...(this.#wanted.get("endpoints") ?? [])].sort(), [...new Set(services)].sort());
    const routes = [...this.#listeners.values()].flatMap(routesOf);
    assert.deepEqual([...(this.#wanted.get("route-configuration") ?? [])].sort(), [...new Set(routes)].sort());
    const { clusters, endpoints, listeners, routeConfigurations } = this.#assembler.current();
    assert.equal(clusters.size + endpoints.size + listeners.size + routeConfigurations.size, this.#served.size);
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

  #sendCluster(config: ClusterConfig): void {
    this.#clusters.set(config.name, config);
    this.#send("cluster", config.name, config);
  }

  #sendListener(config: ListenerConfig): void {
    this.#listeners.set(config.name, config);
    this.#send("listener", config.name, config);
  }

  #send(kind: ResourceKind, named: string, config: unknown): void {
    const resource = { name: named, version: "1", config, unhonoured: [] };
    if (kind === "route-configuration") this.#lastRoutes.set(named, config);
    this.#assembler.update({ kind, ...NOTHING, changed: new Map([[named, resource]]) });
  }
}

const NOTHING = { changed: new Map(), removed: [], absent: [] };
const ANYTHING = Symbol("any value");

// Only the fields that the assembler reads; each call makes another object, which is another version.

function cluster(named: string, serviceName: string | undefined): ClusterConfig {
  const discovery = serviceName === undefined ? { type: "STATIC", loadAssignment: {} } : { type: "EDS", serviceName };
  return { name: named, discovery } as ClusterConfig;
}

function serviceOf({ discovery }: ClusterConfig): string | undefined {
  return discovery.type === "EDS" ? discovery.serviceName : undefined;
}

function listener(named: string, routes: readonly string[]): ListenerConfig {
  const filterChains = routes.map((routeConfigName) => ({
    filters: [
      {
        type: "http-connection-manager",
        config: { routes: { type: "rds", routeConfigName }, httpFilters: [], upgradeConfigs: [] },
      },
    ],
  }));
  return { name: named, filterChains } as unknown as ListenerConfig;
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

function endpoints(clusterName: string): EndpointsConfig {
  return { clusterName } as EndpointsConfig;
}

function routes(named: string, clusters: readonly string[]): RouteConfiguration {
  const entries = clusters.map((clusterName) => ({
    action: { type: "forward", forward: { cluster: { type: "cluster", name: clusterName } } },
  }));
  return { name: named, virtualHosts: [{ routes: entries }] } as unknown as RouteConfiguration;
}
