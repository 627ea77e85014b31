import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import {
  ADS,
  adsSource,
  type ClusterConfig,
  type ConfigSource,
  describeOrigin,
  type EndpointsConfig,
  type ListenerConfig,
  originKey,
  type ResourceOrigin,
  type RouteConfiguration,
  type RuntimeLayerConfig,
} from "@heddle/traffic";
import type { ResourceKind } from "@heddle/xds";
import { ConfigAssembler, type ConfigAssemblerOptions } from "./config-assembler.ts";
import type { ConfigDelta } from "./config-draft.ts";

const FILE = { type: "file", path: "/e" } as const;
const ALL = { source: adsSource, names: ["*"] };

/** An assembler among scripted neighbours. */
class World {
  readonly clock = new ManualClock();
  readonly steps: ConfigDelta[] = [];
  readonly wanted = new Map<ResourceKind, readonly string[]>();
  readonly subscriptions: string[] = [];
  dns: ReadonlyMap<string, ClusterConfig> = new Map();
  readyCalls = 0;
  readonly assembler: ConfigAssembler;
  #version = 0;

  constructor(options: Partial<ConfigAssemblerOptions> = {}) {
    this.assembler = new ConfigAssembler({
      clock: this.clock,
      staticListeners: [],
      staticClusters: [],
      listenerDiscovery: ALL,
      clusterDiscovery: ALL,
      subscriber: {
        subscribe: (kind, names, origin) => {
          this.wanted.set(kind, [...names].sort());
          const from = origin === undefined || origin.type === "ads" ? "" : ` from ${describeOrigin(origin)}`;
          this.subscriptions.push(`${kind}: ${[...names].sort().join(" ")}${from}`);
        },
      },
      onDnsClusters: (clusters) => {
        this.dns = clusters;
      },
      onConfig: (delta) => this.steps.push(delta),
      onReady: () => {
        this.readyCalls += 1;
      },
      ...options,
    });
    this.assembler.start();
  }

  /** Past the start: CDS and LDS have answered that there is nothing yet. */
  started(): this {
    this.cds();
    this.lds();
    return this;
  }

  cds(...changed: ClusterConfig[]): void {
    this.#update("cluster", changed);
  }

  lds(...changed: ListenerConfig[]): void {
    this.#update("listener", changed);
  }

  rds(...changed: RouteConfiguration[]): void {
    this.#update("route-configuration", changed);
  }

  eds(...changed: EndpointsConfig[]): void {
    this.#update("endpoints", changed);
  }

  from(origin: ResourceOrigin, kind: ResourceKind, name: string, config: unknown): void {
    const changed = new Map([[name, { name, version: "1", config, unhonoured: [] }]]);
    this.assembler.update({ kind, origin, changed, removed: [], absent: [] });
  }

  rtds(...changed: RuntimeLayerConfig[]): void {
    this.#update("runtime", changed);
  }

  refreshed(kind: ResourceKind, ...names: string[]): void {
    this.assembler.update({ kind, changed: new Map(), removed: [], absent: [], refreshed: names });
  }

  removed(kind: ResourceKind, ...names: string[]): void {
    this.assembler.update({ kind, changed: new Map(), removed: names, absent: [] });
  }

  absent(kind: ResourceKind, ...names: string[]): void {
    this.assembler.update({ kind, changed: new Map(), removed: [], absent: names });
  }

  /** What the last step changed, in words; "nothing" if there has been none since the last look. */
  step(): string {
    assert.ok(this.steps.length <= 1, `one step was expected, there were ${this.steps.length}`);
    const delta = this.steps.shift();
    if (delta === undefined) return "nothing";
    return [...[...delta.changed.keys()].sort(), ...[...delta.removed].sort().map((key) => `-${key}`)].join(" ");
  }

  served(kind: "clusters" | "endpoints" | "listeners" | "routeConfigurations"): string[] {
    return [...this.assembler.current()[kind].keys()].sort();
  }

  waitingFor(kind: ResourceKind, name: string): readonly string[] | undefined {
    return this.assembler.resources().find((resource) => resource.kind === kind && resource.name === name)?.waitingFor;
  }

  #update(kind: ResourceKind, configs: readonly { name?: string; clusterName?: string }[]): void {
    const changed = new Map(
      configs.map((config) => {
        const name = config.name ?? config.clusterName ?? "";
        return [name, { name, version: `${++this.#version}`, config, unhonoured: [] }];
      }),
    );
    this.assembler.update({ kind, changed, removed: [], absent: [] });
  }
}

test("asks for all clusters and listeners at the start, and for nothing that nothing refers to", () => {
  const world = new World();
  assert.deepEqual(world.subscriptions, ["cluster: *", "listener: *"]);
});

test("asks for nothing when all is static, and is ready at once", () => {
  const world = new World({
    listenerDiscovery: undefined,
    clusterDiscovery: undefined,
    staticClusters: [staticCluster("a")],
    staticListeners: [listener("in")],
  });
  assert.deepEqual(world.subscriptions, []);
  assert.equal(world.step(), "cluster/a endpoints/a listener/in");
  assert.equal(world.readyCalls, 1);
  assert.equal(world.clock.pending, 0);
});

test("a STATIC cluster serves with its endpoints in one step", () => {
  const world = new World().started();
  world.cds(staticCluster("a"));
  assert.equal(world.step(), "cluster/a endpoints/a");
});

test("statement 56: an EDS cluster warms until its first assignment", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  assert.equal(world.step(), "nothing");
  assert.deepEqual(world.wanted.get("endpoints"), ["a"]);
  assert.deepEqual(world.waitingFor("cluster", "a"), ["endpoints/a"]);
  world.eds(assignment("a", 1));
  assert.equal(world.step(), "cluster/a endpoints/a");
  assert.equal(world.clock.pending, 0);
});

test("EDS is asked by service name; endpoints serve under the cluster's name", () => {
  const world = new World().started();
  world.cds(edsCluster("a", "service"));
  assert.deepEqual(world.wanted.get("endpoints"), ["service"]);
  world.eds(assignment("service", 1));
  assert.equal(world.step(), "cluster/a endpoints/a");
});

test("two clusters with one service name are served by one assignment, and a third needs no new one", () => {
  const world = new World().started();
  world.cds(edsCluster("a", "s"), edsCluster("b", "s"));
  world.eds(assignment("s", 1));
  assert.equal(world.step(), "cluster/a cluster/b endpoints/a endpoints/b");
  world.cds(edsCluster("c", "s"));
  assert.equal(world.step(), "cluster/c endpoints/c");
});

test("new endpoints of a serving cluster are in force at once, and nothing else changes", () => {
  const world = new World().started();
  world.cds(edsCluster("a"), edsCluster("b"));
  world.eds(assignment("a", 1), assignment("b", 1));
  world.step();
  world.eds(assignment("a", 2));
  assert.equal(world.step(), "endpoints/a");
});

test("statement 56: an updated EDS cluster serves its old version until its assignment was sent again", () => {
  const world = new World().started();
  const old = edsCluster("a");
  world.cds(old);
  world.eds(assignment("a", 1));
  world.step();

  const next = edsCluster("a", "a", 9000);
  world.cds(next);
  assert.equal(world.step(), "nothing");
  assert.equal(world.assembler.current().clusters.get("a"), old);
  const fresh = assignment("a", 2);
  world.eds(fresh);
  assert.equal(world.step(), "cluster/a endpoints/a");
  assert.equal(world.assembler.current().clusters.get("a"), next);
  assert.equal(world.assembler.current().endpoints.get("a"), fresh);
});

test("statement 81: an assignment that is sent again unchanged ends the warming of an updated cluster", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  world.eds(assignment("a", 1));
  world.step();
  world.cds(edsCluster("a", "a", 9000));
  world.refreshed("endpoints", "a");
  assert.equal(world.step(), "cluster/a");
  assert.equal(world.clock.pending, 0);
});

test("an updated cluster that asks for another service serves the old one's endpoints meanwhile", () => {
  const world = new World().started();
  world.cds(edsCluster("a", "old"));
  world.eds(assignment("old", 1));
  world.step();
  world.cds(edsCluster("a", "new"));
  assert.deepEqual(world.wanted.get("endpoints"), ["new", "old"]);
  world.eds(assignment("old", 2));
  assert.equal(world.step(), "endpoints/a");
  world.eds(assignment("new", 1));
  assert.equal(world.step(), "cluster/a endpoints/a");
  assert.deepEqual(world.wanted.get("endpoints"), ["new"]);
});

test("statement 58: after 15 s a warming cluster serves with what there is", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  world.clock.advance(14_999);
  assert.equal(world.step(), "nothing");
  world.clock.advance(1);
  assert.equal(world.step(), "cluster/a endpoints/a");
  assert.deepEqual(world.assembler.current().endpoints.get("a")!.localities, []);
  world.eds(assignment("a", 1));
  assert.equal(world.step(), "endpoints/a");
});

test("statement 58: after 15 s an updated cluster serves with the endpoints that are known", () => {
  const world = new World().started();
  const known = assignment("a", 1);
  world.cds(edsCluster("a"));
  world.eds(known);
  world.step();
  world.cds(edsCluster("a", "a", 9000));
  world.clock.advance(15_000);
  assert.equal(world.step(), "cluster/a");
  assert.equal(world.assembler.current().endpoints.get("a"), known);
});

test("statement 58: a timeout of 0 waits for ever, whatever the client gives up", () => {
  const forEver = { from: { type: "ads" }, initialFetchTimeoutMs: 0 } as const;
  const world = new World({ clusterDiscovery: { source: forEver, names: ["*"] } });
  world.lds();
  assert.equal(world.clock.pending, 0);
  world.cds(edsCluster("a", "a", 5000, forEver));
  world.lds(listenerFrom(forEver, "in", "r"));
  assert.equal(world.clock.pending, 0);
  world.clock.advance(1_000_000);
  world.assembler.update({ kind: "endpoints", changed: new Map(), removed: [], absent: ["a"], timedOut: true });
  assert.equal(world.step(), "nothing");
});

test("statement 58: each waits as long as its own source says", () => {
  const patient = { from: { type: "ads" }, initialFetchTimeoutMs: 20_000 } as const;
  const world = new World().started();
  world.cds(edsCluster("a"), edsCluster("b", "b", 5000, patient));
  world.lds(listenerFrom({ ...patient, initialFetchTimeoutMs: 3000 }, "in", "r"));
  world.clock.advance(3000);
  assert.equal(world.step(), "listener/in");
  world.clock.advance(12_000);
  assert.equal(world.step(), "cluster/a endpoints/a");
  world.clock.advance(5000);
  assert.equal(world.step(), "cluster/b endpoints/b");
});

test("statement 10: the same name from two sources is two subscriptions and two resources", () => {
  const world = new World().started();
  const fromFile = { from: FILE, initialFetchTimeoutMs: 15_000 } as const;
  world.cds(edsCluster("a", "s"), edsCluster("b", "s", 5000, fromFile));
  assert.deepEqual(world.subscriptions.slice(2), ["endpoints: s", "endpoints: s from file /e"]);
  world.from(FILE, "endpoints", "s", assignment("s", 2));
  assert.equal(world.step(), "cluster/b endpoints/b");
  world.eds(assignment("s", 1));
  assert.equal(world.step(), "cluster/a endpoints/a");
  assert.equal(world.assembler.current().endpoints.get("b")?.localities[0]?.endpoints.length, 2);
  world.lds(listener("in", "r"), listenerFrom(fromFile, "other", "r"));
  world.rds(routes("r", "a"));
  assert.equal(world.step(), "listener/in route-configuration/r");
  world.from(FILE, "route-configuration", "r", routes("r", "b"));
  assert.equal(world.step(), `listener/other route-configuration/r@${originKey(FILE)}`);
  world.removed("cluster", "b");
  world.removed("listener", "other");
  assert.deepEqual(world.subscriptions.slice(-2), ["endpoints:  from file /e", "route-configuration:  from file /e"]);
});

test("statement 10: self is whatever brought the resource that says so", () => {
  const self = { from: { type: "self" }, initialFetchTimeoutMs: 15_000 } as const;
  const world = new World().started();
  world.from(FILE, "cluster", "a", edsCluster("a", "s", 5000, self));
  world.from(FILE, "listener", "in", listenerFrom(self, "in", "r"));
  world.cds(edsCluster("b", "s", 5000, self));
  assert.deepEqual(world.subscriptions.slice(2), [
    "endpoints: s from file /e",
    "route-configuration: r from file /e",
    "endpoints: s",
  ]);
});

test("an assignment that does not exist ends the wait for it", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  world.absent("endpoints", "a");
  assert.equal(world.step(), "cluster/a endpoints/a");
  assert.equal(world.clock.pending, 0);
});

test("a removed assignment leaves a serving cluster its endpoints", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  world.eds(assignment("a", 1));
  world.step();
  world.removed("endpoints", "a");
  assert.equal(world.step(), "nothing");
});

test("statement 61: of two updates in flight the later one serves, once", () => {
  const world = new World().started();
  const later = edsCluster("a", "a", 2);
  world.cds(edsCluster("a", "a", 1));
  world.cds(later);
  assert.equal(world.clock.pending, 1);
  world.eds(assignment("a", 1));
  assert.equal(world.step(), "cluster/a endpoints/a");
  assert.equal(world.assembler.current().clusters.get("a"), later);
  assert.equal(world.clock.pending, 0);
});

test("statement 61: removing a warming cluster cancels its warming", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  world.removed("cluster", "a");
  assert.equal(world.clock.pending, 0);
  assert.deepEqual(world.wanted.get("endpoints"), []);
  world.eds(assignment("a", 1));
  world.clock.advance(20_000);
  assert.equal(world.step(), "nothing");
});

test("statement 61: removing a cluster whose update is warming removes both versions", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  world.eds(assignment("a", 1));
  world.step();
  world.cds(edsCluster("a", "a", 9000));
  world.removed("cluster", "a");
  assert.equal(world.step(), "-cluster/a -endpoints/a");
  assert.equal(world.clock.pending, 0);
});

test("statement 66: endpoints of a removed cluster are unsubscribed and forgotten", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  world.eds(assignment("a", 1));
  world.step();
  world.removed("cluster", "a");
  assert.equal(world.step(), "-cluster/a -endpoints/a");
  assert.deepEqual(world.wanted.get("endpoints"), []);
  world.cds(edsCluster("a"));
  assert.equal(world.step(), "nothing", "the forgotten assignment must not serve");
});

test("a cluster that turns from EDS to STATIC serves at once and EDS is no longer asked", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  world.eds(assignment("a", 1));
  world.step();
  world.cds(staticCluster("a"));
  assert.equal(world.step(), "cluster/a endpoints/a");
  assert.deepEqual(world.wanted.get("endpoints"), []);
});

test("statement 48: the removal of something unknown is ignored", () => {
  const world = new World().started();
  for (const kind of ["cluster", "listener", "route-configuration", "endpoints"] as const) world.removed(kind, "x");
  assert.equal(world.step(), "nothing");
});

test("statement 33: resources that nobody asked for are ignored", () => {
  const world = new World().started();
  world.eds(assignment("x", 1));
  world.rds(routes("x"));
  assert.equal(world.step(), "nothing");
  assert.deepEqual(world.assembler.resources(), []);
});

test("a DNS cluster warms until its first answer, and later answers replace its endpoints", () => {
  const world = new World().started();
  const cluster = dnsCluster("a");
  world.cds(cluster);
  assert.deepEqual([...world.dns.keys()], ["a"]);
  assert.equal(world.step(), "nothing");
  world.assembler.resolved(cluster, assignment("a", 1));
  assert.equal(world.step(), "cluster/a endpoints/a");
  world.assembler.resolved(cluster, assignment("a", 2));
  assert.equal(world.step(), "endpoints/a");
});

test("an updated DNS cluster is resolved anew, serves the old version meanwhile, and ignores answers for the old one", () => {
  const world = new World().started();
  const [old, next] = [dnsCluster("a"), dnsCluster("a", 9000)];
  world.cds(old);
  world.assembler.resolved(old, assignment("a", 1));
  world.step();
  world.cds(next);
  assert.equal(world.dns.get("a"), next);
  world.assembler.resolved(old, assignment("a", 2));
  assert.equal(world.step(), "nothing");
  world.assembler.resolved(next, assignment("a", 3));
  assert.equal(world.step(), "cluster/a endpoints/a");
});

test("a removed DNS cluster is no longer resolved, and a late answer is ignored", () => {
  const world = new World().started();
  const cluster = dnsCluster("a");
  world.cds(cluster);
  world.removed("cluster", "a");
  assert.equal(world.dns.size, 0);
  world.assembler.resolved(cluster, assignment("a", 1));
  assert.equal(world.step(), "nothing");
});

test("a listener with inline routes serves at once", () => {
  const world = new World().started();
  world.lds(listener("in"));
  assert.equal(world.step(), "listener/in");
});

test("statement 57: a listener with RDS warms until its route configuration and both serve in one step", () => {
  const world = new World().started();
  world.lds(listener("in", "r"));
  assert.deepEqual(world.wanted.get("route-configuration"), ["r"]);
  assert.equal(world.step(), "nothing");
  world.rds(routes("r"));
  assert.equal(world.step(), "listener/in route-configuration/r");
  assert.equal(world.clock.pending, 0);
});

test("a listener waits for every route configuration that any of its filter chains names", () => {
  const world = new World().started();
  world.lds(listener("in", "r1", "r2"));
  world.rds(routes("r1"));
  assert.equal(world.step(), "nothing");
  assert.deepEqual(world.waitingFor("listener", "in"), ["route-configuration/r2"]);
  world.rds(routes("r2"));
  assert.equal(world.step(), "listener/in route-configuration/r1 route-configuration/r2");
});

test("statement 57: an updated listener with a new route configuration serves its old version until that came", () => {
  const world = new World().started();
  const old = listener("in", "r1");
  world.lds(old);
  world.rds(routes("r1"));
  world.step();
  world.lds(listener("in", "r2"));
  assert.equal(world.step(), "nothing");
  assert.deepEqual(world.wanted.get("route-configuration"), ["r1", "r2"]);
  world.rds(routes("r1"));
  assert.equal(world.step(), "route-configuration/r1", "the old version still follows its routes");
  world.rds(routes("r2"));
  assert.equal(world.step(), "listener/in route-configuration/r2 -route-configuration/r1");
  assert.deepEqual(world.wanted.get("route-configuration"), ["r2"]);
});

test("an updated listener whose route configuration is known serves at once", () => {
  const world = new World().started();
  world.lds(listener("in", "r"));
  world.rds(routes("r"));
  world.step();
  world.lds(listener("in", "r"));
  assert.equal(world.step(), "listener/in");
});

test("a changed route configuration is in force at once, and nothing else changes", () => {
  const world = new World().started();
  world.lds(listener("in", "r"), listener("out", "r"));
  world.rds(routes("r"));
  world.step();
  world.rds(routes("r"));
  assert.equal(world.step(), "route-configuration/r");
});

test("statement 65: a route configuration that does not exist is not waited for, and is used when it comes", () => {
  const world = new World().started();
  world.lds(listener("in", "r"));
  world.absent("route-configuration", "r");
  assert.equal(world.step(), "listener/in");
  assert.equal(world.clock.pending, 0);
  world.rds(routes("r"));
  assert.equal(world.step(), "route-configuration/r");
});

test("statement 58: after 15 s a warming listener serves without its route configuration", () => {
  const world = new World().started();
  world.lds(listener("in", "r"));
  world.clock.advance(15_000);
  assert.equal(world.step(), "listener/in");
  assert.equal(world.clock.pending, 0);
});

test("statement 61: removing a warming listener cancels its warming and its route configuration is not asked for", () => {
  const world = new World().started();
  world.lds(listener("in", "r"));
  world.removed("listener", "in");
  assert.equal(world.clock.pending, 0);
  assert.deepEqual(world.wanted.get("route-configuration"), []);
  world.rds(routes("r"));
  assert.equal(world.step(), "nothing");
});

test("statement 66: a route configuration is forgotten with its last listener, not before", () => {
  const world = new World().started();
  world.lds(listener("in", "r"), listener("out", "r"));
  world.rds(routes("r"));
  world.step();
  world.removed("listener", "in");
  assert.equal(world.step(), "-listener/in");
  world.removed("listener", "out");
  assert.equal(world.step(), "-listener/out -route-configuration/r");
  assert.deepEqual(world.wanted.get("route-configuration"), []);
});

test("statement 59: a route to an unknown cluster holds nothing back", () => {
  const world = new World().started();
  world.lds(listener("in", "r"));
  world.rds(routes("r"));
  assert.deepEqual(world.served("listeners"), ["in"]);
  assert.deepEqual(world.served("clusters"), []);
});

test("routes that change to a cluster that is warming wait for it, and what they leave stays until then", () => {
  const world = new World().started();
  world.cds(edsCluster("old"));
  world.eds(assignment("old", 1));
  world.lds(listener("in", "r"));
  world.rds(routes("r", "old"));
  world.steps.length = 0;

  world.cds(edsCluster("new"));
  world.rds(routes("r", "new"));
  world.removed("cluster", "old");
  assert.equal(world.step(), "nothing");
  assert.deepEqual(world.waitingFor("route-configuration", "r"), ["cluster/new"]);
  world.eds(assignment("new", 1));
  assert.equal(world.step(), "cluster/new endpoints/new route-configuration/r -cluster/old -endpoints/old");
  assert.deepEqual(world.waitingFor("route-configuration", "r"), []);
});

test("routes wait for a warming cluster no longer than the cluster waits itself", () => {
  const world = new World().started();
  world.lds(listener("in", "r"));
  world.rds(routes("r"));
  world.cds(edsCluster("new"));
  world.rds(routes("r", "new"));
  world.steps.length = 0;
  world.clock.advance(14_999);
  assert.equal(world.step(), "nothing");
  world.clock.advance(1);
  assert.equal(world.step(), "cluster/new endpoints/new route-configuration/r");
});

test("routes that wait are replaced by newer ones, and removing the cluster ends the wait", () => {
  const world = new World().started();
  world.lds(listener("in", "r"));
  world.rds(routes("r"));
  world.cds(edsCluster("new"), staticCluster("other"));
  world.rds(routes("r", "new"));
  world.steps.length = 0;
  world.rds(routes("r", "other"));
  assert.equal(world.step(), "route-configuration/r");
  world.rds(routes("r", "new"));
  assert.equal(world.step(), "nothing");
  world.removed("cluster", "new");
  assert.equal(world.step(), "route-configuration/r");
});

test("nothing serves before the runtime has come, or does not exist, or 15 s are over", () => {
  const runtimeLayers = [{ name: "live", type: "rtds", resource: "mine", source: adsSource }] as const;
  for (const end of ["comes", "absent", "timeout"] as const) {
    const world = new World({ runtimeLayers }).started();
    assert.deepEqual(world.wanted.get("runtime"), ["mine"]);
    world.lds(listener("in"));
    assert.equal(world.step(), "nothing");
    assert.deepEqual(world.waitingFor("runtime", "mine"), ["runtime/mine"]);
    if (end === "comes") world.rtds({ name: "mine", values: { a: 1 } });
    else if (end === "absent") world.absent("runtime", "mine");
    else world.clock.advance(15_000);
    assert.equal(world.step(), end === "comes" ? "listener/in runtime/values" : "listener/in", end);
    assert.equal(world.readyCalls, 1);
  }
});

test("a change of the runtime is one step of its own", () => {
  const world = new World({ runtimeLayers: [{ name: "admin", type: "admin" }] }).started();
  assert.equal(world.step(), "nothing");
  assert.equal(world.assembler.modifyRuntime({ a: "5" }), true);
  assert.equal(world.step(), "runtime/values");
  assert.deepEqual(world.assembler.current().runtime, { a: "5" });
  assert.deepEqual(world.assembler.runtimeLayers(), [{ name: "admin", values: { a: "5" } }]);
  world.assembler.close();
});

test("a static cluster or listener is not replaced by a dynamic one of its name, which is told", () => {
  const [cluster, inListener] = [staticCluster("a"), listener("in")];
  const world = new World({ staticClusters: [cluster], staticListeners: [inListener] }).started();
  world.steps.length = 0;
  world.cds(edsCluster("a"));
  world.lds(listener("in", "r"));
  assert.equal(world.step(), "nothing");
  assert.deepEqual(world.assembler.shadowed, ["cluster/a", "listener/in"]);
  world.removed("cluster", "a");
  world.removed("listener", "in");
  assert.equal(world.step(), "nothing");
  assert.deepEqual(world.assembler.shadowed, []);
  assert.equal(world.assembler.current().clusters.get("a"), cluster);
  assert.equal(world.assembler.current().listeners.get("in"), inListener);
});

test("no listener serves before the first clusters do, and all of it is one step", () => {
  const world = new World({ staticListeners: [listener("admin")] });
  world.lds(listener("in"));
  assert.deepEqual(world.served("listeners"), []);
  assert.deepEqual(world.waitingFor("listener", "in"), ["cluster/*"]);
  world.cds(edsCluster("a"));
  assert.deepEqual(world.served("listeners"), []);
  assert.equal(world.readyCalls, 0);
  world.eds(assignment("a", 1));
  assert.equal(world.step(), "cluster/a endpoints/a listener/admin listener/in");
  assert.equal(world.readyCalls, 1);
});

test("is ready once the first answers came and all that they brought serves; later warming does not undo it", () => {
  const world = new World();
  world.cds();
  assert.equal(world.readyCalls, 0);
  world.lds(listener("in", "r"));
  assert.equal(world.readyCalls, 0);
  world.rds(routes("r"));
  assert.equal(world.readyCalls, 1);
  world.cds(edsCluster("late"));
  assert.equal(world.assembler.ready, true);
  assert.equal(world.readyCalls, 1);
});

test("is ready after 15 s without a control plane, with what is static", () => {
  const world = new World({ staticClusters: [staticCluster("a")], staticListeners: [listener("in")] });
  world.step();
  world.clock.advance(15_000);
  assert.equal(world.step(), "listener/in");
  assert.equal(world.readyCalls, 1);
  assert.equal(world.clock.pending, 0);
});

test("statement 75: a structured name is asked of its authority, whatever its source says", () => {
  const authorityOf = (name: string): ResourceOrigin | undefined => (name.startsWith("xdstp://a/") ? FILE : undefined);
  const own = { from: { type: "file", path: "/own" }, initialFetchTimeoutMs: 3000 } as const;
  const name = "xdstp://a/envoy.config.endpoint.v3.ClusterLoadAssignment/s";
  const world = new World({ authorityOf, staticListeners: [listener("in", "xdstp://a/T/r")] }).started();
  world.cds(edsCluster("a", name, 5000, own), edsCluster("b", "xdstp://b/T/s", 5000, own));
  assert.deepEqual(world.subscriptions.slice(2).sort(), [
    "endpoints: xdstp://a/envoy.config.endpoint.v3.ClusterLoadAssignment/s from file /e",
    "endpoints: xdstp://b/T/s from file /own",
    "route-configuration: xdstp://a/T/r from file /e",
  ]);
});

test("what goes and what comes in one response share what both name: it need not come again", () => {
  const world = new World().started();
  world.cds(edsCluster("a", "s"));
  world.eds(assignment("s", 1));
  world.lds(listener("in", "r"));
  world.rds(routes("r"));
  world.steps.length = 0;
  const swap = (kind: "cluster" | "listener", name: string, config: unknown, gone: string): void => {
    const changed = new Map([[name, { name, version: "2", config, unhonoured: [] }]]);
    world.assembler.update({ kind, changed, removed: [gone], absent: [] });
  };
  swap("cluster", "b", edsCluster("b", "s"), "a");
  swap("listener", "other", listener("other", "r"), "in");
  assert.deepEqual([world.served("clusters"), world.served("listeners")], [["b"], ["other"]]);
  assert.equal(world.clock.pending, 0);
});

test("what one lets go and another takes up in one response need not come again", () => {
  const world = new World().started();
  world.cds(edsCluster("a", "x"), edsCluster("b", "y"));
  world.eds(assignment("x", 1), assignment("y", 2));
  world.lds(listener("c", "r"), listener("d", "s"));
  world.rds(routes("r"), routes("s"));
  const asked = world.subscriptions.length;
  world.steps.length = 0;
  world.cds(edsCluster("a", "y"), edsCluster("b", "x"));
  assert.equal(world.step(), "cluster/a cluster/b endpoints/a endpoints/b");
  assert.deepEqual(world.assembler.current().endpoints.get("b"), assignment("x", 1));
  world.cds(edsCluster("a", "z"), edsCluster("new", "y"));
  assert.equal(world.step(), "cluster/new endpoints/new", "the version of a before serves on with y");
  world.lds(listener("c", "s"), listener("d", "r"));
  assert.equal(world.step(), "listener/c listener/d");
  assert.deepEqual([...world.assembler.current().routeConfigurations.keys()].sort(), ["r", "s"]);
  assert.deepEqual(world.subscriptions.slice(asked), ["endpoints: x y z"]);
  world.assembler.close();
});

test("subscriptions are told only when they change", () => {
  const world = new World().started();
  world.cds(edsCluster("a"));
  world.eds(assignment("a", 1));
  world.eds(assignment("a", 2));
  world.cds(staticCluster("b"));
  assert.deepEqual(world.subscriptions, ["cluster: *", "listener: *", "endpoints: a"]);
});

test("after close nothing is told and no timer is left", () => {
  const world = new World();
  world.cds(edsCluster("a"));
  world.lds(listener("in", "r"));
  world.assembler.close();
  assert.equal(world.clock.pending, 0);
  world.eds(assignment("a", 1));
  assert.equal(world.step(), "nothing");
});

// Only the fields that the assembler reads; the rest passes through it untouched.

function staticCluster(name: string): ClusterConfig {
  return { name, discovery: { type: "STATIC", loadAssignment: assignment(name, 1) } } as ClusterConfig;
}

function edsCluster(name: string, serviceName = name, connectTimeoutMs = 5000, source?: ConfigSource): ClusterConfig {
  const discovery = { type: "EDS", serviceName, ...(source && { source }) };
  return { name, connectTimeoutMs, discovery } as ClusterConfig;
}

function dnsCluster(name: string, connectTimeoutMs = 5000): ClusterConfig {
  const dns = { refreshRateMs: 5000, respectTtl: false, lookupFamily: "AUTO" } as const;
  const discovery = { type: "STRICT_DNS", loadAssignment: assignment(name, 0), dns } as const;
  return { name, connectTimeoutMs, discovery } as unknown as ClusterConfig;
}

function assignment(clusterName: string, endpoints: number): EndpointsConfig {
  const locality = { locality: { region: "", zone: "", subZone: "" }, loadBalancingWeight: 1, priority: 0 };
  return {
    clusterName,
    localities: [{ ...locality, endpoints: new Array(endpoints).fill({}) }],
    overprovisioningFactorPercent: 140,
    dropOverloads: [],
  };
}

test("ECDS: what comes for a network or listener filter takes its place in the listener; what is gone leaves its default", () => {
  const discovered = { types: ["test.Tcp"] };
  const written = {
    ...listener("l"),
    listenerFilters: [
      { type: "discovered", name: "who", discovered: { types: ["test.Who"] }, disabled: { type: "any" } },
    ],
    filterChains: [
      { filters: [{ type: "discovered", name: "tcp", discovered, fallback: { type: "echo", name: "d" } }] },
    ],
  } as unknown as ListenerConfig;
  const world = new World().started();
  world.steps.length = 0;
  world.lds(written);
  assert.deepEqual([world.step(), world.wanted.get("extension-config")], ["nothing", ["tcp", "who"]]);
  const ecds = (name: string, kind: "network" | "listener", config: object): void =>
    world.from(ADS, "extension-config", name, {
      name,
      config: { name, type: kind === "network" ? "test.Tcp" : "test.Who", config: {} },
      [kind]: config,
    });
  ecds("tcp", "network", { type: "direct-response", name: "n", responseBase64: "" });
  assert.equal(world.step(), "nothing", "the other is awaited");
  ecds("who", "listener", { type: "http-inspector", name: "n" });
  assert.equal(world.step(), "listener/l");
  const now = (): unknown => {
    const { filterChains, listenerFilters } = world.assembler.current().listeners.get("l")!;
    return [...listenerFilters, ...filterChains[0]!.filters].map((filter) => `${filter.name} ${filter.type}`);
  };
  assert.deepEqual(now(), ["who http-inspector", "tcp direct-response"]);
  assert.deepEqual(world.assembler.current().listeners.get("l")?.listenerFilters[0]?.disabled, { type: "any" });
  ecds("tcp", "network", { type: "direct-response", name: "n", responseBase64: "" });
  assert.equal(world.step(), "nothing", "nothing has changed");
  // One that names routes: the listener waits for them, and serves what it had.
  const [manager] = listener("l", "r").filterChains[0]!.filters;
  ecds("tcp", "network", manager!);
  assert.deepEqual([world.step(), world.wanted.get("route-configuration")], ["nothing", ["r"]]);
  world.rds(routes("r"));
  assert.equal(world.step(), "listener/l route-configuration/r");
  // One that takes another type, and comes when this one is there.
  const other = { type: "discovered", name: "tcp", discovered: { types: ["test.Gate"] }, fallback: { type: "echo" } };
  world.lds({ ...listener("late"), filterChains: [{ filters: [other] }] } as unknown as ListenerConfig);
  assert.equal(world.step(), "listener/late");
  assert.equal(world.assembler.current().listeners.get("late")?.filterChains[0]?.filters[0]?.type, "echo");
  world.removed("listener", "late");
  assert.equal(world.step(), "-listener/late");
  world.removed("extension-config", "tcp", "who");
  assert.equal(world.step(), "listener/l -route-configuration/r");
  assert.deepEqual(now(), ["who missing", "tcp echo"]);
  world.lds(listener("l"));
  assert.equal(world.step(), "listener/l");
  assert.deepEqual(world.wanted.get("extension-config"), []);
  world.assembler.close();
  assert.equal(world.clock.pending, 0);
});

test("statement 58: a listener waits for routes since it first asked, however often it, or what ECDS brings for it, changes meanwhile", () => {
  const managerOf = (...names: string[]) => listener("l", ...names).filterChains.map(({ filters }) => filters[0]!);
  const discovered = { type: "discovered", name: "who", discovered: { types: ["test.Tcp"] } };
  const version = (mark: number) =>
    ({
      ...listener("l"),
      mark,
      filterChains: [{ filters: [discovered, ...managerOf("r")] }],
    }) as unknown as ListenerConfig;
  const world = new World().started();
  world.steps.length = 0;
  world.lds(version(1));
  for (let i = 0; i < 3; i++) {
    const network = { type: "direct-response", name: "who", responseBase64: `${i}` };
    const config = { name: "who", type: "test.Tcp", config: {} };
    world.from(ADS, "extension-config", "who", { name: "who", config, network });
    world.lds(version(i));
    world.clock.advance(4999);
  }
  assert.equal(world.step(), "nothing");
  world.clock.advance(3);
  assert.equal(world.step(), "listener/l");
  world.assembler.close();
  assert.equal(world.clock.pending, 0);
});

function listener(name: string, ...routeNames: string[]): ListenerConfig {
  return listenerFrom(undefined, name, ...routeNames);
}

function listenerFrom(source: ConfigSource | undefined, name: string, ...routeNames: string[]): ListenerConfig {
  const filterChains = routeNames.map((routeConfigName) => ({
    filters: [
      {
        type: "http-connection-manager",
        config: {
          routes: { type: "rds", routeConfigName, ...(source && { source }) },
          httpFilters: [],
          upgradeConfigs: [],
        },
      },
    ],
  }));
  return { name, listenerFilters: [], filterChains, defaultFilterChain: undefined } as unknown as ListenerConfig;
}

function routes(name: string, ...clusters: string[]): RouteConfiguration {
  const entries = clusters.map((cluster) => ({
    action: { type: "forward", forward: { cluster: { type: "cluster", name: cluster } } },
  }));
  return { name, virtualHosts: [{ routes: entries }] } as unknown as RouteConfiguration;
}
